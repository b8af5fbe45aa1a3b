"""Recordings sent as files: heard as a conversation is heard the second time, one after the other, in the background.

    Rule 1  Each is a session like any other: its lines are stored as they come, exported and delivered.
    Rule 2  Audio is taken as it is needed: about a minute of it is in memory, however long the recording.
    Rule 3  So many files at once and no more; who comes later is told when to come again.
    Rule 4  What is broken off (cancelled, a shutdown, a defect) keeps what was stored, as an interrupted session.

The result is in the store, not here: only what is queued, running, or has just ended is known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import AUTO, Decoder
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import BOX, Box, Details, EndReason, Refinement, SessionState
from ambientd.core.segmenter import FRAME, Detect
from ambientd.core.tongue import Style, main_language
from ambientd.core.transcript import Gap
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.session.draft import Draft
from ambientd.session.ledger import Ledger
from ambientd.session.names import Names
from ambientd.session.reel import Shelf
from ambientd.session.registry import boot_id, new_id

logger = logging.getLogger(__name__)

CLIENT: Final = "upload"
"""What stands for the client in the record of an uploaded recording."""

REMEMBERED: Final = 100
"""Ended uploads whose outcome is still known here."""

RETRY: Final = 60.0
"""Seconds after which to ask again when the queue is full."""


class Source(Protocol):
    """A recording being read."""

    @property
    def seconds(self) -> float:
        """How long it says it is."""
        ...

    @property
    def fault(self) -> str:
        """Why not all of it could be read; empty if it could."""
        ...

    def __aiter__(self) -> AsyncIterator[Samples]:
        """The samples, a second or so at a time."""
        ...

    async def close(self) -> None:
        """Gives up what is not yet read."""
        ...


class Stage(StrEnum):
    """Where an upload stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(slots=True, eq=False)
class Upload:
    """One recording, from its arrival on."""

    session_id: str
    source: Source
    language: str
    """As asked for; once it is heard, what most of it was said in."""
    prompt: str | None
    names: Names
    began: datetime
    owner: str = BOX
    stage: Stage = Stage.QUEUED
    at: int = 0
    """Samples dealt with."""
    fault: str = ""
    """What to tell whoever sent it: why it failed, or why not all of it was heard."""
    metrics: SessionMetrics = field(default_factory=SessionMetrics)
    task: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """Length of the recording, as far as it is known."""
        return self.source.seconds

    @property
    def progress(self) -> float:
        """From 0 to 1; 1 only when it is done."""
        if self.stage is Stage.DONE:
            return 1.0
        return min(0.99, self.at / RATE / self.seconds) if self.seconds else 0.0


