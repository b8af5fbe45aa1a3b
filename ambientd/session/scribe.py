"""Pieces in, lines on record: has each piece heard, stores what was said, then shows it.

The order is the point: a line is on the disk before anybody sees it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ambientd.core import plausibility, protocol
from ambientd.core.audio import RATE
from ambientd.core.calibration import with_calibrated_words
from ambientd.core.decoding import Decoder, Heard, Request, nothing
from ambientd.core.prompt import prompt_for
from ambientd.core.seam import Seam, without_repetition
from ambientd.core.segmenter import Piece
from ambientd.core.tongue import Style, Tongue
from ambientd.core.transcript import Gap, Line
from ambientd.errors import DecodeFailed
from ambientd.session.ear import WORTH_HEARING, Hearing, hear
from ambientd.session.hub import Hub
from ambientd.session.ledger import Ledger
from ambientd.session.names import Names
from ambientd.session.past import Past
from ambientd.session.preview import Preview

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 3 * RATE
"""Samples of silence after which what is unheard is not heard together with what follows."""

LONGEST_WINDOW: Final = 28 * RATE
"""Samples one decode may hold: Whisper's window is 30 s."""

MOST_CARRIED: Final = 2
"""Times in a row that something may be left unheard; a decoder that stops early every time must not cost more."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a piece that its decode did not reach."""

    piece: Piece
    seam: Seam
    """To the last line, at whose end it begins."""


