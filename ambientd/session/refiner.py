"""The second hearing of every session: on lanes that would be idle, from audio kept in memory, until it is done.

    Rule 1  It never costs live text anything: all its decodes have the background's rank.
    Rule 2  Ended sessions first, the one that ended first; then the live one with the most to hear.  On an idle box
            a live session is refined as it goes, and little is left when it ends.
    Rule 3  A session that has waited its time keeps its live text, which is final then.  So it is at a shutdown.
    Rule 4  However it ends: the outcome is on record first, then told, and the audio destroyed.

Nothing of it survives the process: after a crash the store says that live text is final.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from ambientd.core import protocol
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder
from ambientd.core.record import EndReason, Refinement
from ambientd.core.segmenter import Piece
from ambientd.core.tongue import Style
from ambientd.core.transcript import Line
from ambientd.errors import StoreUnavailable
from ambientd.session.draft import Draft
from ambientd.session.hub import Hub
from ambientd.session.ledger import then
from ambientd.session.reader import Reader
from ambientd.session.reel import Shelf
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions

logger = logging.getLogger(__name__)


class Archive(Protocol):
    """The part of the store that refinement needs; each call returns once the disk has it."""

    async def lines(self, session_id: str) -> list[Line]:
        """The live lines."""
        ...

    async def refined(self, session_id: str, lines: Sequence[Line], model: str) -> bool:
        """Stores the final lines, and lets the session go to the centre with them; whether it still could."""
        ...

    async def not_refined(self, session_id: str, why: Literal[Refinement.FAILED, Refinement.SKIPPED]) -> bool:
        """Says that the live lines are final."""
        ...


@dataclass(slots=True, eq=False)
class _Work:
    """A draft, and who waits for it."""

    draft: Draft
    hub: Hub
    ended_at: float | None = None
    """On the loop's clock; ``None`` while the session goes on."""
    busy: bool = False
    patience: asyncio.Timeout | None = None
    """Bounds the decode in flight."""
    concluded: bool = False
    timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Gives up the decode in flight."""
        if self.patience is not None:
            self.patience.reschedule(asyncio.get_running_loop().time())


class Refiner:
    """All second hearings.  Use :func:`open_refiner`."""

    def __init__(self, *, decoder: Decoder, archive: Archive, shelf: Shelf, wait: float) -> None:
        self.shelf = shelf
        self.outcomes: Counter[str] = Counter()
        """Sessions concluded since the start, by outcome."""
        self.refined_samples = 0
        """Heard a second time since the start."""
        self.kept_samples = 0
        """That kept their live words."""
        self.seconds = 0.0
        """Of the engine's time."""
        self._decoder = decoder
        self._archive = archive
        self._wait = wait
        self._works: dict[Draft, _Work] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._closing = False
        self._stir = asyncio.Event()

    @property
    def sessions(self) -> int:
        """Sessions it has in hand, live ones included."""
        return len(self._works)

    @property
    def waiting(self) -> int:
        """Ended sessions that wait."""
        return sum(work.ended_at is not None for work in self._works.values())

    @property
    def backlog(self) -> int:
        """Samples of all sessions that wait to be heard again."""
        return sum(work.draft.backlog for work in self._works.values())

    def begin(self, session_id: str, hub: Hub, style: Callable[[], Style], *, start: int = 0) -> Draft:
        """The draft of a session that begins, at sample ``start``; it is given audio with :meth:`receive`."""
        draft = Draft(session_id, self.shelf.reel(start), style=style)
        draft.stir = self._stir.set
        self._works[draft] = _Work(draft, hub)
        return draft

    def end(self, draft: Draft) -> None:
        """The session has ended and is on record as waiting; its hub is the refiner's now, to tell and to close."""
        work = self._works[draft]
        draft.complete = True
        loop = asyncio.get_running_loop()
        work.ended_at = loop.time()
        work.timer = loop.call_later(self._wait, self._give_up, work)
        self._stir.set()

    def drop(self, draft: Draft) -> None:
        """The session needs no second hearing: its audio is destroyed."""
        work = self._works.pop(draft, None)
        draft.reel.destroy()
        if work:
            work.stop()

    def hub(self, session_id: str) -> Hub | None:
        """Who is told the outcome of a session that has ended and waits; ``None`` if it does not."""
        works = (work for work in self._works.values() if work.draft.session_id == session_id)
        return next((work.hub for work in works if work.ended_at is not None), None)

    def forget(self, session_id: str) -> None:
        """The session was destroyed: so is its audio, and who waits for its text is told."""
        for work in [work for work in self._works.values() if work.draft.session_id == session_id]:
            if work.timer:
                work.timer.cancel()
            self.drop(work.draft)
            work.hub.publish(
                protocol.refined(
                    session_id, state=EndReason.DISCARDED, lines=(), model=work.draft.model, kept=0.0
                )
            )
            work.hub.close()

    async def run(self) -> None:
        """One worker: hears whatever is next, until the refiner is closed."""
        while not self._closing:
            work, piece = self._next()
            if work is None:
                self._stir.clear()
                await self._stir.wait()
                continue
            try:
                if piece is None:
                    await self._conclude(work)
                else:
                    await self._hear(work, *piece)
            # One room's defect must not end the second hearing of the others.
            except Exception as error:
                session_id = work.draft.session_id
                logger.exception(
                    "refinement failed", extra={"session": session_id, "error": type(error).__name__}
                )
                self.drop(work.draft)
                work.hub.close()

    def start(self, tasks: asyncio.TaskGroup, workers: int) -> None:
        """Sets so many workers to work."""
        for number in range(workers):
            self._workers.append(tasks.create_task(self.run(), name=f"refiner {number}"))

    async def close(self) -> None:
        """Ends every second hearing where it stands: what is not yet refined keeps its live words."""
        self._closing = True
        for work in self._works.values():
            work.stop()
        self._stir.set()
        if self._workers:
            await asyncio.wait(self._workers)
        for work in list(self._works.values()):
            if work.ended_at is None:
                self.drop(work.draft)
            else:
                await self._conclude(work)

    def _next(self) -> tuple[_Work | None, tuple[Reader, Piece] | None]:
        """What to hear now, and of which session; no piece where the session is done."""
        works = self._works.values()
        idle = [work for work in works if not (work.busy or work.concluded) and work.draft.ready]
        ended = sorted(
            (work for work in idle if work.ended_at is not None), key=lambda work: work.ended_at or 0
        )
        live = sorted((work for work in idle if work.ended_at is None), key=lambda work: -work.draft.backlog)
        for work in [*ended, *live]:
            piece = work.draft.next_piece()
            if piece is not None or work.draft.finished:
                return work, piece
        return None, None

    async def _hear(self, work: _Work, reader: Reader, piece: Piece) -> None:
        draft = work.draft
        before, spent = draft.at, draft.seconds
        work.busy = True
        try:
            async with asyncio.timeout(None) as work.patience:
                await draft.hear(self._decoder, reader, piece)
        except TimeoutError:
            pass  # its time is up, or nobody needs it any more
        finally:
            work.patience, work.busy = None, False
        self.refined_samples += max(0, draft.at - before)
        self.seconds += draft.seconds - spent

    def _give_up(self, work: _Work) -> None:
        """The session's time is up."""
        work.stop()
        work.draft.keep(work.draft.reel.end)
        self._stir.set()

    async def _conclude(self, work: _Work) -> None:
        """Rule 4."""
        if work.concluded:
            return
        work.concluded = True
        draft = work.draft
        if work.timer:
            work.timer.cancel()
        if not draft.finished:
            draft.keep(draft.reel.end)
        outcome, lines = Refinement.FAILED, list[Line]()
        try:
            if draft.lines:
                lines = await draft.final(await self._archive.lines(draft.session_id))
                if await self._archive.refined(draft.session_id, lines, draft.model):
                    outcome = Refinement.DONE
                else:
                    lines, outcome = [], Refinement.SKIPPED
            else:
                await self._archive.not_refined(draft.session_id, Refinement.SKIPPED)
                outcome = Refinement.SKIPPED
        except StoreUnavailable as error:
            lines = []
            logger.error(  # noqa: TRY400  # the operator needs the sentence, not the stack
                "refined text not stored", extra={"session": draft.session_id, "error": error}
            )
        finally:
            draft.reel.destroy()
            self._works.pop(draft, None)
            self.outcomes[outcome] += 1
            self.kept_samples += draft.kept_samples
            kept = draft.kept_samples / RATE
            work.hub.publish(
                protocol.refined(
                    draft.session_id,
                    state=outcome,
                    lines=lines,
                    model=draft.model,
                    kept=kept,
                )
            )
            work.hub.close()
        now = asyncio.get_running_loop().time()
        logger.info(
            "refinement concluded",
            extra={
                "session": draft.session_id,
                "status": outcome,
                "lines": len(lines),
                "kept": round(kept, 1),
                "elapsed": round(now - (work.ended_at or now), 1),
            },
        )


class StoredArchive:
    """The archive on the database."""

    def __init__(
        self, sessions: Sessions, lines: Lines, *, settled: Callable[[], object] = lambda: None
    ) -> None:
        """``settled``: called when a session has got its final text."""
        self.lines = lines.lines
        self.refined = then(sessions.refined, settled)
        self.not_refined = then(sessions.not_refined, settled)


@asynccontextmanager
async def open_refiner(
    *, decoder: Decoder, archive: Archive, memory: int, wait: float, workers: int
) -> AsyncIterator[Refiner]:
    """The refiner at work; on leaving, every session that still waits keeps its live text.

    ``memory``: bytes of audio over all sessions.  ``wait``: seconds a session may wait after its end.
    ``workers``: windows heard at once, at most.
    """
    refiner = Refiner(decoder=decoder, archive=archive, shelf=Shelf(memory), wait=wait)
    async with asyncio.TaskGroup() as tasks:
        refiner.start(tasks, workers)
        try:
            yield refiner
        finally:
            await refiner.close()
