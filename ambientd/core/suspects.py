"""Words that may be a name misheard: spans of a text that sound like an entry of the vocabulary and are not one.

    Rule 1  A span that spells a name is that name, and beyond suspicion.
    Rule 2  A span is looked at only if a word of it is no ordinary word, or one the engine itself hardly believed:
            "basics" is not suspected of being Lasix.  What is ordinary the model knows: it has a token for the word.
    Rule 3  It does not reach across the end of a sentence.
    Rule 4  Of spans that overlap the likest stands; the names that others of them sound like are kept with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ambientd.core.sounds import likeness, sounds, weight
from ambientd.core.transcript import Word
from ambientd.core.vocabulary import MOST_WORDS, Vocabulary, spelling

LIKE: Final = 0.72
"""Likeness from which a span is suspected.  Source: measured, docs/benchmarks.md."""
HEAVY: Final = 5.5
LIKE_IF_SHORT: Final = 0.77
"""For spans of less weight than :data:`HEAVY`: of short words many are alike by chance."""
LONGEST_SPAN: Final = 5
"""Words: "a pick sabon" is three for one."""
LEAST_WEIGHT: Final = 3.0
"""Of sounds: anything sounds like a shorter name."""
HARDLY_BELIEVED: Final = 0.65
"""Mean probability of its words below which even a span of ordinary words may be something else."""
MOST_NAMES: Final = 4
"""Names one span may be suspected of."""
CLOSE: Final = 0.1
"""How much less alike than the likest a name may be to be kept beside it."""

_CLASSES: Final = ("bp", "dt", "kgCj", "fv", "szS", "mn", "l", "r", "aiou")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A span of words, and what it may be."""

    first: int
    """Index of its first word."""
    last: int
    """Index after its last word."""
    names: tuple[str, ...]
    """Likest first."""
    score: float
    """Likeness to the first of them, in [0, 1]."""


class Index:
    """A vocabulary made ready to be searched by sound; never changes."""

    def __init__(self, vocabulary: Vocabulary, ordinary: AbstractSet[str] = frozenset()) -> None:
        """``ordinary``: words in lower case that need no help."""
        self.vocabulary = vocabulary
        self._ordinary = ordinary
        self._names = {
            spelling(form): entry.name
            for entry in reversed(vocabulary.entries)
            for form in (entry.name,)
        }
        forms = [
            (sounds(form), entry.name) for entry in vocabulary.entries for form in (entry.name, *entry.aliases)
        ]
        self._forms = [(spoken, name) for spoken, name in forms if weight(spoken) >= LEAST_WEIGHT]
        self._weights = np.array([weight(spoken) for spoken, _ in self._forms], np.float32)
        self._bags = np.array([_bag(spoken) for spoken, _ in self._forms], np.float32).reshape(-1, len(_CLASSES))

    def __len__(self) -> int:
        return len(self.vocabulary.entries)

    def named(self, words: Sequence[Word]) -> tuple[str, ...]:
        """The vocabulary's names that the words spell, in order."""
        return tuple(name for _, _, name in self._spelt(words))

    def suspects(self, words: Sequence[Word]) -> tuple[Suspect, ...]:
        """The spans that may be names, in order, none overlapping another."""
        if not self._forms:
            return ()
        settled = {at for first, last, _ in self._spelt(words) for at in range(first, last)}
        found: list[tuple[float, int, int, str]] = []
        for first, last, ordinary in self._spans(words, settled):
            spoken = sounds(" ".join(word.text for word in words[first:last]))
            least = LIKE if weight(spoken) >= HEAVY and not ordinary else LIKE_IF_SHORT
            found += [(score, first, last, name) for score, name in self._like(spoken, least)]
        return tuple(sorted(_apart(found), key=lambda suspect: suspect.first))

    def _spelt(self, words: Sequence[Word]) -> Iterator[tuple[int, int, str]]:
        at = 0
        while at < len(words):
            joined, hit = "", None
            for end in range(at, min(at + MOST_WORDS, len(words))):
                joined += spelling(words[end].text)
                name = self._names.get(joined) or self._names.get(joined.removesuffix("s"))
                hit = (at, end + 1, name) if name else hit
            if hit:
                yield hit
            at = hit[1] if hit else at + 1

    def _spans(self, words: Sequence[Word], settled: AbstractSet[int]) -> Iterator[tuple[int, int, bool]]:
        """Spans to be looked at, each with whether all its words are ordinary."""
        for first in range(len(words)):
            odd, believed = False, 0.0
            for last in range(first + 1, min(first + LONGEST_SPAN, len(words)) + 1):
                if last - 1 in settled:
                    break
                odd = odd or self._is_odd(words[last - 1])
                believed += words[last - 1].probability
                if odd or believed < HARDLY_BELIEVED * (last - first):
                    yield first, last, not odd
                if words[last - 1].text.endswith((".", "?", "!")):
                    break

    def _is_odd(self, word: Word) -> bool:
        stem = re.split("['’]", word.text.strip("'’"))[0]
        return any(part and part not in self._ordinary for part in re.split(r"[\W_]+", stem.lower()))

    def _like(self, spoken: str, least: float) -> Iterator[tuple[float, str]]:
        """The names that sound enough like it, each with its likeness."""
        heavy = weight(spoken)
        if heavy < LEAST_WEIGHT:
            return
        # Cheap and for all at once: what differs in weight, or in how many sounds of each kind it has, is not like it.
        apart = np.abs(self._bags - np.array(_bag(spoken), np.float32)).sum(axis=1)
        larger = np.maximum(self._weights, heavy)
        near = (np.abs(self._weights - heavy) <= (1 - least) * 1.4 * larger) & (apart <= 2 * (1 - least) * larger + 1)
        for at in np.flatnonzero(near):
            form, name = self._forms[at]
            score = likeness(spoken, form)
            if score >= least:
                yield score, name


def _bag(spoken: str) -> list[float]:
    """How much of each kind of sound there is."""
    return [sum(spoken.count(sound) for sound in kind) * (0.5 if kind == "aiou" else 1.0) for kind in _CLASSES]


def _apart(found: Sequence[tuple[float, int, int, str]]) -> Iterator[Suspect]:
    """Rule 4."""
    left = sorted(found, key=lambda each: (-each[0], each[2] - each[1], each[1], each[3]))
    while left:
        best, first, last, _ = left[0]
        names = [name for score, start, end, name in left if start < last and first < end and score >= best - CLOSE]
        yield Suspect(first, last, tuple(dict.fromkeys(names))[:MOST_NAMES], round(best, 3))
        left = [each for each in left if each[1] >= last or each[2] <= first]
