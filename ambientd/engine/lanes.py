"""Lanes: so many decodes at once as there are contexts, and a fair queue for the rest.

A lane is one whisper.cpp context and the one thread that ever touches it.  Memory goes by lanes, never by clients.

    Rule 1  Finals before partials: a partial is worth nothing once its final is there.
    Rule 2  Among equals, first come, first served.  A session has at most one decode in flight, so this is also
            fair between rooms: whoever has waited longest is next.
    Rule 3  A lane is free again when its *thread* is done, not when the caller has given up: a context that two
            threads touch corrupts both their texts.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ambientd.core.decoding import Heard, Load, Request
from ambientd.errors import DecodeFailed

logger = logging.getLogger(__name__)


class Context(Protocol):
    """What a lane needs of a model: :class:`ambientd.engine.whisper.Whisper`, or a stand-in in tests."""

    def hear(self, request: Request, *, aborted: Callable[[], bool]) -> Heard:
        """Blocks until the words are there; asks ``aborted`` now and then."""
        ...

    def close(self) -> None:
        """Gives the memory back."""
        ...


@dataclass(slots=True, eq=False)
class _Lane:
    context: Context
    thread: ThreadPoolExecutor


@dataclass(slots=True, order=True)
class _Ticket:
    rank: tuple[bool, int]
    lane: asyncio.Future[_Lane] = field(compare=False)


class Lanes:
    """A :class:`~ambientd.core.decoding.Decoder` on a fixed number of threads.  Use :func:`open_lanes`."""

    def __init__(self, lanes: list[_Lane], *, limit: float) -> None:
        self._free = lanes
        self._limit = limit
        self._queue: list[_Ticket] = []
        self._numbers = itertools.count()
        self._running: set[Future[Heard]] = set()
        self._loop = asyncio.get_running_loop()
        self.count = len(lanes)
        self.load = Load()
        self.observe: Callable[[Request, float, float], None] = lambda *_: None
        """Called after each decode with the request, the seconds it waited and the seconds it took."""

    @property
    def idle(self) -> bool:
        """Whether a lane is free."""
        return bool(self._free)

    @property
    def waiting(self) -> int:
        """Requests that have no lane yet."""
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Lanes at work."""
        return len(self._running)

    async def decode(self, request: Request) -> Heard:
        """The words in ``request``, as soon as a lane is free.

        Cancelling the caller aborts the decode; the lane is given on once its thread has noticed.

        Raises:
            DecodeFailed: the engine failed, or took longer than the limit.
        """
        asked = time.monotonic()
        lane = await self._acquire(request)
        began = time.monotonic()
        gave_up = threading.Event()

        def aborted() -> bool:
            return gave_up.is_set() or time.monotonic() - began > self._limit

        work = lane.thread.submit(lane.context.hear, request, aborted=aborted)
        self._running.add(work)
        # The callback runs in the lane's thread, or here if the work was cancelled before it began.
        work.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._release, lane, done))
        try:
            heard = await asyncio.wrap_future(work)
        except DecodeFailed:
            self.load.failures += 1
            if time.monotonic() - began > self._limit:
                raise DecodeFailed(
                    f"a decode took longer than {self._limit:g} s",
                    hint="Use a smaller model, fewer sessions, or raise engine.chunk_timeout.",
                ) from None
            raise
        finally:
            gave_up.set()
            took = time.monotonic() - began
            self.load.busy_seconds += took
        self.load.audio_seconds += (request.end - request.start) / 16_000
        if request.final:
            self.load.finals += 1
        else:
            self.load.partials += 1
        self.observe(request, began - asked, took)
        return heard

    async def _acquire(self, request: Request) -> _Lane:
        if self._free:
            return self._free.pop()
        ticket = _Ticket((not request.final, next(self._numbers)), self._loop.create_future())
        heapq.heappush(self._queue, ticket)
        try:
            return await ticket.lane
        except asyncio.CancelledError:
            if ticket.lane.done() and not ticket.lane.cancelled():
                self._hand_on(ticket.lane.result())  # it was given to us in the same instant
            elif ticket in self._queue:
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
            raise

    def _release(self, lane: _Lane, work: Future[Heard]) -> None:
        self._running.discard(work)
        self._hand_on(lane)

    def _hand_on(self, lane: _Lane) -> None:
        while self._queue:
            ticket = heapq.heappop(self._queue)
            if not ticket.lane.done():
                ticket.lane.set_result(lane)
                return
        self._free.append(lane)


@asynccontextmanager
async def open_lanes(load: Callable[[], Context], *, count: int, limit: float) -> AsyncIterator[Lanes]:
    """``count`` lanes, each with a context from ``load`` (called in the lane's thread); closed on leaving.

    ``limit``: seconds one decode may take.  Leaving waits for the threads: their contexts are C++ objects.
    """
    async with AsyncExitStack() as stack:
        lanes = []
        for number in range(count):
            thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"lane-{number}")
            stack.callback(thread.shutdown, wait=True)
            # One after the other: two loads at once would read the same file twice.
            context = await asyncio.wrap_future(thread.submit(load))
            # Closed by the thread that used it, and so after its last decode.
            stack.callback(thread.submit, context.close)
            lanes.append(_Lane(context, thread))
        yield Lanes(lanes, limit=limit)
