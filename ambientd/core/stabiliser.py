"""Which words of a growing utterance will stay.

LocalAgreement-2: a word is stable once two successive decodes of the same, longer grown audio agree on it and on
all words before it.  Source: Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription System",
arXiv 2307.14743.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class Stabiliser:
    """Compares each decode of the open utterance with the one before; :meth:`reset` when the utterance ends."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._stable = 0

    def receive(self, words: Sequence[str]) -> int:
        """How many of ``words``, from the first, are stable.  Never fewer than before, as far as they exist."""
        agreed = 0
        for old, new in zip(self._before, words, strict=False):
            if _plain(old) != _plain(new):
                break
            agreed += 1
        self._before = list(words)
        self._stable = min(len(words), max(self._stable, agreed))
        return self._stable

    def reset(self) -> None:
        """A new utterance begins."""
        self._before = []
        self._stable = 0


def _plain(word: str) -> str:
    return re.sub(r"\W+", "", word).lower()
