"""One conversation from its first sample to its last stored line.

One task per session does everything in order: take the audio that waits, find pieces of speech, have them decoded,
store the line, show the line.  So there is at most one decode in flight per session, lines come in order, and a
session that falls behind simply takes more at its next turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ambientd.core import protocol
from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Decoder
from ambientd.core.metrics import SessionMetrics
from ambientd.core.protocol import Message, Wishes
from ambientd.core.record import EndReason, Refinement, SessionState
from ambientd.core.room import Recording, recording
from ambientd.core.segmenter import Detect, Piece, Segmenter
from ambientd.core.tongue import Style
from ambientd.core.transcript import Gap
from ambientd.errors import AmbientError, ClientError, StoreUnavailable
from ambientd.session.arrivals import Arrivals
from ambientd.session.capacity import Capacity
from ambientd.session.hold import Hold, Holder
from ambientd.session.hub import Hub
from ambientd.session.inbox import Hole, Inbox
from ambientd.session.intake import Intake
from ambientd.session.ledger import Ledger
from ambientd.session.limits import Lifetime
from ambientd.session.past import Past
from ambientd.session.refiner import Refiner
from ambientd.session.scribe import Scribe
from ambientd.session.terms import Terms
from ambientd.store.refusals import NoSuchSession

logger = logging.getLogger(__name__)

FOREVER: Final = 1 << 62
"""Samples: nothing follows any more."""

REMEMBERED: Final = 60 * RATE
"""Samples behind what is judged whose arrival is remembered: more than one decode can hold."""

HASTE: Final = 20.0
"""Seconds by which the audio of a session that has ended counts as older than it is, when lanes are given out.

Somebody waits for its end, it asks for little more, and its last piece, cut short, would be the youngest of all.
Finite, so that a run of ending sessions cannot hold up the others without bound."""


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Somebody wants the session destroyed."""

    origin: str | None
    """Where that comes from."""
    actor: str = "client"


