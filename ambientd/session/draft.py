"""One conversation heard a second time: window by window, as far as its audio has come.

    Rule 1  Each sample is heard again, is silence, or keeps its live words; never two of them.
    Rule 2  Live words are kept where the audio had to give way, where the decode failed, and where what it gave cannot
            be believed: a second hearing never takes away what the first one found.
    Rule 3  Audio is destroyed as soon as its window has been heard, and all of it at the end.

What comes of it is put together with the live words by :mod:`ambientd.core.final`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ambientd.core import plausibility
from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Decoder, Rank
from ambientd.core.final import Stretch, final_lines, joined
from ambientd.core.segmenter import FRAME, Piece, Rules
from ambientd.core.transcript import Line
from ambientd.core.windows import USUAL, Cuts, next_window
from ambientd.errors import DecodeFailed
from ambientd.session.ear import Hearing, hear
from ambientd.session.inbox import Hole
from ambientd.session.reel import Reel

MOST_CARRIED: Final = 2
"""Windows in a row that may be left before their end; then the live words of the rest are kept."""

BREATH: Final = 8
"""Frames of silence at which hearing may begin again after a stretch that was lost: a quarter of a second."""

Style = Callable[[], tuple[str, str]]
"""The language and the prompt in force."""


class Draft:
    """The second text of one session in the making.  Times are samples since the session started."""

    def __init__(
        self, session_id: str, reel: Reel, *, style: Style, cuts: Cuts = USUAL, gate: Rules | None = None
    ) -> None:
        self.session_id = session_id
        self.reel = reel
        self.stir: Callable[[], None] = lambda: None
        """Called when there may be something to hear."""
        self.style = style
        self.at = reel.origin
        """All before is dealt with."""
        self.complete = False
        """No more audio will come."""
        self.lines: list[Line] = []
        self.model = ""
        """Name of the model that heard it."""
        self.kept: list[Stretch] = [(0, reel.origin)]
        """Where the live words stand.  Of what lies before the reel there never was audio."""
        self.heard: list[Stretch] = []
        self.silent: list[Stretch] = []
        self.seconds = 0.0
        """Of the engine's time."""
        self._cuts = cuts
        self._gate = gate or Rules()
        self._carried = 0
        self._seam = False
        """Whether the next window begins a little before the end of the last line."""
        self._last_words: Sequence[str] = ()
        self._reached = reel.origin
        """How far the lines go."""

    @property
    def backlog(self) -> int:
        """Samples that wait to be heard."""
        return self.reel.end - self.at

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do and nothing will come."""
        return self.complete and self.at >= self.reel.end

    @property
    def ready(self) -> bool:
        """Whether it is worth asking for the next window."""
        return self.complete or self.reel.judged_end - self.at >= self._cuts.most

    def receive(self, audio: Samples | Hole) -> None:
        """Takes audio that the voice detector is about to judge."""
        if isinstance(audio, Hole):
            self.reel.skip(audio.samples)
        else:
            self.reel.receive(audio)
        if self.ready:
            self.stir()

    def next_piece(self) -> Piece | None:
        """The next window to be heard, once enough is known of it; passes over silence and what was lost."""
        cuts, reel = self._cuts, self.reel
        enough = (cuts.most + cuts.least) // FRAME
        while True:
            self._skip_lost()
            judged = reel.judged(self.at, enough + 1)
            whole = self.complete and len(judged) <= enough
            window = next_window(judged, complete=whole, cuts=cuts) if len(judged) else None
            if window is None:
                if self.complete and not len(judged):
                    self._pass(reel.end)  # less than a frame, which was never judged
                return None
            # The last few samples of a session are less than a frame, and were never judged.
            last = whole and window.end == len(judged)
            end = reel.end if last else min(reel.end, self.at + window.end * FRAME)
            voiced = judged[: window.end] >= cuts.threshold
            peak = float(judged[: window.end].max())
            speech = int(np.count_nonzero(voiced)) * FRAME
            is_speech = self._seam or (speech >= self._gate.min_speech and peak >= self._gate.min_peak)
            if window.speech and is_speech:
                return Piece(self.at, reel.audio(self.at, end), voiced, peak, "pause")
            self._pass(end)

    async def hear(self, decoder: Decoder, piece: Piece) -> None:
        """Hears the window that :meth:`next_piece` gave."""
        language, prompt = self.style()
        try:
            hearing = await hear(
                decoder,
                piece,
                language=language,
                prompt=prompt,
                may_carry=self._carried < MOST_CARRIED,
                rank=Rank.BACKGROUND,
            )
        except DecodeFailed:
            self.keep(piece.end)
            return
        self.seconds += hearing.seconds
        self.model = hearing.heard.model
        if self._seam:
            heard = plausibility.without_repetition(hearing.heard, self._last_words, self._reached)
            hearing = replace(hearing, heard=heard)
        self._write(piece, hearing)

    def keep(self, end: int) -> None:
        """Keeps the live words as far as ``end``."""
        self.kept.append((self.at, end))
        self._advance(end)

    def final(self, live: Sequence[Line]) -> list[Line]:
        """The final lines: the refined ones, and of the live ones what is kept."""
        return final_lines(self.lines, live, self.kept)

    @property
    def kept_samples(self) -> int:
        """Samples that keep their live words."""
        return sum(end - start for start, end in joined(self.kept))

    def _write(self, piece: Piece, hearing: Hearing) -> None:
        heard, unheard = hearing.heard, hearing.unheard
        start = max(piece.start, self._reached)
        end = min(unheard.start, piece.end) if unheard else piece.end
        if hearing.gap:
            self.kept.append((max(hearing.gap.start, self.at), hearing.gap.end))
            self.heard.append((self.at, max(hearing.gap.start, self.at)))
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
            self._last_words = [word.text for word in heard.words]
            self._reached = self.lines[-1].end
        self._carried = self._carried + 1 if unheard else 0
        self._advance(end)
        self._seam = unheard is not None

    def _skip_lost(self) -> None:
        """Passes over audio that had to give way, to the next breath: a word cut in two is heard wrong."""
        if self.reel.start <= self.at:
            return
        quiet = self.reel.judged(self.reel.start, RATE * 10 // FRAME) < self._cuts.release
        runs = np.convolve(quiet, np.ones(BREATH), "valid") if len(quiet) >= BREATH else np.empty(0)
        breath = np.flatnonzero(runs == BREATH)
        self.keep(self.reel.start + (int(breath[0]) * FRAME if len(breath) else 0))

    def _pass(self, end: int) -> None:
        """Nobody speaks before ``end``."""
        if end > self.at:
            self.silent.append((self.at, end))
            self._advance(end)

    def _advance(self, end: int) -> None:
        self._seam = False
        self.at = max(self.at, end)
        self.reel.forget(self.at)
