"""One conversation heard a second time.

    Rule 1  It is heard in several ways, each with its own prompt and its own cuts: they make different mistakes.  The
            last gives the frame, and every word of it is put to the vote among all, the live text included.
    Rule 2  Each sample is heard again, is silence, or keeps its live words; never two of them.
    Rule 3  Live words are kept where the audio had to give way, where the decode failed, and where what it gave cannot
            be believed: a second hearing never takes away what the first one found.  For the same reason a hearing that
            was lost somewhere has no vote there.
    Rule 4  Audio is destroyed as soon as all have heard it, and all of it at the end.
    Rule 5  Each window is heard in the language the conversation had there: as the live text says it, and without one
            as the hearing without a prompt, which is ahead of the others, finds it out.  What was heard in another
            language has no vote.

What comes of it is put together with the live words by :mod:`ambientd.core.final`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ambientd.core import plausibility
from ambientd.core.audio import RATE, Samples
from ambientd.core.calibration import with_calibrated_words
from ambientd.core.decoding import AUTO, Decoder, Heard
from ambientd.core.final import ASTRAY, Stretch, final_lines, joined
from ambientd.core.marks import corrections
from ambientd.core.numerals import plain
from ambientd.core.segmenter import Piece
from ambientd.core.tongue import Style, most_said
from ambientd.core.transcript import Gap, Line, Word
from ambientd.core.vote import Ballot, vote
from ambientd.core.windows import Cuts
from ambientd.session.ballots import ballot
from ambientd.session.ear import Hearing
from ambientd.session.inbox import Hole
from ambientd.session.names import Names
from ambientd.session.reader import Reader
from ambientd.session.reel import Reel

LONG: Final = Cuts()
MIDDLE: Final = Cuts(least=14 * RATE, most=26 * RATE)
SHORT: Final = Cuts(least=8 * RATE, most=16 * RATE)
"""Source of these and of who hears with which: measured, docs/benchmarks.md."""

LIVE: Final = 20 * RATE
"""Samples after which live text is there: the longest piece, and time to hear it."""


class Draft:
    """The second text of one session in the making.  Times are samples since the session started."""

    def __init__(
        self,
        session_id: str,
        reel: Reel,
        *,
        style: Callable[[], Style],
        live: bool = True,
        cuts: Sequence[Cuts] = (LONG, MIDDLE, SHORT),
    ) -> None:
        """``style``: what is in force now.

        ``live``: whether there is a live text; without one, a third way of hearing has its vote.

        ``cuts``: of the frame, of the hearing without a prompt, and of the third.
        """
        self.session_id = session_id
        self.reel = reel
        self.stir: Callable[[], None] = lambda: None
        """Called when there may be something to hear."""
        self.complete = False
        """No more audio will come."""
        long, middle, short = cuts
        self._style = style
        self._frame = Reader(reel, long, self._found, correct=self._vote)
        self._ahead = Reader(reel, middle, self._held, prompted=False)
        """Always heard first: it tells the others the language."""
        self._others = [self._ahead]
        if not live:
            self._others.append(Reader(reel, short, self._found))
        self._before: list[Stretch] = [(0, reel.origin)]
        """Of what lies before the reel there never was audio."""
        self._live: list[Line] = []
        self._told: list[tuple[Line, Style]] = []
        """Live lines, and what was in force when they had been heard."""
        self.names = Names()
        """Those of the conversation."""
        self._used: list[Word | None] = [None] * (1 + len(self._others))
        """Of the live text and of each of the others: the last word that has had its vote."""
        self._restored: tuple[Word, ...] = ()
        """What was put back at the end of the last window."""
        self._delay = LIVE if live else 0

    @property
    def at(self) -> int:
        """All before is dealt with."""
        return self._frame.at

    @property
    def lines(self) -> list[Line]:
        """The refined lines so far."""
        return self._frame.lines

    @property
    def gaps(self) -> list[Gap]:
        """Where nothing to believe was heard, and why."""
        return self._frame.gaps

    @property
    def model(self) -> str:
        """Name of the model that heard it."""
        return self._frame.model

    @property
    def seconds(self) -> float:
        """Of the engine's time."""
        return sum(reader.seconds for reader in (self._frame, *self._others))

    @property
    def kept(self) -> list[Stretch]:
        """Where the live words stand."""
        return [*self._before, *self._frame.lost]

    @property
    def kept_samples(self) -> int:
        """Samples that keep their live words."""
        return sum(end - start for start, end in joined(self.kept))

    @property
    def dealt(self) -> list[Stretch]:
        """All that is heard, silent or kept, in no order."""
        return [*self.kept, *self._frame.heard, *self._frame.silent]

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
        if self.complete:
            return True
        # Asked for each second of audio of each session: no more than these differences.
        known, frame = self.reel.judged_end, self._frame
        reach = frame.at + frame.cuts.most + frame.cuts.lead
        return known - frame.at >= frame.cuts.most + self._delay or any(
            reader.at < reach and known - reader.at >= reader.cuts.most for reader in self._others
        )

    def expect(self, names: Names) -> None:
        """Has the conversation's names heard right in every way of hearing: else they would be voted down."""
        self.names = names
        for reader in (self._frame, *self._others):
            reader.names = names

    def committed(self, line: Line) -> None:
        """Takes a line of the live text."""
        self._live.append(line)
        style = self._style()
        # A short piece of a conversation whose language is not yet known says nothing of it.
        if style.language != AUTO:
            self._told.append((line, style))

    def receive(self, audio: Samples | Hole) -> None:
        """Takes audio that the voice detector is about to judge."""
        if isinstance(audio, Hole):
            self.reel.skip(audio.samples)
        else:
            self.reel.receive(audio)
        if self.ready:
            self.stir()

    def next_piece(self) -> tuple[Reader, Piece] | None:
        """The next window to be heard and who hears it, once enough is known of it."""
        end, frame = self.reel.end, self._frame
        while True:
            before = frame.at
            # The others first, as far as the frame's next window can reach: it waits for their votes.
            reach = before + frame.cuts.most + frame.cuts.lead
            for reader in self._others:
                if reader.at < reach and (piece := reader.next_piece(complete=self.complete, within=end)):
                    return reader, piece
                if self._ahead.at < min(reach, end):
                    break  # it has not told the language yet
            known = min(
                [end if self.complete else end - self._delay, *(reader.at for reader in self._others)]
            )
            piece = frame.next_piece(complete=self.complete, within=known)
            self._forget()
            if piece is not None:
                return frame, piece
            if frame.at == before:
                return None

    async def hear(self, decoder: Decoder, reader: Reader, piece: Piece) -> None:
        """Hears what :meth:`next_piece` gave."""
        await reader.hear(decoder, piece)
        self._forget()

    def keep(self, end: int) -> None:
        """Keeps the live words as far as ``end``."""
        for reader in (self._frame, *self._others):
            reader.lose(end)
        self._forget()

    async def final(self, live: Sequence[Line]) -> list[Line]:
        """The final lines: the refined ones, and of the live ones what is kept; names marked in both."""
        lines = final_lines([await self.told(line) for line in self.lines], live, self.kept)
        # Of a live line that was cut, a name may have been cut in two: what is left of it is marked too.
        return [replace(line, corrections=corrections(line.words)) for line in lines]

    async def told(self, line: Line) -> Line:
        """A refined line as the reader gets it: its names marked, its probabilities calibrated as the live ones are."""
        line = await self.names.marked(line, line.words)
        segments = with_calibrated_words(line.segments)
        words = [word for segment in segments for word in segment.words]
        return replace(line, segments=segments, confidence=plausibility.confidence(words))

    def _forget(self) -> None:
        self.reel.forget(min(reader.at for reader in (self._frame, *self._others)))

    def _held(self, piece: Piece) -> Style:
        """What was in force where a window lies."""
        if there := most_said(self._told, piece.start, piece.end):
            return there
        before = [style for line, style in self._told if line.start < piece.end]
        return [*before[-1:], *(style for _, style in self._told[:1]), self._style()][0]

    def _found(self, piece: Piece) -> Style:
        """The same, in the language in which the reader ahead has heard the window."""
        style = self._held(piece)
        lines = ((line, line.language) for line in self._ahead.lines)
        found = most_said(lines, piece.start, piece.end) if style.free else None
        return replace(style, language=found) if found else style

    def _vote(self, piece: Piece, hearing: Hearing) -> Heard:
        """What most of the hearings say was said in a window."""
        start = max(
            [self.reel.origin, *(end for _, end in [*self._frame.heard[-1:], *self._frame.lost[-1:]])]
        )
        end = min([piece.end, *(rest.start for rest in (hearing.gap, hearing.unheard) if rest)])
        texts = [self._live, *(reader.lines for reader in self._others)]
        ballots = [
            ballot(lines, used, piece, hearing.heard) for lines, used in zip(texts, self._used, strict=True)
        ]
        heard = self._not_again(hearing.heard, ballots)
        outcome = vote(heard.segments, ballots, within=(start, end))
        self._used = [
            used if last is None else last for used, last in zip(self._used, outcome.last, strict=True)
        ]
        self._restored = outcome.restored
        return replace(heard, segments=outcome.segments)

    def _not_again(self, heard: Heard, ballots: Sequence[Ballot]) -> Heard:
        """``heard`` without what it opens with that was put back behind the window before: now it is heard here.

        Unless another hearing has it once more.
        """
        before, words = self._restored, heard.words
        for count in range(min(len(before), len(words)), 0, -1):
            said = [plain(word.text) for word in before[-count:]]
            if (
                said == [plain(word.text) for word in words[:count]]
                and words[0].start < before[-1].end + ASTRAY
            ):
                again = any(said == [plain(word.text) for word in each.words[:count]] for each in ballots)
                return heard if again else plausibility.only(heard, words[count:])
        return heard
