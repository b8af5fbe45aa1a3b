"""How alike two names sound: letters to rough sounds, and a distance that forgives what an ear confuses.

Jaro-Winkler and Metaphone were made for surnames: the first cannot tell a vowel from a consonant, and the second throws
the vowels away, so that half of all medicines sound like the other half.  Here a name becomes a string of sounds, and
the distance is an edit distance whose prices say how easily one sound is taken for another.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import product
from typing import Final

VOWELS: Final = "aiou"
"""After :func:`sounds` only these are left; ``e`` has become ``i``."""

_RULES: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(?:kn|gn|pn)", "n"),
        (r"^(?:ps|x)", "s"),
        (r"^wr", "r"),
        (r"^pt", "t"),
        (r"(?<=[^aeiou])e$|(?<=[aeiou])h(?![aeiou])|(?<=.)e?['’]s$", ""),
        (r"(?:ti|ci|si|ssi)on", "Sun"),
        (r"tch|ch(?=[^lro]|$)", "C"),
        (r"sch|sh", "S"),
        (r"ph|gh(?=t)", "f"),
        (r"th", "t"),
        (r"rh", "r"),
        (r"c?qu", "kw"),
        (r"x", "ks"),
        (r"sc(?=[eiy])", "s"),
        (r"c(?=[eiy])", "s"),
        (r"g(?=[eiy])", "j"),
        (r"c?k|c|q", "k"),
        (r"(?<=[ao])w|(?<=[aeo])u|(?<=[ae])i", ""),
        (r"[ey]+", "i"),
        (r"(?<=[aiou])w(?![aiou])", "u"),
        (r"(.)\1+", r"\1"),
    )
)
"""Spelling to sounds, in this order, for English spelling as spoken; ``C`` is ch, ``S`` is sh."""

_ALIKE: Final = ("bp", "dt", "gk", "fv", "sz", "mn", "lr", "Cj", "CS", "Sj", "Ss", "jg", "vb", "Ck", "kt", "td", "ft")
"""Pairs of consonants that are easily confused."""

_NEAR_CONSONANTS: Final = 0.4
_NEAR_VOWELS: Final = 0.2
_LOST_VOWEL: Final = 0.35
_FAINT: Final = {"h": 0.3, "r": 0.6, "w": 0.6}
"""Price of leaving one out: these are often not heard, or not said."""


def sounds(text: str) -> str:
    """The sounds of ``text``, word by word, without the spaces between: "own prazole" and "omeprazole" are near."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("-", " "))
    return re.sub(r"(.)\1+", r"\1", "".join(_word(word) for word in re.findall(r"[a-z0-9'’]+", _bare(plain))))


def _bare(text: str) -> str:
    return "".join(letter for letter in text if not unicodedata.combining(letter))


@lru_cache(maxsize=16_384)
def _word(word: str) -> str:
    for pattern, sound in _RULES:
        word = pattern.sub(sound, word)
    return word


def weight(spoken: str) -> float:
    """How much there is to hear: a consonant counts 1, a vowel a half."""
    return sum(0.5 if sound in VOWELS else 1.0 for sound in spoken)


def likeness(one: str, other: str) -> float:
    """In [0, 1]: 1 for the same sounds, about 0 for sounds that have nothing in common."""
    heaviest = max(weight(one), weight(other))
    return max(0.0, 1.0 - distance(one, other) / heaviest) if heaviest else 1.0


def distance(one: str, other: str) -> float:
    """The cheapest way to turn one string of sounds into the other.  Source: Wagner and Fischer, 1974."""
    row = [0.0]
    for sound in other:
        row.append(row[-1] + _LOSS.get(sound, 1.0))
    for sound in one:
        loss = _LOSS.get(sound, 1.0)
        before, row = row, [row[0] + loss]
        for at, wanted in enumerate(other):
            swap = before[at] if sound == wanted else before[at] + _SWAP.get(sound + wanted, 1.0)
            row.append(min(swap, before[at + 1] + loss, row[at] + _LOSS.get(wanted, 1.0)))
    return row[-1]


_LOSS: Final = {vowel: _LOST_VOWEL for vowel in VOWELS} | _FAINT
_SWAP: Final = {one + other: _NEAR_VOWELS for one, other in product(VOWELS, VOWELS)} | {
    pair: _NEAR_CONSONANTS for alike in _ALIKE for pair in (alike, alike[::-1])
}
