"""One conversation from its first sample to its last stored line.

One task per session does everything in order: take the audio that waits, find pieces of speech, have them decoded,
store the line, show the line.  So there is at most one decode in flight per session, lines come in order, and a
session that falls behind simply takes more at its next turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from ambientd.core import plausibility, protocol
from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import AUTO, Decoder, nothing
from ambientd.core.metrics import SessionMetrics
from ambientd.core.prompt import prompt_for
from ambientd.core.protocol import Message, Wishes
from ambientd.core.record import EndReason, SessionState
from ambientd.core.segmenter import Detect, Piece, Rules, Segmenter
from ambientd.core.transcript import Gap, Line
from ambientd.errors import AmbientError, ClientError, DecodeFailed, StoreUnavailable
from ambientd.session.ear import Hearing, hear
from ambientd.session.hub import Hub
from ambientd.session.inbox import Inbox
from ambientd.session.intake import Intake
from ambientd.session.ledger import Ledger
from ambientd.session.limits import Lifetime, Limits
from ambientd.session.preview import Preview

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 3 * RATE
"""Samples of silence after which what is unheard is not heard together with what follows."""

LONGEST_WINDOW: Final = 28 * RATE
"""Samples one decode may hold: Whisper's window is 30 s."""

MOST_CARRIED: Final = 2
"""Times in a row that something may be left unheard; a decoder that stops early every time must not cost more."""

LEAST_TO_DETECT: Final = 3 * RATE
"""Speech a piece must hold for its detected language to be kept for the session."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session is opened with."""

    rules: Rules
    language: str
    prompt: str | None = None
    """``None`` takes a passage that fits the language."""
    sample_rate: int = RATE
    """Hz: what the client sends."""
    channels: int = 1
    inbox: int = 30 * RATE
    """Samples that may wait to be judged before :meth:`Session.feed` waits."""
    limits: Limits = field(default_factory=Limits)


