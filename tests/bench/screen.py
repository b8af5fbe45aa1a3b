"""What a reader sees of a growing text: when each word came, and how many words were taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from bench.score import plain


@lru_cache(maxsize=100_000)
def tokens(word: str) -> tuple[str, ...]:
    """One written word as it is compared: none for a mere sign, several for "10mg"."""
    return tuple(plain(word).split())


def matches(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Index pairs of the equal elements in the best alignment of the two."""
    for step in Levenshtein.opcodes(one, other):
        if step.tag == "equal":
            yield from zip(
                range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True
            )


class Screen:
    """The text as it stands, with the moment at which each of its words came to stay."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.times: list[float] = []
        self.taken_back = 0
        """Words that were there and went, or became others."""

    def show(self, text: str, now: float) -> None:
        """The whole text, as it is at ``now`` (seconds)."""
        words = [token for word in text.split() for token in tokens(word)]
        same = 0
        while same < min(len(words), len(self.words)) and words[same] == self.words[same]:
            same += 1
        times = [now] * (len(words) - same)
        kept = 0
        for old, new in matches(self.words[same:], words[same:]):
            times[new] = self.times[same + old]
            kept += 1
        self.taken_back += len(self.words) - same - kept
        self.words, self.times = words, self.times[:same] + times
