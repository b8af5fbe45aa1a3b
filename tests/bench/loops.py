"""Words that stand in loops: what Whisper says over and over where nobody did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ambientd.core.plausibility import is_looped
from bench.score import plain

WINDOW: Final = 48
"""Words that hold the shortest form of any loop the product knows: 24 said twice."""


def words_in_loops(text: str) -> int:
    """How many words of ``text`` lie in a stretch that the product itself would call a loop.

    :func:`is_looped` is asked about every 48 words in a row, after the normaliser, and each shortest stretch that it
    calls one counts with all its words, the first saying included.  People loop too ("no, no, no, no, no, no, no"):
    count a reference beside it.
    """
    words = plain(text).split()
    looped: set[int] = set()
    for end in range(1, len(words) + 1):
        begin = max(0, end - WINDOW)
        if not is_looped(words[begin:end]):
            continue
        begin = _latest(words, begin, end)
        # A stretch that is a loop without its last word has been counted where that word was the next.
        if not is_looped(words[begin : end - 1]):
            looped.update(range(begin, end))
    return len(looped)


def _latest(words: Sequence[str], begin: int, end: int) -> int:
    """The last place from which the words up to ``end`` are still a loop."""
    while is_looped(words[begin + 1 : end]):
        begin += 1
    return begin