class Session:
    """One conversation.  Whoever opens it owns the task that runs :meth:`run`, and feeds it."""

    def __init__(
        self,
        session_id: str,
        terms: Terms,
        *,
        detect: Detect,
        decoder: Decoder,
        ledger: Ledger,
        past: Past | None = None,
        capacity: Capacity | None = None,
        refiner: Refiner | None = None,
    ) -> None:
        """``past``: what is on record of it, if the daemon stopped in its middle.

        ``capacity``: the box's; without one the session has it for itself.  ``refiner``: who hears it a second time.
        """
        past = past or Past()
        self.id = session_id
        self.terms = terms
        self.connected_at = past.connected_at or datetime.now(UTC)
        self.owner = past.owner or terms.owner
        """Id of the principal that opened it."""
        self.reopened = past.cut_off
        """Whether it was there before the daemon started."""
        self.hub = Hub()
        self.finished = asyncio.Event()
        """Set once the session has ended and its listeners have been told."""
        self.stored = False
        """Whether the ending is on record."""
        self.destroyed = False
        """Whether it was discarded, and nothing of it is left."""
        self._unwanted: Unwanted | None = None
        self._lifetime = Lifetime(terms.limits, past=past.end / RATE)
        self._holder = Holder()
        self._ledger = ledger
        self._capacity = capacity or Capacity(1)
        self._arrivals = Arrivals()
        self._late: int | None = None
        """Samples: the end of the piece being heard."""
        self._intake = Intake(sample_rate=terms.sample_rate, channels=terms.channels, taken=past.end)
        self._inbox = Inbox(terms.inbox)
        self._refiner = refiner
        self._draft = refiner.begin(session_id, self.hub, self._style, start=past.end) if refiner else None
        self._names = terms.names()
        if self._draft:
            self._draft.expect(self._names)
            detect = self._draft.reel.judging(detect)
        self._segmenter = Segmenter(detect, terms.rules, start=past.end)
        self._spoken = past.end
        """Samples: how far somebody is known to have spoken."""
        self._scribe = Scribe(
            session_id,
            decoder=decoder,
            ledger=ledger,
            hub=self.hub,
            clock=lambda: self._lifetime.seconds,
            language=terms.language,
            prompt=terms.prompt,
            names=self._names,
            past=past,
            arrived=self._turn,
            spacing=self._capacity.spacing,
        )
        if self._draft:
            self._scribe.committed = self._draft.committed
        self._reason: EndReason | None = None
        self._ended_at: datetime | None = None
        self._acknowledged = self._intake.taken
        """Samples of the client's that it has been told of."""

    @property
    def duration(self) -> float:
        """Seconds since the session was opened."""
        return self._lifetime.seconds

    @property
    def later(self) -> bool:
        """Whether it is only recorded, and transcribed when the box has time."""
        return False

    @property
    def lag(self) -> float:
        """Seconds for which text that could be there is not.

        They count from the arrival of the last sound of the piece being heard, or of the first that nobody has judged.
        """
        waiting = self._late if self._late is not None else self._segmenter.received if self._inbox else None
        return 0.0 if waiting is None else time.monotonic() - self._arrivals.at(waiting)

    @property
    def text(self) -> str:
        """All committed text so far."""
        return self._scribe.text

    @property
    def metrics(self) -> SessionMetrics:
        """The figures so far."""
        return self._scribe.metrics

    @property
    def reason(self) -> EndReason | None:
        """Why the session is ending, or has ended; ``None`` while it goes on."""
        return self._reason

    @property
    def ending(self) -> bool:
        """Whether the session takes no more audio."""
        return self._reason is not None

    @property
    def state(self) -> Recording:
        """Whether it takes audio."""
        if self.finished.is_set():
            return Recording.ENDED
        if self.ending:
            return Recording.ENDING
        return Recording.PAUSED if self._lifetime.paused else Recording.RECORDING

    @property
    def quiet(self) -> float:
        """Seconds of its audio since somebody last spoke; known where there is a limit to it."""
        return (self._segmenter.received - self._spoken) / RATE

    def info(self) -> Message:
        """The ``session_info`` message."""
        return protocol.session_info(
            self.id,
            connected_at=self.connected_at,
            full_transcript=self.text,
            metrics=self.metrics,
            duration=self.duration,
        )

    async def feed(self, frame: bytes, hold: Hold | None = None) -> None:
        """Takes one frame of the client's audio; waits while the inbox is full, so that a socket is slowed down.

        ``hold``: the connection's right to feed, where there can be more than one.

        Raises:
            ClientError: the frame is not audio this session can read, the session is ending, or another connection
                has it by now.
        """
        self.touch()
        # Before the frame is counted as taken: whoever is cancelled here has lost nothing.
        await self._inbox.room()
        if hold is not None:
            hold.check()
        if self.ending:
            raise _ending()
        if self._lifetime.paused:
            raise ClientError(
                "paused",
                "the session is paused, and this audio was not taken",
                hint='Send {"type": "resume_recording"} first.',
            )
        self._put(self._intake.receive(frame))
        self._acknowledge()

    def hear(self, audio: Samples) -> bool:
        """Takes ``audio`` (float32, 16 kHz, mono) of a microphone, which cannot wait; whether there was room for it.

        What is not taken is to be made known with :meth:`lost`.
        """
        self.touch()
        if self.ending or self._lifetime.paused:
            return True  # nobody wants it
        if self._inbox.full:
            return False
        self._intake.taken += len(audio)
        self._put(audio)
        return True

    def lost(self, count: int) -> None:
        """Marks the next ``count`` of the client's samples as audio that will never come."""
        self.touch()
        if self.ending:
            return
        hole = Hole(self._intake.skip(count))
        self._inbox.put_hole(hole)
        self._scribe.received(hole.samples)
        self._acknowledge()

    def make_up(self, count: int) -> None:
        """Marks what was missed while the daemon was away, and counts that time in."""
        self.lost(count)
        self._lifetime.align(self._intake.taken / self.terms.sample_rate)

    def _acknowledge(self) -> None:
        if self._intake.taken - self._acknowledged >= self.terms.sample_rate:
            self._acknowledged = self._intake.taken
            self.hub.publish(protocol.ack(self._acknowledged))

    def pause(self) -> None:
        """Time stands still: what was being said is committed, and nothing is taken until :meth:`go_on`.

        Raises:
            ClientError: the session is ending.
        """
        if self.ending:
            raise _ending()
        if not self._lifetime.paused:
            self._lifetime.pause()
            # A hole of no length: what comes after the pause is not heard together with what came before.
            self._inbox.put_hole(Hole(0))
            self._tell()

    def go_on(self) -> None:
        """Time goes on after :meth:`pause`.

        Raises:
            ClientError: the session is ending.
        """
        if self.ending:
            raise _ending()
        if self._lifetime.paused:
            self._lifetime.go_on()
            self._inbox.stir()
            self._tell()

    def _tell(self) -> None:
        self.hub.publish(recording(self.id, state=self.state, elapsed=self.duration))

    @property
    def taken(self) -> int:
        """Samples taken from the client, at the client's own rate."""
        return self._intake.taken

    @property
    def deserted(self) -> bool:
        """Whether the client has vanished and may come back."""
        return self._lifetime.deserted

    @property
    def resume_token(self) -> str:
        """What a client must know to come back while its old connection still seems alive."""
        return self._holder.token

    def knows(self, token: str) -> bool:
        """Whether ``token`` is this session's."""
        return self._holder.knows(token)

    def desert(self, hold: Hold | None = None) -> None:
        """The client has vanished without an end: wait for it for the grace time, then end.

        Nothing happens if another connection than that of ``hold`` has the session by now.
        """
        if hold is not None and hold.lost.is_set():
            return
        if self.terms.limits.grace == 0:
            self.end(EndReason.DISCONNECT)
            return
        self._lifetime.desert()
        self._inbox.stir()

    def attach(self) -> Hold:
        """A connection has the session from now on, and goes on from :attr:`taken`; the one before has it no more."""
        self._intake.interrupt()
        self._lifetime.resume()
        return self._holder.take()

    def configure(self, wishes: Wishes) -> None:
        """Takes over the language, the prompt and the names a client wishes for, from the next piece on.

        Raises:
            ClientError: the model does not know the language; nothing is changed.
        """
        self.terms.check(wishes.language)
        if wishes.language is not None:
            self._scribe.speak(wishes.language)
        if wishes.prompt is not None:
            self._scribe.prompt = wishes.prompt
        if wishes.vocabulary is not None:
            self._names.own(wishes.vocabulary)

    @property
    def language(self) -> str:
        """The language in force: as set, or as detected."""
        return self._scribe.language

    def _style(self) -> Style:
        return self._scribe.style

    @property
    def waiting(self) -> int:
        """Samples that wait to be judged."""
        return self._inbox.samples

    def touch(self) -> None:
        """Notes a sign of life: the idle time starts anew."""
        self._lifetime.touch()

    def end(self, reason: EndReason) -> None:
        """Asks the session to end: what was received is still decoded and stored.  The first reason counts."""
        if self._reason is None:
            self._reason = reason
            self._put(self._intake.finish())
            self._inbox.close()

    def discard(self, origin: str | None = None, *, actor: str = "client") -> None:
        """Asks for the session to be destroyed at once: nothing more is decoded, and nothing of it is kept.

        If its end is being stored just now, it is not :attr:`destroyed` when it has finished, and the record has to be.

        ``origin``: where the wish comes from; ``actor``: whose it is, for the audit.
        """
        self._unwanted = self._unwanted or Unwanted(origin, actor)
        self._reason = EndReason.DISCARDED
        self._inbox.clear()
        self._inbox.close()
        self._scribe.abandon()

    def abandon(self) -> None:
        """Gives up what is not yet decoded: it becomes a gap.  For a shutdown that must not wait any longer."""
        self._scribe.abandon()

    def _put(self, audio: Samples) -> None:
        self._inbox.put(audio)
        self._scribe.received(len(audio))
        self._arrivals.note(self.metrics.received_samples, time.monotonic())

    def _turn(self, sample: int) -> float:
        """When that sample came in, as far as the order among sessions is concerned."""
        return self._arrivals.at(sample) - (HASTE if self.ending else 0.0)

    async def run(self) -> None:
        """Runs the session until it has ended and is stored.

        Raises:
            StoreUnavailable: the ending itself could not be stored; ``close_record`` may be tried again, and the
                next start closes as interrupted what is still open.
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
            await self.close_record()
        except StoreUnavailable as error:
            self._fail(error)
            raise
        finally:
            self.let_go()
            self.finished.set()

    def let_go(self) -> None:
        """Nothing more will come of the session: its listeners are let go, and its audio is destroyed.

        What the refiner has taken over stays with the refiner.
        """
        if self._refiner and self._draft and not self._draft.complete:
            self._refiner.drop(self._draft)
        self.hub.close(but="refined" if self._draft and self._draft.complete else None)

    async def _converse(self) -> None:
        segmenter, scribe = self._segmenter, self._scribe
        while not scribe.abandoned:
            while self._inbox and not scribe.abandoned:
                await self._judge(self._inbox.take())
                self._arrivals.forget(before=segmenter.received - REMEMBERED)
                if not segmenter.speaking:
                    await scribe.settle(segmenter.received)
                self._expire()
                await asyncio.sleep(0)
            if self.ending:
                break
            if self.hub.wants("partial") and (piece_so_far := segmenter.open_piece()):
                await scribe.preview(piece_so_far)
                segmenter.settle(scribe.written)
            await self._wait()
        if not scribe.abandoned:
            for piece in segmenter.finish():
                await self._commit(piece)
            await scribe.settle(FOREVER)
        if self._unwanted is None:
            await self._mark_rest("shutdown")  # nothing, unless the session was abandoned

    async def _judge(self, audio: Samples | Hole) -> None:
        """Has committed what ends in ``audio``; before a hole everything ends."""
        segmenter, scribe = self._segmenter, self._scribe
        if self._draft:
            self._draft.receive(audio)
        if not isinstance(audio, Hole):
            async with self._capacity.turn:
                pieces = segmenter.receive(audio)
                # A hundred sounds may wait in as many rooms: judged in one turn of the loop they would block it.
                await asyncio.sleep(0)
            self._hark(pieces)
            for piece in pieces:
                await self._commit(piece)
            return
        start = segmenter.received
        for piece in segmenter.skip(audio.samples):
            await self._commit(piece)
        await scribe.settle(FOREVER)
        if not scribe.abandoned:
            await scribe.mark(Gap(start, start + audio.samples, "lost"))

    def _hark(self, pieces: list[Piece]) -> None:
        """Notes that somebody has just spoken, where the limit of silence asks; ``pieces``: those that have ended."""
        if self.terms.limits.silence and (pieces or self._segmenter.open_piece()):
            self._spoken = self._segmenter.received

    async def _commit(self, piece: Piece) -> None:
        self._late = piece.end
        try:
            await self._scribe.commit(piece)
        finally:
            self._late = None
        self._capacity.lagged(time.monotonic() - self._arrivals.at(piece.end))

    async def _mark_rest(self, reason: str) -> None:
        await self._scribe.mark_rest(self._segmenter.open_piece(), self._segmenter.received, reason)

    async def _wait(self) -> None:
        """Waits for audio worth judging or the end, and ends the session when its time is up."""
        if not self._inbox:
            try:
                async with asyncio.timeout(self._lifetime.left()):
                    await self._inbox.stirred()
            except TimeoutError:
                pass  # what it means is decided below: a sign of life may have come meanwhile
        beat = self._capacity.beat
        if not self.ending and self._inbox.samples < beat * RATE:
            try:
                async with asyncio.timeout(beat):
                    await self._inbox.stirred(round(beat * RATE))
            except TimeoutError:
                pass  # the client has paused: what is there is all there is
        self._expire()

    def _expire(self) -> None:
        """Ends the session if its time is up."""
        if self._lifetime.left() <= 0 and not self.ending:
            reason, farewell = self._lifetime.verdict()
            self.hub.publish(protocol.error(farewell))
            self.end(reason)
        elif 0 < self.terms.limits.silence <= self.quiet and not self.ending:
            self.end(EndReason.SILENCE)

    def _fail(self, error: AmbientError) -> None:
        """Ends the session at once: no more decoding, but what is stored stays, and the client learns why."""
        self.hub.publish(protocol.error(error))
        self._reason = EndReason.ERROR
        self._inbox.clear()
        self._inbox.close()

    async def close_record(self) -> None:
        """Stores the end of the session.

        Raises:
            StoreUnavailable: its record is still open.
        """
        if self._unwanted is not None:
            with suppress(NoSuchSession):  # somebody was faster, while the disk took nothing
                await self._ledger.discard(
                    self.id, actor=self._unwanted.actor, origin=self._unwanted.origin, still_open=True
                )
            self.destroyed = self.stored = True
            logger.info("session discarded", extra={"session": self.id})
            self.hub.publish(protocol.session_ended(self.id, reason=EndReason.DISCARDED, lines=0))
            return
        reason = self._reason or EndReason.ERROR
        again = bool(self._draft and self.metrics.chunks_processed and reason is not EndReason.ERROR)
        self._ended_at = self._ended_at or datetime.now(UTC)
        await self._finalise(reason, self._ended_at, Refinement.WAITING if again else Refinement.NONE)
        self.stored = True
        logger.info(
            "session ended",
            extra={
                "session": self.id,
                "reason": reason,
                "lines": self.metrics.chunks_processed,
                "seconds": round(self.metrics.received_samples / RATE, 1),
            },
        )
        self.hub.publish(
            protocol.session_ended(
                self.id,
                reason=reason,
                lines=self.metrics.chunks_processed,
                ephemeral=self.terms.ephemeral,
                later=self.later,
            )
        )
        if again and self._refiner and self._draft:
            self._refiner.end(self._draft)

    async def _finalise(self, reason: EndReason, ended_at: datetime, refinement: Refinement) -> None:
        await self._ledger.finalise(
            self.id,
            state=SessionState.INTERRUPTED if reason is EndReason.ERROR else SessionState.ENDED,
            reason=reason,
            ended_at=ended_at,
            metrics=self.metrics,
            language=self.language,
            monotonic_end=time.monotonic(),
            refinement=refinement,
        )


def _ending() -> ClientError:
    return ClientError(
        "session_ending",
        "the session is ending, and this audio was not taken",
        hint="Open a new session.",
    )
