"""The open utterance as it is being spoken, for those who want to see words at once.

It is decoded again as it grows.  Each pass covers at least as much new audio as the last took to compute, so that
previews never use more than their share.  Source of the rule: moonshine, docs/using/transcription.md.  As the box
fills they become rarer: see :meth:`~ambientd.session.capacity.Capacity.spacing`.

A pass is not only for show.  At a pause inside the utterance, what several passes agree on is *ripe*: it is committed
there and then, while its audio stays in front of what follows, so that nothing is heard worse for it.  And where only
silence followed the last pass, its words are those of the whole utterance, and need not be decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ambientd.core import plausibility
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder, Heard, Rank, Request
from ambientd.core.seam import Seam, without_repetition
from ambientd.core.segmenter import Piece
from ambientd.core.stabiliser import Stabiliser
from ambientd.core.transcript import Word
from ambientd.errors import DecodeFailed
from ambientd.session.ear import WORTH_HEARING, is_silence

LEAST_NEW: Final = RATE // 2
"""Samples of new audio that make another pass worth its decode."""

INNER_PAUSE: Final = RATE // 4
"""Samples of silence at which what has been said may be committed, although the utterance goes on."""

ENOUGH_SILENCE: Final = RATE // 5
"""Samples of silence that a pass must have heard behind the last word to stand for the whole utterance.
Source of both: measured, docs/benchmarks.md."""

SENTENCE_END: Final = frozenset(".?!\u3002\uff1f\uff01")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one pass showed."""

    words: tuple[str, ...]
    stable: int
    """How many of the words, from the first, stand until the utterance ends."""
    seconds: float
    """Engine seconds it took."""
    ripe: Heard | None = None
    """The words that can be committed now: all that are not yet."""


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
        self._last: tuple[Request, Heard] | None = None
        """The last pass over the open utterance, as the engine gave it."""
        self.committed = False
        """Whether words of the open utterance are in a line already."""

    def reset(self) -> None:
        """The utterance has ended; the next one begins from nothing."""
        self._stabiliser.reset()
        self._last = None
        self.committed = False

    def commit(self, words: Sequence[Word]) -> None:
        """These words, which were ripe, are in a line now."""
        self._stabiliser.commit(words)
        self.committed = True

    def fresh(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """Those of a decode's words that are in no line yet."""
        return tuple(words[self._stabiliser.fresh(words) :])

    def whole(self, piece: Piece, *, language: str, prompt: str) -> Heard | None:
        """What a decode of the whole ``piece`` would give, if the last pass missed nothing but silence."""
        if self._last is None:
            return None
        request, heard = self._last
        same = (request.start, request.speech, request.language, request.prompt) == (
            piece.start,
            piece.speech,
            language,
            prompt,
        )
        return heard if same and request.end <= piece.end else None

    def is_due(self, piece: Piece) -> bool:
        """Whether enough is new in the open ``piece`` for another pass, and a lane is free for it.

        A preview never waits for a lane: while it did, its own session could not ask for a final.
        """
        new = piece.end - max(piece.start, self._seen)
        if new < max(LEAST_NEW, round(self._cost * RATE)) or not self._decoder.idle:
            return False
        return new >= self._spacing(self._cost) * RATE

    async def look(
        self, piece: Piece, *, language: str, prompt: str, seam: Seam | None = None
    ) -> Glimpse | None:
        """Decodes the open piece as it is now; ``None`` if nothing believable came of it.

        ``seam``: where the piece begins a little before the end of the last line.
        """
        self._seen = piece.end
        self._last = None
        request = Request(piece.audio, piece.start, piece.speech, language, prompt, Rank.PARTIAL)
        try:
            heard = await self._decoder.decode(request)
        except DecodeFailed:
            return None  # the final of the same audio will come, or mark the gap
        self._cost = heard.seconds
        if piece.quiet >= ENOUGH_SILENCE:
            self._last = request, heard
        heard = plausibility.said_once(plausibility.cleaned(heard), speech=piece.speech)
        if plausibility.doubt(heard, speech=piece.speech, reached=0) or is_silence(heard, piece):
            return None
        if seam:
            heard = without_repetition(heard, seam)
        words = heard.words
        if not words:
            return None
        reading = self._stabiliser.receive(words, end=piece.end)
        ripe = None
        if (
            reading.settled
            and piece.quiet >= INNER_PAUSE
            and words[-1].text[-1] in SENTENCE_END
            and piece.after(heard.segments[-1].end).speech < WORTH_HEARING
        ):
            ripe = plausibility.only(heard, words[reading.fresh :])
        return Glimpse(reading.shown, reading.stable, heard.seconds, ripe)
