"""Word errors after Whisper's English normaliser, dose units folded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

_normalise = EnglishTextNormalizer()
_FOLD = {
    "milligram": "mg",
    "milligrams": "mg",
    "microgram": "mcg",
    "micrograms": "mcg",
    "ok": "okay",
    "alright": "all right",
}


@dataclass(frozen=True, slots=True)
class Score:
    """Word errors by kind."""

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def wer(self) -> float:
        """Word error rate in percent; 0 where nothing was to be heard."""
        return (
            100 * (self.substitutions + self.deletions + self.insertions) / self.words if self.words else 0.0
        )

    def __add__(self, other: Score) -> Score:
        return Score(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def plain(text: str) -> str:
    """The text as it is compared."""
    text = re.sub(r"(\d)\s*(mg|mcg|ml)\b", r"\1 \2", text, flags=re.IGNORECASE)
    return " ".join(_FOLD.get(word, word) for word in _normalise(text).split())


def score(reference: str, heard: str) -> Score:
    """The errors in ``heard``."""
    expected, got = plain(reference), plain(heard)
    if not expected:
        return Score(0, 0, 0, len(got.split()))
    measured = jiwer.process_words(expected, got)
    return Score(len(expected.split()), measured.substitutions, measured.deletions, measured.insertions)


def total(scores: Iterable[Score]) -> Score:
    """All errors together."""
    return sum(scores, Score(0, 0, 0, 0))
