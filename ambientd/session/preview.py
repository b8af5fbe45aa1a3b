"""The open utterance as it is being spoken, for those who want to see words at once.

It is decoded again as it grows.  Each pass covers at least as much new audio as the last took to compute, so that
previews never use more than their share.  Source of the rule: moonshine, docs/using/transcription.md.  As the box
fills they become rarer: see :meth:`~ambientd.session.capacity.Capacity.spacing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ambientd.core import plausibility
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder, Rank, Request
from ambientd.core.segmenter import Piece
from ambientd.core.stabiliser import Stabiliser
from ambientd.errors import DecodeFailed
from ambientd.session.ear import is_silence

LEAST_NEW: Final = RATE * 3 // 4
"""Samples of new audio that make another pass worth its decode."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one pass showed."""

    words: tuple[str, ...]
    stable: int
    """How many of the words, from the first, stand until the utterance ends."""
    seconds: float
    """Engine seconds it took."""


class Preview:
    """The passes over one session's open utterance."""

    def __init__(self, decoder: Decoder, spacing: Callable[[float], float]) -> None:
        """``spacing``: seconds between two passes, by what one costs, as far as the box's load is concerned."""
        self._decoder = decoder
        self._spacing = spacing
        self._stabiliser = Stabiliser()
        self._seen = 0
        """Samples since the session started: how far the last pass reached."""
        self._cost = 0.0
        """Seconds the last pass took."""

    def reset(self) -> None:
        """The utterance has ended; the next one begins from nothing."""
        self._stabiliser.reset()

    def is_due(self, piece: Piece) -> bool:
        """Whether enough is new in the open ``piece`` for another pass, and a lane is free for it.

        A preview never waits for a lane: while it did, its own session could not ask for a final.
        """
        new = piece.end - max(piece.start, self._seen)
        if new < max(LEAST_NEW, round(self._cost * RATE)) or not self._decoder.idle:
            return False
        return new >= self._spacing(self._cost) * RATE

    async def look(
        self, piece: Piece, *, language: str, prompt: str, before: Sequence[str], end: int
    ) -> Glimpse | None:
        """Decodes the open piece as it is now; ``None`` if nothing believable came of it.

        ``before``: the last committed words, where the piece begins a little before their ``end`` (samples).
        """
        self._seen = piece.end
        request = Request(piece.audio, piece.start, piece.speech, language, prompt, Rank.PARTIAL)
        try:
            heard = plausibility.cleaned(await self._decoder.decode(request))
        except DecodeFailed:
            return None  # the final of the same audio will come, or mark the gap
        self._cost = heard.seconds
        if plausibility.doubt(heard, speech=piece.speech, reached=0) or is_silence(heard, piece):
            return None
        words = tuple(word.text for word in plausibility.without_repetition(heard, before, end).words)
        if not words:
            return None
        shown = self._stabiliser.receive(words)
        return Glimpse(tuple(shown), self._stabiliser.frozen, heard.seconds)
