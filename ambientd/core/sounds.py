"""How alike two names sound: letters to rough sounds, and a distance that forgives what an ear confuses.

Jaro-Winkler and Metaphone were made for surnames: the first cannot tell a vowel from a consonant, and the second throws
the vowels away, so that half of all medicines sound like the other half.  Here a name becomes a string of sounds, and
the distance is an edit distance whose prices say how easily one sound is taken for another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Likenesses = npt.NDArray[np.float32]

VOWELS: Final = "aiou"
"""After :func:`sounds` only these are left; ``e`` has become ``i``."""

_RULES: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(?:kn|gn|pn)", "n"),
        (r"^(?:ps|x)", "s"),
        (r"^wr", "r"),
        (r"^pt", "t"),
        (r"(?<=[^aeiou])e$|(?<=[aeiou])h(?![aeiou])|(?<=.)e?['\u2019]s$", ""),
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

_ALIKE: Final = (
    "bp",
    "dt",
    "gk",
    "fv",
    "sz",
    "mn",
    "lr",
    "Cj",
    "CS",
    "Sj",
    "Ss",
    "jg",
    "vb",
    "Ck",
    "kt",
    "td",
    "ft",
)
"""Pairs of consonants that are easily confused."""

_NEAR_CONSONANTS: Final = 0.4
_NEAR_VOWELS: Final = 0.2
_LOST_VOWEL: Final = 0.35
_FAINT: Final = {"h": 0.3, "r": 0.6, "w": 0.6}
"""Price of leaving one out: these are often not heard, or not said."""


def sounds(text: str) -> str:
    """The sounds of ``text``, word by word, without the spaces between: "own prazole" and "omeprazole" are near."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("-", " "))
    return re.sub(
        r"(.)\1+", r"\1", "".join(_word(word) for word in re.findall(r"[a-z0-9'\u2019]+", _bare(plain)))
    )


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
    return float(likenesses(coded([one]), coded([other]))[0])


def likenesses(ones: Codes, others: Codes) -> Likenesses:
    """The likeness of each pair, float32[n].  ``ones`` and ``others``: as many strings of sounds, as ``coded`` gives.

    All pairs advance together, a cell of the edit distance's table at a time: a loop in Python over each pair's own
    table takes seconds for a text and a list of a thousand names.  Source of the distance: Wagner and Fischer, 1974.
    """
    n = len(ones)
    if not n:
        return np.zeros(0, np.float32)
    heaviest = np.maximum(_WEIGHTS[ones].sum(axis=1), _WEIGHTS[others].sum(axis=1))
    one_lengths, other_lengths = np.count_nonzero(ones, axis=1), np.count_nonzero(others, axis=1)
    row = [np.zeros(n, np.float32)]
    for at in range(others.shape[1]):
        row.append(row[-1] + _LOSSES[others[:, at]])
    found = np.where(one_lengths == 0, np.stack(row)[other_lengths, np.arange(n)], np.float32(0))
    for step in range(ones.shape[1]):
        sound = ones[:, step]
        loss = _LOSSES[sound]
        before, row = row, [row[0] + loss]
        for at in range(others.shape[1]):
            wanted = others[:, at]
            cell = np.minimum(before[at] + _SWAPS[sound, wanted], before[at + 1] + loss)
            row.append(np.minimum(cell, row[at] + _LOSSES[wanted]))
        done = np.flatnonzero(one_lengths == step + 1)
        if len(done):
            found[done] = np.stack([cell[done] for cell in row])[other_lengths[done], np.arange(len(done))]
    with np.errstate(invalid="ignore"):
        alike = np.where(heaviest > 0, 1 - found / heaviest, 1)
    return np.maximum(alike, 0).astype(np.float32)


def coded(spoken: Sequence[str]) -> Codes:
    """Strings of sounds as numbers, uint8[n, longest], filled up with zeros."""
    longest = max(map(len, spoken), default=0)
    codes = np.zeros((len(spoken), longest), np.uint8)
    for line, text in zip(codes, spoken, strict=True):
        line[: len(text)] = [_CODE.get(sound, _OTHER) for sound in text]
    return codes


_SOUNDS: Final = "abcdefghijklmnopqrstuvwxyz0123456789CS"
_CODE: Final = {sound: number for number, sound in enumerate(_SOUNDS, 1)}
_OTHER: Final = len(_SOUNDS) + 1
_LOSS: Final = dict.fromkeys(VOWELS, _LOST_VOWEL) | _FAINT
_SWAP: Final = {one + other: _NEAR_VOWELS for one, other in product(VOWELS, VOWELS)} | {
    pair: _NEAR_CONSONANTS for alike in _ALIKE for pair in (alike, alike[::-1])
}


def _tables() -> tuple[Likenesses, Likenesses, Likenesses]:
    """The prices by code: weight, loss, and swap of two; the zeros that fill up cost nothing to lose."""
    size = _OTHER + 1
    weights, losses = np.ones(size, np.float32), np.ones(size, np.float32)
    swaps = np.ones((size, size), np.float32)
    np.fill_diagonal(swaps, 0)
    for sound, code in _CODE.items():
        weights[code] = weight(sound)
        losses[code] = _LOSS.get(sound, 1.0)
    for pair, price in _SWAP.items():
        one, other = _CODE[pair[0]], _CODE[pair[1]]
        if one != other:
            swaps[one, other] = price
    weights[0] = losses[0] = 0
    return weights, losses, swaps


_WEIGHTS, _LOSSES, _SWAPS = _tables()
