"""Whether somebody has begun to speak, to start a recording by it.

Rule 1  A second of clear speech, within one piece of it, begins a recording: a door, a cough or one word do not.
Rule 2  The recording begins with that piece, so that its first word is not lost.
Rule 3  After a recording that a person ended there must be silence first: whoever says goodbye is not recorded.
"""

from __future__ import annotations

from typing import Final

from ambientd.core.audio import RATE, Samples
from ambientd.core.segmenter import Detect, Rules, Segmenter

ENOUGH: Final = RATE
"""Samples of clear speech that begin a recording."""

REST: Final = 20 * RATE
"""Samples without speech after a recording that a person ended."""


class Voice:
    """Give it what the microphone hears, in order."""

    def __init__(self, detect: Detect, rules: Rules | None = None, *, rest: int = 0) -> None:
        """``rest``: samples without speech that must come first."""
        self._segmenter = Segmenter(detect, rules)
        self._rest = rest
        self._quiet = 0

    def receive(self, audio: Samples) -> int | None:
        """The sample, counted from the first received, with which a recording is to begin; ``None`` for not yet."""
        pieces = self._segmenter.receive(audio)
        if (open_ := self._segmenter.open_piece()) is not None:
            pieces.append(open_)
        if self._quiet < self._rest:
            self._quiet = 0 if pieces or self._segmenter.speaking else self._quiet + len(audio)
            return None
        return next((piece.start for piece in pieces if piece.speech >= ENOUGH), None)

    def skip(self, samples: int) -> None:
        """So much was not captured."""
        self._segmenter.skip(samples)