class Session:
    """One conversation.  Whoever opens it owns the task that runs :meth:`run`, and feeds it."""

    def __init__(
        self, session_id: str, terms: Terms, *, detect: Detect, decoder: Decoder, ledger: Ledger
    ) -> None:
        self.id = session_id
        self.terms = terms
        self.connected_at = datetime.now(UTC)
        self.hub = Hub()
        self.metrics = SessionMetrics()
        self.finished = asyncio.Event()
        """Set once the session has ended and its listeners have been told."""
        self.stored = False
        """Whether the ending is on record."""
        self._lifetime = Lifetime(terms.limits)
        self._decoder = decoder
        self._ledger = ledger
        self._intake = Intake(sample_rate=terms.sample_rate, channels=terms.channels)
        self._segmenter = Segmenter(detect, terms.rules)
        self._preview = Preview(decoder)
        self._language = terms.language
        self._prompt = terms.prompt
        self._texts: list[str] = []
        self._last_words: list[str] = []
        """Of the last line."""
        self._committed_end = 0
        """Samples: how far the last line reaches."""
        self._decoded_end = 0
        """Samples: how far the engine has been."""
        self._unheard: Piece | None = None
        """The end of the last piece, if its decode stopped before it: to be heard with what follows."""
        self._carried = 0
        """How often in a row something was left unheard."""
        self._hearing: Piece | None = None
        """The piece being decoded, until it is a line, a gap or nothing."""
        self._shown = False
        """Whether a partial stands on the listeners' screens."""
        self._inbox = Inbox(terms.inbox)
        self._reason: EndReason | None = None
        self._abandoned = False
        self._patience: asyncio.Timeout | None = None
        """Bounds the decode in flight once the session is abandoned."""
        self._acknowledged = 0

    @property
    def duration(self) -> float:
        """Seconds since the session was opened."""
        return self._lifetime.seconds

    @property
    def lag(self) -> float:
        """Seconds of audio received and not yet judged."""
        return self._inbox.samples / RATE

    @property
    def text(self) -> str:
        """All committed text so far."""
        return " ".join(self._texts)

    @property
    def reason(self) -> EndReason | None:
        """Why the session is ending, or has ended; ``None`` while it goes on."""
        return self._reason

    @property
    def ending(self) -> bool:
        """Whether the session takes no more audio."""
        return self._reason is not None

    def info(self) -> Message:
        """The ``session_info`` message."""
        return protocol.session_info(
            self.id,
            connected_at=self.connected_at,
            full_transcript=self.text,
            metrics=self.metrics,
            duration=self.duration,
        )

    async def feed(self, frame: bytes) -> None:
        """Takes one frame of the client's audio; waits while the inbox is full, so that a socket is slowed down.

        Raises:
            ClientError: the frame is not audio this session can read, or the session is ending.
        """
        self.touch()
        # Before the frame is counted as taken: whoever is cancelled here has lost nothing.
        await self._inbox.room()
        if self.ending:
            raise ClientError(
                "session_ending",
                "the session is ending, and this audio was not taken",
                hint="Open a new session.",
            )
        self._put(self._intake.receive(frame))
        if self._intake.taken - self._acknowledged >= self.terms.sample_rate:
            self._acknowledged = self._intake.taken
            self.hub.publish(protocol.ack(self._acknowledged))

    @property
    def taken(self) -> int:
        """Samples taken from the client, at the client's own rate."""
        return self._intake.taken

    @property
    def deserted(self) -> bool:
        """Whether the client has vanished and may come back."""
        return self._lifetime.deserted

    def desert(self) -> None:
        """The client has vanished without an end: wait for it for the grace time, then end."""
        if self.terms.limits.grace == 0:
            self.end(EndReason.DISCONNECT)
            return
        self._intake.interrupt()
        self._lifetime.desert()
        self._inbox.stir()

    def resume(self) -> None:
        """The client is back, and goes on from :attr:`taken`."""
        self._lifetime.resume()

    def configure(self, wishes: Wishes) -> None:
        """Takes over the language and the prompt a client wishes for, from the next piece on."""
        if wishes.language is not None:
            self._language = wishes.language
        if wishes.prompt is not None:
            self._prompt = wishes.prompt

    @property
    def language(self) -> str:
        """The language in force: as set, or as detected."""
        return self._language

    def _prompt_now(self) -> str:
        return prompt_for(self._language, self._prompt)

    def touch(self) -> None:
        """Notes a sign of life: the idle time starts anew."""
        self._lifetime.touch()

    def end(self, reason: EndReason) -> None:
        """Asks the session to end: what was received is still decoded and stored.  The first reason counts."""
        if self._reason is None:
            self._reason = reason
            self._put(self._intake.finish())
            self._inbox.close()

    def abandon(self) -> None:
        """Gives up what is not yet decoded: it becomes a gap.  For a shutdown that must not wait any longer."""
        self._abandoned = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _put(self, audio: Samples) -> None:
        self._inbox.put(audio)
        self.metrics = replace(self.metrics, received_samples=self.metrics.received_samples + len(audio))

    async def run(self) -> None:
        """Runs the session until it has ended and is stored.

        Raises:
            StoreUnavailable: the ending itself could not be stored; the record stays open, and is closed as
                interrupted at the next start.
        """
        try:
            try:
                await self._converse()
            except StoreUnavailable as error:
                self._fail(error)
            # The task boundary: whatever a defect raised, the record is closed and the client told.
            except Exception as error:
                logger.exception("session failed", extra={"session": self.id, "error": type(error).__name__})
                self._fail(
                    AmbientError("something went wrong inside the server", hint="Your lines are stored.")
                )
                await self._mark_rest("error")
            await self._finalise()
            self.stored = True
        except StoreUnavailable as error:
            self._fail(error)
            raise
        finally:
            self.hub.close()
            self.finished.set()

    async def _converse(self) -> None:
        while not self._abandoned:
            while self._inbox and not self._abandoned:
                for piece in self._segmenter.receive(self._inbox.take()):
                    await self._commit(piece)
                await self._settle()
                self._expire()
                await asyncio.sleep(0)
            if self.ending:
                break
            await self._show_partial()
            await self._wait()
        for piece in [] if self._abandoned else self._segmenter.finish():
            await self._commit(piece)
        await self._settle(now=True)
        if self._abandoned:
            await self._mark_rest("shutdown")

    async def _settle(self, *, now: bool = False) -> None:
        """Hears what is unheard by itself, once it is clear that nothing will follow it soon."""
        while (
            (tail := self._unheard)
            and not self._abandoned
            and (
                now or (not self._segmenter.speaking and self._segmenter.received - tail.end > LONGEST_PAUSE)
            )
        ):
            self._unheard = None
            await self._hear(tail, seam=True)

    async def _wait(self) -> None:
        """Waits for audio or the end, and ends the session when its time is up."""
        if not self._inbox:
            try:
                async with asyncio.timeout(self._lifetime.left()):
                    await self._inbox.stirred()
            except TimeoutError:
                pass  # what it means is decided below: a sign of life may have come meanwhile
        self._expire()

    def _expire(self) -> None:
        """Ends the session if its time is up."""
        if self._lifetime.left() <= 0 and not self.ending:
            reason, farewell = self._lifetime.verdict()
            self.hub.publish(protocol.error(farewell))
            self.end(reason)

    async def _commit(self, piece: Piece) -> None:
        """Hears a piece, together with what is unheard of the one before if it follows soon, else after that."""
        tail, self._unheard = self._unheard, None
        if tail is None:
            await self._hear(piece)
        elif _follows(piece, tail):
            await self._hear(tail.before(piece), seam=True)
        else:
            await self._hear(tail, seam=True)
            await self._commit(piece)

    async def _hear(self, piece: Piece, *, seam: bool = False) -> None:
        """Has a piece decoded, stores its line, then shows it.

        ``seam``: the piece begins a little before the end of what is committed.
        """
        ready = time.monotonic()
        self._preview.reset()
        self._hearing = piece
        try:
            async with asyncio.timeout(0 if self._abandoned else None) as self._patience:
                hearing = await hear(
                    self._decoder,
                    piece,
                    language=self._language,
                    prompt=self._prompt_now(),
                    may_carry=self._carried < MOST_CARRIED,
                )
        except DecodeFailed as error:
            logger.warning("piece not decoded", extra={"session": self.id, "error": error})
            hearing = Hearing(nothing(self._language), 0.0, Gap(piece.start, piece.end, "decode_failed"))
        except TimeoutError:
            return  # abandoned: the piece becomes part of one gap at the end
        finally:
            self._patience = None
        if seam:
            heard = plausibility.without_repetition(hearing.heard, self._last_words, self._committed_end)
            hearing = replace(hearing, heard=heard)
        self._note(piece, hearing)
        if hearing.heard.words:
            await self._write(self._line(hearing, piece, processing_ms=1000 * (time.monotonic() - ready)))
        elif self._shown:
            self._show((), 0, piece)
        if hearing.gap:
            await self._mark(hearing.gap)
        self._unheard = hearing.unheard
        self._carried = self._carried + 1 if hearing.unheard else 0
        self._hearing = None

    async def _write(self, line: Line) -> None:
        metrics = self.metrics.with_line(line)
        await self._ledger.append_line(self.id, line, metrics)
        self.metrics = replace(metrics, received_samples=self.metrics.received_samples)
        self._texts.append(line.text)
        self._committed_end = line.end
        self._last_words = [word.text for word in line.words]
        self._shown = False
        self.hub.publish(protocol.transcript(line, session_time=self.duration))

    def _note(self, piece: Piece, hearing: Hearing) -> None:
        self.metrics = replace(
            self.metrics,
            decoded_samples=self.metrics.decoded_samples + piece.end - max(piece.start, self._decoded_end),
            decode_seconds=self.metrics.decode_seconds + hearing.seconds,
        )
        self._decoded_end = piece.end
        if self._language == AUTO and piece.speech >= LEAST_TO_DETECT and hearing.heard.words:
            self._language = hearing.heard.language

    def _line(self, hearing: Hearing, piece: Piece, *, processing_ms: float) -> Line:
        heard = hearing.heard
        start = max(piece.start, self._committed_end)
        segments = tuple(segment.not_before(start) for segment in heard.segments)
        return Line(
            index=self.metrics.chunks_processed,
            text=heard.text,
            start=start,
            # What follows belongs to the next line, or to the gap.
            end=segments[-1].end if hearing.unheard or hearing.gap else piece.end,
            segments=segments,
            confidence=plausibility.confidence(heard.words),
            language=heard.language,
            model=heard.model,
            processing_ms=processing_ms,
        )

    async def _mark(self, gap: Gap) -> None:
        # A piece with a carried beginning starts before the end of what is committed.
        gap = replace(gap, start=max(gap.start, self._committed_end))
        if gap.start >= gap.end:
            return
        metrics = replace(self.metrics, gap_samples=self.metrics.gap_samples + gap.end - gap.start)
        await self._ledger.append_gap(self.id, gap, metrics)
        self.metrics = replace(metrics, received_samples=self.metrics.received_samples)
        self.hub.publish(protocol.gap(gap))

    async def _mark_rest(self, reason: str) -> None:
        """Marks everything that is neither decoded nor known to be silence."""
        open_pieces = (self._hearing, self._unheard, self._segmenter.open_piece())
        start = min((piece.start for piece in open_pieces if piece), default=self._segmenter.received)
        await self._mark(Gap(start, self.metrics.received_samples, reason))

    async def _show_partial(self) -> None:
        """Shows the open utterance to those who asked to see it."""
        piece = self._segmenter.open_piece() if self.hub.wants("partial") else None
        if piece is None or not self._preview.is_due(piece):
            return
        tail = self._unheard
        if tail and not _follows(piece, tail):
            return
        try:
            async with asyncio.timeout(None) as self._patience:
                glimpse = await self._preview.look(
                    tail.before(piece) if tail else piece,
                    language=self._language,
                    prompt=self._prompt_now(),
                    before=self._last_words if tail else (),
                    end=self._committed_end,
                )
        except TimeoutError:
            return  # abandoned
        finally:
            self._patience = None
        if glimpse:
            self.metrics = replace(self.metrics, decode_seconds=self.metrics.decode_seconds + glimpse.seconds)
            self._show(glimpse.words, glimpse.stable, piece)

    def _show(self, words: Sequence[str], stable: int, piece: Piece) -> None:
        """Shows the open utterance; no words take back what was shown."""
        self._shown = bool(words)
        text, kept = " ".join(words), " ".join(words[:stable])
        self.hub.publish(protocol.partial(text, kept, start=piece.start, end=piece.end))

    def _fail(self, error: AmbientError) -> None:
        """Ends the session at once: no more decoding, but what is stored stays, and the client learns why."""
        self.hub.publish(protocol.error(error))
        self._reason = EndReason.ERROR
        self._shown = False
        self._inbox.clear()
        self._inbox.close()

    async def _finalise(self) -> None:
        reason = self._reason or EndReason.ERROR
        await self._ledger.finalise(
            self.id,
            state=SessionState.INTERRUPTED if reason is EndReason.ERROR else SessionState.ENDED,
            reason=reason,
            ended_at=datetime.now(UTC),
            metrics=self.metrics,
        )
        logger.info(
            "session ended",
            extra={
                "session": self.id,
                "reason": reason,
                "lines": self.metrics.chunks_processed,
                "seconds": round(self.metrics.received_samples / RATE, 1),
            },
        )
        self.hub.publish(protocol.session_ended(self.id, reason=reason, lines=self.metrics.chunks_processed))


def _follows(piece: Piece, tail: Piece) -> bool:
    """Whether ``piece`` comes soon enough after ``tail``, and is short enough, to be heard with it."""
    return piece.start - tail.end <= LONGEST_PAUSE and piece.end - tail.start <= LONGEST_WINDOW
