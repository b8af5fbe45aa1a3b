"""Which words of a growing utterance to show, which of them will stand, and when it can be committed.

Successive decodes of the same growing audio flip words back and forth, in the middle as well as at the end.  A reader
should not see that.  So:

    Rule 1  A word is shown once it is likely to be in the line as well (:func:`chance`), and never before the words
            in front of it.  One that is doubtful for long is shown all the same.
    Rule 2  What is shown stands until the line comes, whatever later decodes say.
    Rule 3  A later decode goes on behind it, from where its own words match it best (edit distance).
    Rule 4  Words that are next to certain are *stable*.
    Rule 5  Where all words are, what has been said so far is *settled*, and can be committed; later decodes then go on
            behind it.

Repeated agreement alone (LocalAgreement-2, arXiv 2307.14743) is slower to show and changes more: a word's own
probability says more than a second decode of nearly the same audio.  Source: measured, docs/benchmarks.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ambientd.core.alignment import continuation, matches, plain
from ambientd.core.audio import RATE
from ambientd.core.transcript import Word

SHOW: Final = 0.82
"""Chance from which a word is shown."""
OVERDUE: Final = 3 * RATE
"""Samples behind the end of a word after which it is shown whatever its chance."""
STABLE: Final = 0.96
"""Chance from which a word is stable."""
SETTLED: Final = 0.93
"""Chance that all words need to be committed early.  Source of the four: measured, docs/benchmarks.md."""

MOST_AGREED: Final = 4
"""Decodes in a row beyond which it no longer matters how many agree."""

_PLACE: Final = (0.33, 0.04, 0.03, -0.5)
"""Of the last word, the last but one, …, and of all words further in front."""
_CLARITY: Final = 0.4
_NEXT: Final = 0.96
_AGREED: Final = 0.72
_AGREED_CLARITY: Final = 0.24


@dataclass(frozen=True, slots=True)
class Reading:
    """What to make of one decode of the open utterance."""

    shown: tuple[str, ...]
    """The words to show, without those that are committed."""
    stable: int
    """How many of them, from the first, stand almost surely in the line."""
    fresh: int
    """Index of the first word of the decode that is not committed."""
    settled: bool
    """Whether all words from there could be committed."""


class Stabiliser:
    """Follows one utterance; :meth:`reset` when it ends."""

    def __init__(self) -> None:
        self._committed: list[str] = []
        """Plain words that are in a line already."""
        self._end = 0
        """Samples: where the last of them ends."""
        self._shown: list[str] = []
        self._stable = 0
        self._before: list[str] = []
        """The plain words of the decode before."""
        self._agreed: list[int] = []
        """For each of them, how many decodes in a row had heard it before."""

    def receive(self, words: Sequence[Word], *, end: int) -> Reading:
        """What to make of a decode that gave ``words``.

        ``end``: samples since the session started, the end of the audio decoded.
        """
        new = [plain(word.text) for word in words]
        again = matches(self._before, new)
        agreed = [self._agreed[again[at]] + 1 if at in again else 0 for at in range(len(new))]
        chances = [
            chance(
                word.probability,
                behind=len(words) - 1 - at,
                following=words[at + 1].probability if at + 1 < len(words) else 0.0,
                agreed=agreed[at],
            )
            for at, word in enumerate(words)
        ]
        sure = [likely >= STABLE for likely in chances]
        fresh = self.fresh(words)
        standing = self._committed + [plain(word) for word in self._shown]
        self._grow(matches(new, standing), sure)
        for at in range(max(fresh, continuation(standing, new)), len(words)):
            if chances[at] < SHOW and end - words[at].end < OVERDUE:
                break
            if self._stable == len(self._shown) and sure[at]:
                self._stable += 1
            self._shown.append(words[at].text)
        self._before, self._agreed = new, agreed
        return Reading(
            tuple(self._shown),
            self._stable,
            fresh,
            settled=fresh < len(new) and min(chances[fresh:]) >= SETTLED,
        )

    def fresh(self, words: Sequence[Word]) -> int:
        """Index of the first of a decode's words that is not committed yet."""
        if not self._committed:
            return 0
        ends = [0, *(word.end for word in words)]
        plains = [plain(word.text) for word in words]
        return continuation(self._committed, plains, off=lambda count: abs(ends[count] - self._end))

    def commit(self, words: Sequence[Word]) -> None:
        """These words, the first that were fresh, are in a line now."""
        self._committed += [plain(word.text) for word in words]
        self._end = words[-1].end
        self._shown = []
        self._stable = 0

    def reset(self) -> None:
        """A new utterance begins."""
        self.__init__()  # type: ignore[misc]

    def _grow(self, heard_as: dict[int, int], sure: Sequence[bool]) -> None:
        """Lets the stable words reach as far as the shown ones are heard again as surely.

        ``heard_as``: place among the committed and shown words -> place in this decode.
        """
        while self._stable < len(self._shown):
            at = heard_as.get(len(self._committed) + self._stable)
            if at is None or not sure[at]:
                return
            self._stable += 1


def chance(probability: float, *, behind: int, following: float, agreed: int) -> float:
    """How likely a word of an open utterance is to be in the line that comes in the end, in [0, 1].

    ``probability``: the word's own; ``following``: that of the word behind it, 0 for the last.
    ``behind``: words behind it.  ``agreed``: decodes in a row that had heard it before.

    Source: logistic regression over 2,500 decodes of four interviews, docs/benchmarks.md.
    """
    kept = min(max(probability, 0.02), 0.998)
    clarity = math.log(kept / (1 - kept))
    score = _PLACE[min(behind, len(_PLACE) - 1)] + _CLARITY * clarity + _NEXT * following
    if agreed:
        score += _AGREED * min(agreed, MOST_AGREED) + _AGREED_CLARITY * clarity
    return 1 / (1 + math.exp(-score))