class Uploads:
    """All uploads.  Use :func:`open_uploads`."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        decoder: Decoder,
        detector: Callable[[], Detect],
        ledger: Ledger,
        describe: Callable[[str, Details], Awaitable[None]],
        model: str,
        box: Box,
        most: int,
        longest: float,
    ) -> None:
        self._tasks = tasks
        self._decoder = decoder
        self._detector = detector
        self._ledger = ledger
        self._describe = describe
        self._model = model
        self._box = box
        self._most = most
        self._longest = longest
        self._arriving = 0
        self._uploads: dict[str, Upload] = {}
        self._turn = asyncio.Lock()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Uploads arriving, queued or running."""
        busy = (Stage.QUEUED, Stage.RUNNING)
        return self._arriving + sum(upload.stage in busy for upload in self._uploads.values())

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue while a file arrives.

        Raises:
            ClientError: the queue is full, or the service is stopping.
        """
        if self._closing:
            raise ClientError("going_away", "the service is stopping", hint="Try again in a minute.")
        if self.waiting >= self._most:
            raise ClientError(
                "uploads_full",
                f"all {self._most} places for recordings are taken",
                hint=f"Try again in {RETRY:g} s, or raise uploads.queue.",
                retry_after=RETRY,
            )
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    def find(self, session_id: str) -> Upload | None:
        """The upload of that id, if it is still known here."""
        return self._uploads.get(session_id)

    async def submit(
        self,
        source: Source,
        *,
        language: str,
        prompt: str | None,
        details: Details | None = None,
        names: Names | None = None,
        owner: str = BOX,
    ) -> Upload:
        """Takes a recording that has arrived; from now on it is the uploads' to close.

        ``prompt``: see :class:`~ambientd.core.tongue.Style`.  ``names``: those to be expected.  ``owner``: id of the
        principal that sends it.

        Raises:
            ClientError: it is too long.
            StoreUnavailable: it cannot be recorded.
        """
        if source.seconds > self._longest:
            raise ClientError(
                "recording_too_long",
                f"the recording lasts longer than the {self._longest:g} s this box takes",
                hint="Cut it, or raise uploads.max_duration.",
            )
        upload = Upload(new_id(owner), source, language, prompt, names or Names(), datetime.now(UTC), owner)
        await self._ledger.create(
            upload.session_id,
            connected_at=upload.began,
            client=CLIENT,
            language=language,
            model=self._model,
            sample_rate=RATE,
            boot_id=boot_id(),
            monotonic_start=time.monotonic(),
            box=self._box,
            ephemeral=False,
            owner=owner,
        )
        if details is not None:
            await self._describe(upload.session_id, details)
        self._uploads[upload.session_id] = upload
        for old in [known for known, one in self._uploads.items() if one.task and one.task.done()][
            :-REMEMBERED
        ]:
            del self._uploads[old]
        upload.task = self._tasks.create_task(self._run(upload), name="upload")
        logger.info(
            "recording received", extra={"session": upload.session_id, "seconds": round(source.seconds, 1)}
        )
        return upload

    async def cancel(self, upload: Upload) -> None:
        """Breaks off; returns when that is on record.  What has ended stays as it ended."""
        if upload.stage in (Stage.QUEUED, Stage.RUNNING):
            upload.stage = Stage.CANCELLED
            await self._stop(upload)

    async def close(self) -> None:
        """Breaks off all that is not done."""
        self._closing = True
        for upload in self._uploads.values():
            if upload.stage in (Stage.QUEUED, Stage.RUNNING):
                upload.stage = Stage.INTERRUPTED
                await self._stop(upload)

    async def _stop(self, upload: Upload) -> None:
        if upload.task:
            upload.task.cancel()
            await asyncio.wait({upload.task})

    async def _run(self, upload: Upload) -> None:
        """One upload from its turn to its end on record."""
        reason = EndReason.ERROR
        try:
            async with self._turn:
                upload.stage = Stage.RUNNING
                await self._hear(upload)
            reason = EndReason.CLIENT
        except asyncio.CancelledError:
            # Cancelled by _stop, which has said why, or with everything else: then the store closes the record later.
            reason = EndReason.REST if upload.stage is Stage.CANCELLED else EndReason.SHUTDOWN
            if not (upload.stage is Stage.CANCELLED or self._closing):
                raise
        except StoreUnavailable as error:
            upload.fault = "what was heard could not be stored; the box's log tells why"
            logger.error(  # noqa: TRY400  # the operator needs the sentence, not the stack
                "recording not stored", extra={"session": upload.session_id, "error": error}
            )
        # One recording's defect must not end the others.
        except Exception as error:
            upload.fault = "something went wrong inside the server"
            logger.exception(
                "recording failed", extra={"session": upload.session_id, "error": type(error).__name__}
            )
        finally:
            await upload.source.close()
        await self._end(upload, reason)

    async def _hear(self, upload: Upload) -> None:
        style = Style(upload.language, upload.prompt, free=upload.language == AUTO)
        draft = Draft(upload.session_id, Shelf(1 << 62).reel(), style=lambda: style, live=False)
        draft.expect(upload.names)
        judge = draft.reel.judging(self._detector())
        rest = np.empty(0, np.float32)
        try:
            async for audio in upload.source:
                draft.receive(audio)
                rest = np.concatenate((rest, audio))
                for begin in range(0, len(rest) - FRAME + 1, FRAME):
                    judge(rest[begin : begin + FRAME])
                rest = rest[len(rest) - len(rest) % FRAME :]
                await self._advance(upload, draft)
                if draft.reel.end > self._longest * RATE:
                    upload.fault = f"only the first {self._longest:g} s were heard"
                    break
                await asyncio.sleep(0)
            draft.complete = True
            await self._advance(upload, draft)
            upload.language = main_language(draft.lines) or upload.language
        finally:
            draft.reel.destroy()
        upload.fault = upload.fault or upload.source.fault
        missing = Gap(draft.reel.end, round(upload.seconds * RATE), "lost")
        if upload.source.fault and missing.end > missing.start:
            await self._mark(upload, missing)

    async def _advance(self, upload: Upload, draft: Draft) -> None:
        """Hears what can be heard by now, and stores it."""
        upload.metrics = replace(upload.metrics, received_samples=draft.reel.end)
        while draft.ready and (window := draft.next_piece()) is not None:
            lines, gaps = len(draft.lines), len(draft.gaps)
            before, at = draft.seconds, draft.at
            await draft.hear(self._decoder, *window)
            upload.metrics = replace(
                upload.metrics,
                decoded_samples=upload.metrics.decoded_samples + draft.at - at,
                decode_seconds=upload.metrics.decode_seconds + draft.seconds - before,
            )
            for heard in draft.lines[lines:]:
                line = await draft.told(heard)
                metrics = upload.metrics.with_line(line)
                await self._ledger.append_line(upload.session_id, line, metrics)
                upload.metrics = metrics
            for gap in draft.gaps[gaps:]:
                await self._mark(upload, gap)
            upload.at = draft.at
        upload.at = draft.at

    async def _mark(self, upload: Upload, gap: Gap) -> None:
        metrics = replace(upload.metrics, gap_samples=upload.metrics.gap_samples + gap.end - gap.start)
        await self._ledger.append_gap(upload.session_id, gap, metrics)
        upload.metrics = metrics

    async def _end(self, upload: Upload, reason: EndReason) -> None:
        whole = reason is EndReason.CLIENT
        try:
            await self._ledger.finalise(
                upload.session_id,
                state=SessionState.ENDED if whole else SessionState.INTERRUPTED,
                reason=reason,
                ended_at=datetime.now(UTC),
                metrics=upload.metrics,
                language=upload.language,
                monotonic_end=time.monotonic(),
                refinement=Refinement.NONE,
            )
        except StoreUnavailable as error:
            whole = False
            upload.fault = upload.fault or "its end could not be stored; the box's log tells why"
            logger.error(  # noqa: TRY400
                "recording not closed on record", extra={"session": upload.session_id, "error": error}
            )
        if upload.stage is Stage.RUNNING:
            upload.stage = Stage.DONE if whole else Stage.FAILED
        logger.info(
            "recording ended",
            extra={
                "session": upload.session_id,
                "status": upload.stage,
                "lines": upload.metrics.chunks_processed,
            },
        )


@asynccontextmanager
async def open_uploads(
    *,
    decoder: Decoder,
    detector: Callable[[], Detect],
    ledger: Ledger,
    describe: Callable[[str, Details], Awaitable[None]],
    model: str,
    box: Box,
    most: int,
    longest: float,
) -> AsyncIterator[Uploads]:
    """The uploads; on leaving, what is not done is broken off.

    ``most``: recordings at once, arriving ones included.  ``longest``: seconds a recording may last.
    """
    async with asyncio.TaskGroup() as tasks:
        uploads = Uploads(
            tasks,
            decoder=decoder,
            detector=detector,
            ledger=ledger,
            describe=describe,
            model=model,
            box=box,
            most=most,
            longest=longest,
        )
        try:
            yield uploads
        finally:
            await uploads.close()
