"""Which words of a growing utterance stand, and how the rest goes on behind them.

Successive decodes of the same growing audio flip words back and forth, in the middle as well as at the end.  A reader
should not see that.  So:

    Rule 1  Words that two successive decodes agree on are *frozen* (LocalAgreement-2).  Source: Macháček, Dabre and
            Bojar, "Turning Whisper into Real-Time Transcription System", arXiv 2307.14743.
    Rule 2  Frozen words stay as they are until the utterance ends, whatever later decodes say.
    Rule 3  A later decode goes on behind them, from where its own words match them best (edit distance).
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class Stabiliser:
    """Follows one utterance; :meth:`reset` when it ends."""

    def __init__(self) -> None:
        self._frozen: list[str] = []
        self._before: list[str] = []
        """What the decode before had behind the frozen words."""

    @property
    def frozen(self) -> int:
        """How many words stand."""
        return len(self._frozen)

    def receive(self, words: Sequence[str]) -> list[str]:
        """What to show after a decode that gave ``words``: the frozen words, and how this decode goes on."""
        rest = list(words[_continuation(self._frozen, words) :])
        agreed = 0
        for old, new in zip(self._before, rest, strict=False):
            if _plain(old) != _plain(new):
                break
            agreed += 1
        self._frozen += rest[:agreed]
        self._before = rest[agreed:]
        return self._frozen + self._before

    def reset(self) -> None:
        """A new utterance begins."""
        self._frozen = []
        self._before = []


def _continuation(frozen: Sequence[str], words: Sequence[str]) -> int:
    """Where in ``words`` that begins which is not in ``frozen``: behind the prefix with the least edit distance to it.

    Of equally good prefixes the one nearest to the length of ``frozen`` is taken.
    """
    known = [_plain(word) for word in frozen]
    heard = [_plain(word) for word in words]
    row = list(range(len(heard) + 1))
    for count, word in enumerate(known, start=1):
        new = [count]
        for index, other in enumerate(heard):
            new.append(min(row[index + 1] + 1, new[index] + 1, row[index] + (word != other)))
        row = new
    return min(range(len(row)), key=lambda index: (row[index], abs(index - len(known))))


def _plain(word: str) -> str:
    return re.sub(r"\W+", "", word).lower()
