"""One way of hearing a reel from its beginning to its end: window by window, as far as its audio has come.

A window is heard in the language its stretch of the conversation is known to have.  Where the language may change, one
that made little sense is heard again at once in the language the model finds in it: nobody waits, and the next window
would come too late for this one's words.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from ambientd.core import plausibility
from ambientd.core.audio import RATE
from ambientd.core.decoding import AUTO, Decoder, Heard, Rank
from ambientd.core.final import Stretch
from ambientd.core.prompt import prompt_for
from ambientd.core.seam import Seam, without_repetition
from ambientd.core.segmenter import FRAME, Piece, Rules
from ambientd.core.tongue import Style, Tongue
from ambientd.core.transcript import Gap, Line
from ambientd.core.windows import Cuts, next_window
from ambientd.errors import DecodeFailed
from ambientd.session.ear import Hearing, hear
from ambientd.session.names import Names
from ambientd.session.reel import Reel

MOST_CARRIED: Final = 2
"""Windows in a row that may be left before their end; then the rest is given up."""

BREATH: Final = 8
"""Frames of silence at which hearing may begin again after a stretch that was lost: a quarter of a second."""

STRANGE_RUN: Final = 1
"""Strange windows in a row after which the language is asked for: a window is as long as two live pieces."""

Known = Callable[[Piece], Style]
"""What is known of how a window is to be heard; ``AUTO`` where its language is not."""

Correct = Callable[[Piece, Hearing], Heard]
"""What is to be written of a window, for what was heard in it."""


class Reader:
    """Where it is, and what it has written.  Times are samples since the session started.

    Each sample before :attr:`at` is in one of ``heard``, ``silent`` and ``lost``, and in one only.
    """

    def __init__(
        self,
        reel: Reel,
        cuts: Cuts,
        known: Known,
        *,
        prompted: bool = True,
        correct: Correct = lambda _, hearing: hearing.heard,
    ) -> None:
        """``prompted``: whether it is heard with a prompt."""
        self.at = reel.origin
        """All before is dealt with."""
        self.lines: list[Line] = []
        self.model = ""
        """Name of the model that heard it."""
        self.heard: list[Stretch] = []
        self.silent: list[Stretch] = []
        self.lost: list[Stretch] = []
        """Where it has no text, though there may have been speech."""
        self.gaps: list[Gap] = []
        """Those of them whose audio it had, and why there is no text."""
        self.seconds = 0.0
        """Of the engine's time."""
        self.cuts = cuts
        self.names = Names()
        """Those of the conversation."""
        self._reel = reel
        self._known = known
        self._prompted = prompted
        self._tongue = Tongue(AUTO, run=STRANGE_RUN)
        self._correct = correct
        self._gate = Rules()
        self._carried = 0
        self._seam: Seam | None = None
        """Where the next window begins a little before the end of the last line."""
        self._last_words: tuple[str, ...] = ()
        self._reached = reel.origin
        """How far the lines go."""

    def next_piece(self, *, complete: bool, within: int) -> Piece | None:
        """The next window to be heard, once enough is known of it; passes over silence and what was lost.

        ``complete``: no more audio will come.  ``within``: samples; a window that ends later must wait.
        """
        cuts, reel = self.cuts, self._reel
        enough = (cuts.most + cuts.least) // FRAME
        while True:
            self._skip_lost()
            judged = reel.judged(self.at, enough + 1)
            whole = complete and len(judged) <= enough
            window = next_window(judged, complete=whole, cuts=cuts) if len(judged) else None
            if window is None:
                if complete and not len(judged):
                    self._pass(reel.end)  # less than a frame, which was never judged
                return None
            # The last few samples of a session are less than a frame, and were never judged.
            last = whole and window.end == len(judged)
            end = reel.end if last else min(reel.end, self.at + window.end * FRAME)
            voiced = judged[: window.end] >= cuts.threshold
            peak = float(judged[: window.end].max())
            speech = int(np.count_nonzero(voiced)) * FRAME
            is_speech = self._seam is not None or (
                speech >= self._gate.min_speech and peak >= self._gate.min_peak
            )
            if window.speech and is_speech:
                if end > within:
                    return None
                return Piece(self.at, reel.audio(self.at, end), voiced, peak, "pause")
            self._pass(end)

    async def hear(self, decoder: Decoder, piece: Piece) -> None:
        """Hears the window that :meth:`next_piece` gave."""
        style = self._known(piece)
        self._tongue.follow(style)
        try:
            hearing = await self._decoded(decoder, piece, style)
        except DecodeFailed:
            self.gaps.append(Gap(self.at, piece.end, "decode_failed"))
            self.lose(piece.end)
            return
        self.model = hearing.heard.model
        if self._seam:
            # Before the vote: the others have had theirs on these words.
            hearing = replace(hearing, heard=without_repetition(hearing.heard, self._seam))
        self._write(piece, replace(hearing, heard=self._correct(piece, hearing)))

    async def _decoded(self, decoder: Decoder, piece: Piece, style: Style) -> Hearing:
        """What is heard in a window, in the language that fits it best."""
        tongue = self._tongue
        asked = tongue.question
        hearing = await self._heard(decoder, piece, asked, style)
        tongue.listen(hearing.heard, speech=piece.speech, asked=asked)
        if tongue.question != AUTO or asked == AUTO:
            return hearing
        with suppress(DecodeFailed):
            other = await self._heard(decoder, piece, AUTO, style)
            if other.heard.words and (
                not hearing.heard.words or other.heard.log_probability > hearing.heard.log_probability
            ):
                hearing = other
            tongue.listen(hearing.heard, speech=piece.speech, asked=AUTO)
        return hearing

    async def _heard(self, decoder: Decoder, piece: Piece, language: str, style: Style) -> Hearing:
        hearing = await hear(
            decoder,
            piece,
            language=language,
            otherwise=self._tongue.otherwise,
            prompt=prompt_for(language, style.own) if self._prompted else "",
            may_carry=self._carried < MOST_CARRIED,
            # Three ways of hearing make up for a clause that one of them leaves out: measured, docs/benchmarks.md.
            from_breath=False,
            rank=Rank.BACKGROUND,
            names=self.names,
        )
        self.seconds += hearing.seconds
        return hearing

    def lose(self, end: int) -> None:
        """Gives up what lies before ``end``."""
        if end > self.at:
            self.lost.append((self.at, end))
            self._advance(end)

    def _write(self, piece: Piece, hearing: Hearing) -> None:
        heard, unheard = hearing.heard, hearing.unheard
        start = max(piece.start, self._reached)
        end = min(unheard.start, piece.end) if unheard else piece.end
        if hearing.gap:
            gap = replace(hearing.gap, start=max(hearing.gap.start, self.at))
            self.gaps.append(gap)
            self.lost.append((gap.start, gap.end))
            self.heard.append((self.at, gap.start))
        else:
            self.heard.append((self.at, end))
        if heard.words:
            segments = tuple(segment.not_before(start) for segment in heard.segments)
            self.lines.append(
                Line(
                    index=len(self.lines),
                    text=heard.text,
                    start=start,
                    end=segments[-1].end if unheard or hearing.gap else max(end, segments[-1].end),
                    segments=segments,
                    confidence=plausibility.confidence(heard.words),
                    language=heard.language,
                    model=heard.model,
                    processing_ms=1000 * hearing.seconds,
                )
            )
            self._last_words = tuple(word.text for word in heard.words)
            self._reached = self.lines[-1].end
        self._carried = self._carried + 1 if unheard else 0
        self._advance(end)
        self._seam = Seam(self._last_words, end, self._reached) if unheard else None

    def _skip_lost(self) -> None:
        """Passes over audio that had to give way, to the next breath: a word cut in two is heard wrong."""
        if self._reel.start <= self.at:
            return
        quiet = self._reel.judged(self._reel.start, RATE * 10 // FRAME) < self.cuts.release
        runs = np.convolve(quiet, np.ones(BREATH), "valid") if len(quiet) >= BREATH else np.empty(0)
        breath = np.flatnonzero(runs == BREATH)
        self.lose(self._reel.start + (int(breath[0]) * FRAME if len(breath) else 0))

    def _pass(self, end: int) -> None:
        """Nobody speaks before ``end``."""
        if end > self.at:
            self.silent.append((self.at, end))
            self._advance(end)

    def _advance(self, end: int) -> None:
        self._seam = None
        self.at = max(self.at, end)
