"""What was recorded is transcribed when lanes are idle: oldest first, one at a time, from the audio that is kept.

Rule 1  It never costs live text anything: all its decodes have the background's rank.
Rule 2  Nothing of it is stored before all of it is heard; then the text is stored and the audio destroyed at once.
    Whatever cuts it off before, the next start hears it again from the audio.
Rule 3  What cannot be opened, or of which no window could be decoded, is left to a person with its audio.
Rule 4  Where the patient has taken consent back, nothing is heard: the audio is destroyed.
Rule 5  It is heard with the prompt and the names its client told; without any, with the box's own of that moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import numpy as np

from ambientd.core.audio import RATE, from_pcm16
from ambientd.core.checks import Finding, Severity
from ambientd.core.decoding import AUTO, Decoder
from ambientd.core.metrics import SessionMetrics
from ambientd.core.segmenter import FRAME, Detect
from ambientd.core.tongue import Style, main_language
from ambientd.core.transcript import Gap, Line
from ambientd.errors import StoreUnavailable
from ambientd.session.draft import Draft
from ambientd.session.inbox import Hole
from ambientd.session.reel import Shelf
from ambientd.session.terms import Terms
from ambientd.store.refusals import SealBroken
from ambientd.store.spool import Kept, Piece, Spool, Stock

logger = logging.getLogger(__name__)

AGAIN: Final = 30.0
"""Seconds until the store is tried again that failed."""

ATTEMPTS: Final = 3
"""Times a session is tried of which nothing could be decoded."""


class _GoneError(Exception):
    """The session was destroyed while it was being heard."""


class Later:
    """The one who transcribes.  Use :func:`open_later`."""

    def __init__(
        self,
        *,
        spool: Spool,
        decoder: Decoder,
        detector: Callable[[], Detect],
        terms: Callable[[], Terms],
        settled: Callable[[], object] = lambda: None,
        stocked: Callable[[int], None] = lambda _: None,
        grace: float = 0.0,
    ) -> None:
        """``terms``: what a session is heard with that has no wishes of its own.

        ``settled``: called when a text is stored.  ``stocked``: told the samples that are kept whenever they have
        changed.  ``grace``: seconds after the start in which a recording that a crash cut off may go on, so that
        nothing is heard yet.
        """
        self.outcomes: Counter[str] = Counter()
        """Sessions dealt with since the start, by outcome."""
        self.stock = Stock()
        """How much there is, as last known."""
        self._spool = spool
        self._decoder = decoder
        self._detector = detector
        self._terms = terms
        self._settled = settled
        self._stocked = stocked
        self._grace = grace
        self._stir = asyncio.Event()
        self._failures: Counter[str] = Counter()

    def wake(self) -> None:
        """A recording has ended."""
        self._stir.set()

    async def findings(self) -> list[Finding]:
        """For the checks: what is kept, and whether something of it needs a person."""
        stock = self.stock
        hours = stock.samples / RATE / 3600
        if stock.failed:
            return [
                Finding(
                    "later.failed",
                    "Recordings",
                    Severity.CRITICAL,
                    f"{stock.failed} recording(s) could not be transcribed; their audio is kept, sealed.",
                    "Restart the service to have them tried again; what stays so can only be deleted.",
                    "systemctl restart ambientd",
                )
            ]
        said = f"{stock.waiting} wait to be transcribed, {hours:.1f} h of audio are kept."
        return [Finding("later.failed", "Recordings", reason=said)]

    async def run(self) -> None:
        """Transcribes whatever waits, for ever."""
        await asyncio.sleep(self._grace)
        while True:
            self._stir.clear()
            try:
                await self.look()
                if self.stock.waiting and (kept := await self._spool.next()) is not None:
                    await self._deal(kept)
                    continue
            except StoreUnavailable as error:
                logger.error("recordings cannot be reached", extra={"error": error})  # noqa: TRY400
                await asyncio.sleep(AGAIN)
                continue
            except Exception:
                # A task that ended here would end unseen, and all that is recorded would wait for ever.
                logger.exception("recordings cannot be dealt with; tried again")
                await asyncio.sleep(AGAIN)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    await self._stir.wait()

    async def look(self) -> None:
        """Counts what is kept.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        self.stock = await self._spool.stock()
        self._stocked(self.stock.samples)

    async def _deal(self, kept: Kept) -> None:
        """One session, from its turn to whatever becomes of it; a defect in one must not hold up the others."""
        session_id = kept.record.session_id
        outcome = "done"
        try:
            if kept.withdrawn:
                outcome = "withdrawn"
                await self._finish(kept, [], [], kept.record.metrics, "consent_withdrawn")
            else:
                outcome = await self._hear(kept)
        except _GoneError:
            outcome = "discarded"
        except SealBroken as error:
            outcome = await self._give_up(session_id, "its audio does not open", error)
        except StoreUnavailable:
            await self._spool.put_back(session_id)
            raise
        except Exception as error:
            logger.exception(
                "transcription failed", extra={"session": session_id, "error": type(error).__name__}
            )
            outcome = await self._give_up(session_id, "something went wrong inside the server", error)
        self.outcomes[outcome] += 1
        logger.info("recording dealt with", extra={"session": session_id, "status": outcome})

    async def _give_up(self, session_id: str, fault: str, error: Exception | None) -> str:
        logger.error(
            "recording cannot be transcribed; its audio is kept",
            extra={"session": session_id, "error": type(error).__name__ if error else fault},
        )
        await self._spool.fail(session_id, fault)
        return "failed"

    async def _hear(self, kept: Kept) -> str:
        """Hears a session; gives what became of it."""
        record, terms = kept.record, self._terms()
        session_id, before = record.session_id, record.metrics
        manner = await self._spool.manner(session_id)
        prompt = terms.prompt if manner.prompt is None else manner.prompt
        style = Style(record.language, prompt, free=record.language == AUTO)
        names = terms.names()
        names.own(manner.vocabulary or ())
        pieces = [each async for each in self._first(kept)]
        origin = pieces[0].start if pieces else 0
        draft = Draft(session_id, Shelf(1 << 62).reel(origin), style=lambda: style, live=False)
        draft.expect(names)
        try:
            await self._listen(kept, draft)
            lines = await draft.final([])
        finally:
            draft.reel.destroy()
        if not lines and draft.gaps:
            # Every window failed: rather the engine's fault than the audio's, so the audio is not given up for it.
            self._failures[session_id] += 1
            if self._failures[session_id] < ATTEMPTS:
                await self._spool.put_back(session_id)
                return "again"
            return await self._give_up(session_id, "the engine could not decode it", None)
        metrics = replace(
            before,
            decoded_samples=before.decoded_samples + draft.at - origin,
            decode_seconds=before.decode_seconds + draft.seconds,
        )
        await self._finish(kept, lines, draft.gaps, metrics, "lost")
        return "done"

    async def _first(self, kept: Kept) -> AsyncIterator[Piece]:
        """The first piece of audio, if there is one."""
        for index in kept.pieces[:1]:
            yield await self._piece(kept, index)

    async def _piece(self, kept: Kept, index: int) -> Piece:
        piece = await self._spool.read(kept.record.session_id, index)
        if piece is None:
            raise _GoneError
        return piece

    async def _listen(self, kept: Kept, draft: Draft) -> None:
        """Hears all audio; about a minute of it is in memory, however long the recording."""
        judge = draft.reel.judging(self._detector())
        rest = np.empty(0, np.float32)
        for index in kept.pieces:
            piece = await self._piece(kept, index)
            if piece.start > draft.reel.end:
                draft.receive(Hole(piece.start - draft.reel.end))
                rest = np.empty(0, np.float32)
            audio = from_pcm16(piece.pcm)
            draft.receive(audio)
            rest = np.concatenate((rest, audio))
            for begin in range(0, len(rest) - FRAME + 1, FRAME):
                judge(rest[begin : begin + FRAME])
                if begin % (RATE // FRAME * FRAME) == 0:
                    await asyncio.sleep(0)  # the sessions that are live come first
            rest = rest[len(rest) - len(rest) % FRAME :]
            await self._advance(draft)
        draft.complete = True
        await self._advance(draft)

    async def _advance(self, draft: Draft) -> None:
        while draft.ready and (window := draft.next_piece()) is not None:
            await draft.hear(self._decoder, *window)

    async def _finish(
        self, kept: Kept, lines: list[Line], gaps: list[Gap], metrics: SessionMetrics, rest: str
    ) -> None:
        """Stores the text and destroys the audio.  ``rest``: why that is missing of which there is no audio."""
        session_id, first = kept.record.session_id, metrics.chunks_processed
        received = max(metrics.received_samples, kept.end)
        end = 0 if kept.withdrawn else kept.end
        missing = [*gaps, *([Gap(end, received, rest)] if received > end else [])]
        for line in lines:
            metrics = metrics.with_line(line)
        metrics = replace(
            metrics,
            received_samples=received,
            gap_samples=metrics.gap_samples + sum(gap.end - gap.start for gap in missing),
        )
        language = main_language(lines) or kept.record.language
        done = await self._spool.complete(
            session_id, lines=lines, gaps=missing, metrics=metrics, language=language
        )
        if not done:
            raise _GoneError
        logger.info(
            "recording transcribed, its audio destroyed",
            extra={"session": session_id, "lines": len(lines) + first},
        )
        self._failures.pop(session_id, None)
        self._settled()


@asynccontextmanager
async def open_later(later: Later) -> AsyncIterator[Later]:
    """At work for as long as the block lasts; what is being heard then, is heard again after the next start."""
    task = asyncio.create_task(later.run(), name="later")
    try:
        yield later
    finally:
        task.cancel()
        await asyncio.wait({task})
