"""Numbers as they are compared: "six hundred milligrams", "600 milligrams" and "600mg" are one thing said.

Whisper writes a number in words in one decode and in figures in the next.  English words only: in other languages
figures are compared as they stand, words as words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_SMALL: Final = {
    word: value
    for value, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
            *("eighteen", "nineteen"),
        )
    )
}
_TENS: Final = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES: Final = {"thousand": 1_000, "million": 1_000_000}

_UNITS: Final = {
    spelling: unit
    for unit, spellings in {
        "mg": "mg mgs milligram milligrams milligramme milligrammes",
        "mcg": "mcg µg ug microgram micrograms microgramme microgrammes",
        "ml": "ml mls milliliter milliliters millilitre millilitres",
        "kg": "kg kgs kilogram kilograms kilogramme kilogrammes",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "%": "% percent",
    }.items()
    for spelling in spellings.split()
}

_FIGURES: Final = re.compile(r"((?:0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*)(?:\.\d+)?)([^\W\d_]*|%)")
"""A number in figures, and what is written to it without a space."""

_EDGES: Final = "\"'`.,;:!?()[]…“”\u2018\u2019"


@dataclass(frozen=True, slots=True)
class Term:
    """One word, or the words that are one number with its unit."""

    key: str
    """What it is compared by: the same for all ways to write it."""
    count: int
    """How many words it has."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A word, or one of those that a hyphen joins."""

    text: str
    last: bool
    """Whether its word ends with it."""
    closes: bool
    """Whether a mark follows: "twenty, five" are two numbers."""


def plain(word: str) -> str:
    """A word as it is compared: letters and digits, small."""
    return re.sub(r"[^\w']+", "", word).lower().strip("'")


def terms(words: Sequence[str]) -> list[Term]:
    """``words`` in order, those that are one number taken together."""
    parts = [part for word in words for part in _parts(word)]
    found: list[Term] = []
    at = place = 0
    while place < len(words):
        number = _Reading(parts, at).number()
        if number is not None and parts[number[1] - 1].last:
            key, end = number
            count = sum(part.last for part in parts[at:end])
        else:
            end = next(index for index in range(at, len(parts)) if parts[index].last) + 1
            word = plain(words[place])
            key, count = _UNITS.get(word, word), 1
        found.append(Term(key, count))
        at, place = end, place + count
    return found


def _parts(word: str) -> list[_Part]:
    bare = word.strip(_EDGES).lower()
    closes = bool(bare) and not word.lower().endswith(bare)
    pieces = bare.split("-")
    if len(pieces) > 1 and all(piece in _SMALL or piece in _TENS or piece == "hundred" for piece in pieces):
        return [
            _Part(piece, last, closes and last)
            for piece, last in zip(pieces, [False] * (len(pieces) - 1) + [True], strict=True)
        ]
    return [_Part(bare, last=True, closes=closes)]


class _Reading:
    """One attempt to read a number; all methods go on from :attr:`at`."""

    def __init__(self, parts: Sequence[_Part], at: int) -> None:
        self._parts = parts
        self._first = self.at = at

    def number(self) -> tuple[str, int] | None:
        """The key of the number that begins here, and the part behind it; ``None`` if none does."""
        figures = _FIGURES.fullmatch(self._next())
        unit = ""
        if figures:
            if figures[2] and figures[2] not in _UNITS:
                return None
            value = Decimal(figures[1].replace(",", ""))
            unit = _UNITS.get(figures[2], "")
            self.at += 1
            scale = 100 if self._next() == "hundred" else _SCALES.get(self._next())
            if not unit and scale:
                value *= scale
                self.at += 1
        else:
            words = self._words()
            if words is None:
                return None
            value = Decimal(words) + self._fraction()
        if not unit and self._next() in _UNITS:
            unit = _UNITS[self._next()]
            self.at += 1
        return f"{value.normalize():f} {unit}".strip(), self.at

    def _next(self, ahead: int = 0) -> str:
        """The part so far ahead; nothing where a mark lies between, or the text ends."""
        at = self.at + ahead
        inside = at < len(self._parts) and not any(part.closes for part in self._parts[self._first : at])
        return self._parts[at].text if inside else ""

    def _words(self) -> int | None:
        """A whole number in words."""
        total: int | None = None
        limit: int | None = None
        while True:
            before = self.at
            if total is not None and self._next() == "and":
                self.at += 1
            group = self._below_thousand()
            scale = _SCALES.get(self._next()) if group is not None else None
            if group is None or (total is not None and limit is not None and (scale or 1) >= limit):
                self.at = before
                return total
            total = (total or 0) + group * (scale or 1)
            if scale is None:
                return total
            self.at += 1
            limit = scale

    def _below_thousand(self) -> int | None:
        article = self._next() == "a" and self._next(1) in {"hundred", *_SCALES}
        if article:
            self.at += 1
        value = 1 if article else self._below_hundred()
        if value is None or self._next() != "hundred":
            return value
        self.at += 1
        value *= 100
        before = self.at
        if self._next() == "and":
            self.at += 1
        rest = self._below_hundred()
        if rest is None:
            self.at = before
        return value + (rest or 0)

    def _below_hundred(self) -> int | None:
        word = self._next()
        if word in _SMALL:
            self.at += 1
            return _SMALL[word]
        if word not in _TENS:
            return None
        self.at += 1
        digit = _SMALL.get(self._next(), 0)
        if 1 <= digit <= 9:  # noqa: PLR2004  # "twenty eleven" is no number below a hundred
            self.at += 1
            return _TENS[word] + digit
        return _TENS[word]

    def _fraction(self) -> Decimal:
        """What "point five" or "and a half" adds."""
        if [self._next(ahead) for ahead in range(3)] == ["and", "a", "half"]:
            self.at += 3
            return Decimal("0.5")
        digits = ""
        if self._next() == "point":
            while _SMALL.get(self._next(1 + len(digits)), 10) < 10:  # noqa: PLR2004
                digits += str(_SMALL[self._next(1 + len(digits))])
        if not digits:
            return Decimal(0)
        self.at += 1 + len(digits)
        return Decimal(f"0.{digits}")
