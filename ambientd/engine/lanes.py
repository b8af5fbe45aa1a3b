"""Lanes: so many decodes at once as there are contexts, and a fair queue for the rest.

A lane is one whisper.cpp context and the one thread that ever touches it.  Memory goes by lanes, never by clients.

    Rule 1  Finals before partials: a partial is worth nothing once its final is there.
    Rule 2  Among equals the one whose audio came in first, not the one who asked first: a room that speaks without
            pauses asks later for older words, and would be late for ever.  A session has at most one decode in flight.
    Rule 3  A lane is free again when its *thread* is done, not when the caller has given up: a context that two
            threads touch corrupts both their texts.
    Rule 4  Background work takes a lane only if another stays free, or if nobody has asked for live text for a
            while; then it may have all, on a box of one lane too.
    Rule 5  A partial that finds all lanes idle may use their cores as well: somebody watches one room's words come.
            Background work waits until it is done; live work does not.
    Rule 6  A final that finds no lane free has a background decode aborted; a partial does so only where background
            work has every lane.  What was aborted keeps its place and begins again: a decode cannot be continued.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ambientd.core.decoding import Heard, Load, Rank, Request
from ambientd.errors import DecodeFailed

logger = logging.getLogger(__name__)

QUIET: Final = 3.0
"""Seconds without live work after which background work may take the last free lane.  A room that speaks without
partials asks every 8 to 16 s and waits for one eviction; one with partials asks each second and keeps its lane."""


UNHURRIED: Final = 6
"""Times the limit that a background decode may take.  Nobody waits for it, its windows are the longest, and a box with
other work to do may well need a minute for one; a final that wants the lane has it aborted all the same."""


MOST_SPARE: Final = 3
"""Lanes whose cores one decode may use beside its own: a fifth thread waits for the others more than it helps."""

STUCK: Final = 30.0
"""Seconds overdue from which on a lane is not slow but stuck: the encoder of the largest model takes less on the
slowest machine that can use it at all, and then asks whether to stop."""


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
    turn: tuple[Rank, float, int]
    lane: asyncio.Future[_Lane] = field(compare=False)


@dataclass(slots=True, eq=False)
class _Work:
    rank: Rank
    due: float
    """When the thread is to be done with it, by the monotonic clock."""
    gave_up: threading.Event = field(default_factory=threading.Event)
    wide: bool = False
    """Whether it uses the other lanes' cores as well."""
    evicted: bool = False

    def give_up(self) -> None:
        """Nobody wants it any more: the engine is told as soon as it asks."""
        self.due = min(self.due, time.monotonic())
        self.gave_up.set()