class Scribe:
    """Writes down one session.  Calls must come one after the other; only :meth:`abandon` may come at any time."""

    def __init__(
        self,
        session_id: str,
        *,
        decoder: Decoder,
        ledger: Ledger,
        hub: Hub,
        clock: Callable[[], float],
        language: str,
        prompt: str | None,
        names: Names | None = None,
        past: Past,
        arrived: Callable[[int], float],
        spacing: Callable[[float], float],
    ) -> None:
        """``clock`` gives the seconds since the session began; ``prompt``: see :func:`prompt_for`.

        ``arrived``: when a sample came in, see :class:`Request`.  ``spacing``: see :meth:`Capacity.spacing`.
        """
        # What had come in and was not on record when the daemon stopped comes again, or is marked as lost.
        self.metrics = replace(past.metrics, received_samples=past.end)
        self.prompt = prompt
        self.abandoned = False
        self.committed: Callable[[Line], None] = lambda _: None
        """Called with each line once it is stored."""
        self._session_id = session_id
        self._decoder = decoder
        self._ledger = ledger
        self._hub = hub
        self._clock = clock
        self._arrived = arrived
        self._names = names or Names()
        self._preview = Preview(decoder, spacing)
        self._texts = [line.text for line in past.lines]
        self._last_words: list[str] = []
        """Of the last line."""
        self._committed_end = past.end
        """Samples: how far the last line reaches."""
        self._decoded_end = past.end
        """Samples: how far the engine has been."""
        self._unheard: Tail | None = None
        """The end of the last piece, if its decode stopped before it: to be heard with what follows."""
        self._carried = 0
        """How often in a row something was left unheard."""
        self._tongue = Tongue(language)
        self._hearing: Piece | None = None
        """The piece being heard, until it is a line, a gap or nothing."""
        self._shown = False
        """Whether a partial stands on the listeners' screens."""
        self._patience: asyncio.Timeout | None = None
        """Bounds the decode in flight once the session is abandoned."""

    @property
    def language(self) -> str:
        """In force: as set, or as found out."""
        return self._tongue.language

    @property
    def style(self) -> Style:
        """What is in force."""
        return Style(self.language, self.prompt, free=self._tongue.free)

    def speak(self, language: str) -> None:
        """Sets the language from the next piece on; :data:`~ambientd.core.decoding.AUTO` has it found out."""
        self._tongue = Tongue(language)

    @property
    def written(self) -> int:
        """Samples: how far the lines reach."""
        return self._committed_end

    @property
    def text(self) -> str:
        """All committed text so far."""
        return " ".join(self._texts)

    def received(self, samples: int) -> None:
        """Counts audio that has come in."""
        self.metrics = replace(self.metrics, received_samples=self.metrics.received_samples + samples)

    def abandon(self) -> None:
        """Gives up the decode in flight and all that would follow."""
        self.abandoned = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def commit(self, piece: Piece) -> None:
        """Hears a piece, together with what is unheard of the one before if it follows soon, else after that.

        Raises:
            StoreUnavailable: its line could not be stored, and was not shown.
        """
        tail, self._unheard = self._unheard, None
        if tail is None:
            await self._hear(piece)
        elif _follows(piece, tail.piece) or self._preview.committed:
            # A line that holds words of both has been written already: they cannot be parted any more.
            await self._hear(tail.piece.before(piece), seam=tail.seam)
        else:
            await self._hear(tail.piece, seam=tail.seam)
            await self.commit(piece)

    async def settle(self, received: int) -> None:
        """Hears what is unheard by itself, once ``received`` samples without speech show that nothing follows soon.

        Raises:
            StoreUnavailable: as :meth:`commit`.
        """
        while (tail := self._unheard) and not self.abandoned and received - tail.piece.end > LONGEST_PAUSE:
            self._unheard = None
            await self._hear(tail.piece, seam=tail.seam)

    async def preview(self, piece: Piece) -> None:
        """Shows the open ``piece`` as it is now, if it is time for that, or commits it as far as it is ripe.

        Raises:
            StoreUnavailable: as :meth:`commit`.
        """
        tail = self._unheard
        if not self._preview.is_due(piece) or (tail and not _follows(piece, tail.piece)):
            return
        ready = time.monotonic()
        whole = tail.piece.before(piece) if tail else piece
        try:
            async with asyncio.timeout(None) as self._patience:
                glimpse = await self._preview.look(
                    whole,
                    language=self.language,
                    prompt=prompt_for(self.language, self.prompt),
                    seam=tail.seam if tail else None,
                )
                ripe = await self._named(whole, glimpse.ripe) if glimpse and glimpse.ripe else None
        except TimeoutError:
            return  # abandoned
        finally:
            self._patience = None
        if glimpse:
            self.metrics = replace(self.metrics, decode_seconds=self.metrics.decode_seconds + glimpse.seconds)
            if ripe and glimpse.ripe:
                await self._write(Hearing(ripe, 0.0), whole, processing_ms=1000 * (time.monotonic() - ready))
                self._preview.commit(glimpse.ripe.words)
            else:
                self._show(glimpse.words, glimpse.stable, piece)

    async def mark_rest(self, open_piece: Piece | None, silent_until: int, reason: str) -> None:
        """Marks everything that is neither decoded nor known to be silence.

        ``open_piece``: what is being said.  ``silent_until``: samples, where the audio begins that nobody has judged.

        Raises:
            StoreUnavailable: it could not be marked.
        """
        unheard = self._unheard.piece if self._unheard else None
        started = [piece.start for piece in (self._hearing, unheard, open_piece) if piece]
        await self.mark(Gap(min(started, default=silent_until), self.metrics.received_samples, reason))

    async def _hear(self, piece: Piece, *, seam: Seam | None = None) -> None:
        """``seam``: the piece begins with what was unheard of another, a little before the end of that one's line."""
        ready = time.monotonic()
        self._hearing = piece
        language = self._tongue.question
        prompt = prompt_for(language, self.prompt)
        try:
            async with asyncio.timeout(0 if self.abandoned else None) as self._patience:
                hearing = await hear(
                    self._decoder,
                    piece,
                    language=language,
                    otherwise=self._tongue.otherwise,
                    prompt=prompt,
                    since=self._arrived(piece.start),
                    may_carry=self._carried < MOST_CARRIED,
                    first=self._preview.whole(piece, language=language, prompt=prompt),
                    names=self._names,
                    names_after=self._committed_end if self._preview.committed else 0,
                )
        except DecodeFailed as error:
            logger.warning("piece not decoded", extra={"session": self._session_id, "error": error})
            hearing = Hearing(nothing(self.language), 0.0, Gap(piece.start, piece.end, "decode_failed"))
        except TimeoutError:
            return  # abandoned: the piece becomes part of one gap at the end
        finally:
            self._patience = None
        self._tongue.listen(hearing.heard, speech=piece.speech, asked=language)
        if seam:
            hearing = replace(hearing, heard=without_repetition(hearing.heard, seam))
        hearing = self._without_committed(hearing)
        self._preview.reset()
        self._note(piece, hearing)
        if hearing.heard.words:
            await self._write(hearing, piece, processing_ms=1000 * (time.monotonic() - ready))
        elif self._shown:
            self._show((), 0, piece)
        if hearing.gap:
            await self.mark(hearing.gap)
        self._unheard = None
        if rest := hearing.unheard:
            self._unheard = Tail(rest, Seam(tuple(self._last_words), rest.start, self._committed_end))
        self._carried = self._carried + 1 if hearing.unheard else 0
        self._hearing = None

    def _without_committed(self, hearing: Hearing) -> Hearing:
        """What is left to be written where a part of the piece is in a line already."""
        if not self._preview.committed:
            return hearing
        heard = plausibility.only(hearing.heard, self._preview.fresh(hearing.heard.words))
        unheard = hearing.unheard
        if unheard and unheard.start < self._committed_end:
            rest = unheard.after(self._committed_end)
            unheard = rest if rest.speech >= WORTH_HEARING else None
        return replace(hearing, heard=heard, unheard=unheard)

    def _note(self, piece: Piece, hearing: Hearing) -> None:
        self.metrics = replace(
            self.metrics,
            decoded_samples=self.metrics.decoded_samples + piece.end - max(piece.start, self._decoded_end),
            decode_seconds=self.metrics.decode_seconds + hearing.seconds,
        )
        self._decoded_end = piece.end

    def _line(self, hearing: Hearing, piece: Piece, *, processing_ms: float) -> Line:
        heard = hearing.heard
        start = max(piece.start, self._committed_end)
        segments = with_calibrated_words(segment.not_before(start) for segment in heard.segments)
        return Line(
            index=self.metrics.chunks_processed,
            text=heard.text,
            start=start,
            # What follows belongs to the next line, or to the gap.
            end=segments[-1].end if hearing.unheard or hearing.gap else piece.end,
            segments=segments,
            confidence=plausibility.confidence([word for segment in segments for word in segment.words]),
            language=heard.language,
            model=heard.model,
            processing_ms=processing_ms,
        )

    async def _named(self, piece: Piece, heard: Heard) -> Heard:
        """A part of the open ``piece`` that is about to be committed, with its names right."""
        request = Request(
            piece.audio, piece.start, piece.speech, self.language, since=self._arrived(piece.start)
        )
        heard, spent = await self._names.weighed(self._decoder, request, heard)
        self.metrics = replace(self.metrics, decode_seconds=self.metrics.decode_seconds + spent)
        return self._names.put_in(heard)

    async def _write(self, hearing: Hearing, piece: Piece, *, processing_ms: float) -> None:
        line = self._line(hearing, piece, processing_ms=processing_ms)
        line = await self._names.marked(line, hearing.heard.words)
        metrics = self.metrics.with_line(line)
        await self._ledger.append_line(self._session_id, line, metrics)
        # Audio may have come in while the disk was at work.
        self.metrics = replace(metrics, received_samples=self.metrics.received_samples)
        self._texts.append(line.text)
        self._committed_end = line.end
        self._last_words = [word.text for word in line.words]
        self._shown = False
        self.committed(line)
        self._hub.publish(protocol.transcript(line, session_time=self._clock()))

    async def mark(self, gap: Gap) -> None:
        """Stores a gap, then shows it.

        Raises:
            StoreUnavailable: it could not be stored, and was not shown.
        """
        # A piece with a carried beginning starts before the end of what is committed.
        gap = replace(gap, start=max(gap.start, self._committed_end))
        if gap.start >= gap.end:
            return
        metrics = replace(self.metrics, gap_samples=self.metrics.gap_samples + gap.end - gap.start)
        await self._ledger.append_gap(self._session_id, gap, metrics)
        self.metrics = replace(metrics, received_samples=self.metrics.received_samples)
        self._hub.publish(protocol.gap(gap))

    def _show(self, words: Sequence[str], stable: int, piece: Piece) -> None:
        """Shows the open utterance; no words take back what was shown."""
        self._shown = bool(words)
        text, kept = " ".join(words), " ".join(words[:stable])
        self._hub.publish(
            protocol.partial(text, kept, start=max(piece.start, self._committed_end), end=piece.end)
        )


def _follows(piece: Piece, tail: Piece) -> bool:
    """Whether ``piece`` comes soon enough after ``tail``, and is short enough, to be heard with it."""
    return piece.start - tail.end <= LONGEST_PAUSE and piece.end - tail.start <= LONGEST_WINDOW