class Lanes:
    """A :class:`~ambientd.core.decoding.Decoder` on a fixed number of threads.  Use :func:`open_lanes`."""

    def __init__(self, lanes: list[_Lane], *, limit: float, quiet: float = QUIET) -> None:
        self._free = lanes
        self._limit = limit
        self._quiet = quiet
        self._live: list[_Ticket] = []
        self._background: list[_Ticket] = []
        self._numbers = itertools.count()
        self._running: list[_Work] = []
        self._loop = asyncio.get_running_loop()
        self._live_at = -quiet
        """When live work was last asked for or done; by the loop's clock."""
        self._wake: asyncio.TimerHandle | None = None
        self.count = len(lanes)
        self.load = Load()
        self.observe: Callable[[Request, float, float], None] = lambda *_: None
        """Called after each decode with the request, the seconds it waited and the seconds it took."""

    @property
    def idle(self) -> bool:
        """Whether a partial would be heard at once: a lane is free, or background work has them all."""
        return bool(self._free) or self._all_background

    @property
    def waiting(self) -> int:
        """Live requests that have no lane yet."""
        return len(self._live)

    @property
    def busy(self) -> int:
        """Lanes at work."""
        return len(self._running)

    @property
    def overdue(self) -> float:
        """Seconds by which the slowest thread has outstayed its limit, or been asked to stop in vain; else 0 or less.

        The engine asks whether to stop after the encoder and after each token: a moment of it is usual.
        """
        return max((time.monotonic() - work.due for work in self._running), default=0.0)

    async def decode(self, request: Request) -> Heard:
        """The words in ``request``, as soon as a lane is free.

        Cancelling the caller aborts the decode; the lane is given on once its thread has noticed.

        Raises:
            DecodeFailed: the engine failed, or took longer than the limit.
        """
        asked = time.monotonic()
        number = next(self._numbers)
        while True:
            lane = await self._acquire(
                _Ticket((request.rank, request.since, number), self._loop.create_future())
            )
            began = time.monotonic()
            work = _Work(request.rank, began + self._limit_of(request.rank))
            work.wide = request.rank is Rank.PARTIAL and not self._running and bool(self._free)
            spare = min(len(self._free), MOST_SPARE) if work.wide else 0
            try:
                heard = await self._hear(lane, replace(request, spare=spare), work)
            except DecodeFailed:
                if work.evicted:
                    self.load.evictions += 1
                    continue
                self.load.failures += 1
                if time.monotonic() - began > self._limit_of(request.rank):
                    raise DecodeFailed(
                        f"a decode took longer than {self._limit_of(request.rank):g} s",
                        hint="Use a smaller model, fewer sessions, or raise engine.chunk_timeout.",
                    ) from None
                raise
            break
        self.load.audio_seconds += (request.end - request.start) / 16_000
        match request.rank:
            case Rank.FINAL:
                self.load.finals += 1
            case Rank.PARTIAL:
                self.load.partials += 1
            case Rank.BACKGROUND:
                self.load.background += 1
        self.observe(request, began - asked, time.monotonic() - began)
        return heard

    def _limit_of(self, rank: Rank) -> float:
        return self._limit * UNHURRIED if rank is Rank.BACKGROUND else self._limit

    async def _hear(self, lane: _Lane, request: Request, work: _Work) -> Heard:
        began = time.monotonic()

        def aborted() -> bool:
            return work.gave_up.is_set() or time.monotonic() > work.due

        self._running.append(work)
        job = lane.thread.submit(lane.context.hear, request, aborted=aborted)
        # The callback runs in the lane's thread, or here if the work was cancelled before it began.
        job.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._release, lane, work))
        try:
            return await asyncio.wrap_future(job)
        finally:
            work.give_up()
            self.load.busy_seconds += time.monotonic() - began

    async def _acquire(self, ticket: _Ticket) -> _Lane:
        live = ticket.turn[0] is not Rank.BACKGROUND
        if live:
            self._live_at = self._loop.time()
            if self._free:
                return self._free.pop()
        queue = self._live if live else self._background
        heapq.heappush(queue, ticket)
        if live:
            self._evict()
        else:
            self._start_background()
        try:
            return await ticket.lane
        except asyncio.CancelledError:
            if ticket.lane.done() and not ticket.lane.cancelled():
                self._hand_on(ticket.lane.result())  # it was given to us in the same instant
            elif ticket in queue:
                queue.remove(ticket)
                heapq.heapify(queue)
            raise

    def _release(self, lane: _Lane, work: _Work) -> None:
        self._running.remove(work)
        if work.rank is not Rank.BACKGROUND:
            self._live_at = self._loop.time()
        self._hand_on(lane)

    def _hand_on(self, lane: _Lane) -> None:
        if not _give(lane, self._live):
            self._free.append(lane)
            self._start_background()

    @property
    def _evictable(self) -> list[_Work]:
        return [work for work in self._running if work.rank is Rank.BACKGROUND and not work.gave_up.is_set()]

    @property
    def _all_background(self) -> bool:
        return len(self._evictable) == self.count

    def _evict(self) -> None:
        """Aborts as much background work as finals wait; the newest, which has the least to lose."""
        finals = sum(ticket.turn[0] is Rank.FINAL for ticket in self._live)
        leaving = sum(work.evicted for work in self._running)
        wanted = max(finals - leaving, int(self._all_background))
        for work in self._evictable[::-1][:wanted]:
            work.evicted = True
            work.give_up()

    def _start_background(self) -> None:
        """Gives free lanes to background work as far as rules 4 and 5 allow, now and when it will."""
        if any(work.wide for work in self._running):
            return  # begun once its lane is given back
        left = self._live_at + self._quiet - self._loop.time()
        while self._background and len(self._free) > (left > 0):
            lane = self._free.pop()
            if not _give(lane, self._background):
                self._free.append(lane)
        if self._background and self._free and self._wake is None:
            self._wake = self._loop.call_later(left, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._start_background()


def _give(lane: _Lane, queue: list[_Ticket]) -> bool:
    """Gives ``lane`` to the first who still waits; whether there was one."""
    while queue:
        ticket = heapq.heappop(queue)
        if not ticket.lane.done():
            ticket.lane.set_result(lane)
            return True
    return False


class Loading:
    """Contexts on their way, each loaded by the thread that will use it.

    It may be begun before there is an event loop.  One core is left to whatever goes on meanwhile.
    """

    def __init__(self, load: Callable[[], Context], *, count: int) -> None:
        """``load``: called ``count`` times, in the lanes' threads."""
        turn = threading.Semaphore(max(1, len(os.sched_getaffinity(0)) - 1))

        def in_turn() -> Context:
            with turn:
                return load()

        self.threads = [
            ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"lane-{number}") for number in range(count)
        ]
        self.contexts = [thread.submit(in_turn) for thread in self.threads]


@asynccontextmanager
async def open_lanes(
    load: Callable[[], Context], *, count: int, limit: float, quiet: float = QUIET
) -> AsyncIterator[Lanes]:
    """:func:`lanes_of` contexts that are loaded now."""
    async with lanes_of(Loading(load, count=count), limit=limit, quiet=quiet) as lanes:
        yield lanes


@asynccontextmanager
async def lanes_of(loading: Loading, *, limit: float, quiet: float = QUIET) -> AsyncIterator[Lanes]:
    """Lanes with these contexts, as soon as all are loaded; the contexts are closed on leaving.

    ``limit``: seconds one decode may take.  ``quiet``: see :data:`QUIET`.
    Leaving waits for the threads: their contexts are C++ objects.
    """
    async with AsyncExitStack() as stack:
        lanes = []
        for thread, context in zip(loading.threads, loading.contexts, strict=True):
            stack.callback(thread.shutdown, wait=True)
            # Closed by the thread that loaded and used it, and so after its last decode.
            stack.callback(thread.submit, _close, context)
        for thread, context in zip(loading.threads, loading.contexts, strict=True):
            lanes.append(_Lane(await asyncio.wrap_future(context), thread))
        yield Lanes(lanes, limit=limit, quiet=quiet)


def _close(context: Future[Context]) -> None:
    if not context.cancelled() and context.exception() is None:
        context.result().close()
