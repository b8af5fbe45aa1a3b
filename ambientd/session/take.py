"""One stretch of listening to the room's microphone: from its first sound to the end of the session it goes into.

Rule 1  What the microphone gives is fed, or counted as lost, to the sample: also what comes before the session is
        open, and what a session that is behind has no room for.
Rule 2  A pause takes effect at the moment it is asked for: what was captured before still counts, nothing after.
        The device stays open, so that a fault is seen before recording goes on, and its first word is not lost;
        what is captured meanwhile is dropped unheard.  Recording goes on when it is asked to: what the microphone does
        not give from then on is lost, also if it was away at that moment.
Rule 3  A session that ends by itself ends the take.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.microphone import Gap, Hearing, Microphone, Sound
from ambientd.core.voice import Voice
from ambientd.session.session import Session

JITTER: Final = RATE // 4
"""Samples by which sound may come late, or seem to: so much less than the clock says is not called lost."""

DRAINED: Final = 2.0
"""Seconds that what was captured may take to come out once capturing has ceased."""


KEPT: Final = 20 * RATE
"""Samples that are kept in memory while somebody is waited for to speak: more than a piece can hold."""


class Take:
    """Use :meth:`run` as a task; all else may be called while it runs."""

    def __init__(self, microphone: Microphone, *, paused: bool = False, voice: Voice | None = None) -> None:
        """``voice``: who tells that somebody speaks, where that is waited for."""
        self.session: Session | None = None
        """Where it goes; until then it is kept here."""
        self.sounding = asyncio.Event()
        """Set once sound has come."""
        self.kept: deque[Sound | Gap] = deque()
        """What came before the session was open."""
        self.spoken = asyncio.Event()
        """Set when :attr:`voice` says so."""
        self.voice = voice
        self.by_voice = voice is not None
        """Whether nobody asked for it but a voice."""
        self._first = 0
        """The place of the first sample kept."""
        self.over = False
        """Whether nothing more is to be captured."""
        self.failure: Exception | None = None
        """Why it could not listen, or had to cease."""
        self._microphone = microphone
        self._hearing: Hearing | None = None
        self._paused = paused
        self._silent = asyncio.Event()
        """Set while nothing is captured for the session."""
        self._turn = asyncio.Event()
        """Set while capturing is wanted, or once the take is over."""
        if not paused:
            self._turn.set()
        self._opened: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._missed = 0
        """Samples for which the session had no room."""
        self._due: tuple[int, float] | None = None
        """How many samples the session would have had at which moment, had the microphone given sound."""

    @property
    def paused(self) -> bool:
        """Whether what the microphone gives is dropped."""
        return self._paused

    def go_into(self, session: Session) -> None:
        """The session is open: it gets what came so far, and what comes."""
        self.session = session
        self._opened.set_result(session)
        while self.kept:
            self._pass_on(self.kept.popleft())

    def make_up(self, received: int) -> None:
        """The session would have had ``received`` samples by now: what it lacks when sound comes is marked as lost."""
        self._due = received, time.monotonic()

    async def pause(self) -> None:
        """Captures no more; returns when the session has all that was captured."""
        if not self._paused:
            self._paused = True
            self._turn.clear()
            await self._cease()
            self._make_up()

    def go_on(self) -> None:
        """Captures from now on."""
        if self._paused:
            self._paused = False
            if self.session is not None:
                self.make_up(self.session.taken)
            self._turn.set()

    async def finish(self) -> None:
        """Captures no more, for good; returns when the session has all that was captured."""
        self.over = True
        self._turn.set()
        await self._cease()
        self._make_up()
        self._settle()

    async def run(self) -> None:
        """Listens until the take is over, or its session ends."""
        async with self._microphone.listen() as open_, asyncio.TaskGroup() as tasks:
            warm = tasks.create_task(_drop(open_))
            watcher = tasks.create_task(self._watch())
            while await self._wanted():
                self._silent.clear()
                async with self._microphone.listen() as hearing:
                    self._hearing = hearing
                    if not self._turn.is_set() or self.over:  # since we asked
                        hearing.stop()
                    async for heard in hearing:
                        self._take(heard)
                    self._hearing = None
                self._silent.set()
            warm.cancel()
            watcher.cancel()
        self._settle()

    async def _wanted(self) -> bool:
        """Waits for a pause to end; whether there is more to capture."""
        await asyncio.sleep(0)  # a microphone that lets go of us at once does not hold up the others
        await self._turn.wait()
        return not self.over

    async def _watch(self) -> None:
        """Rule 3."""
        session = await self._opened
        await session.finished.wait()
        self.over = True
        self._turn.set()
        if self._hearing is not None:
            self._hearing.stop()

    async def _cease(self) -> None:
        if self._hearing is not None:
            self._hearing.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAINED):
                    await self._silent.wait()

    def _take(self, heard: Sound | Gap) -> None:
        if isinstance(heard, Sound):
            self.sounding.set()
        if self.session is None:
            self.kept.append(heard)
            if self.voice is not None and not self.spoken.is_set():
                self._attend(self.voice, heard)
        elif self.session.ending:
            self.over = True
            if self._hearing is not None:
                self._hearing.stop()
        else:
            self._pass_on(heard)

    def _attend(self, voice: Voice, heard: Sound | Gap) -> None:
        """Waits for somebody to speak; keeps what may be the beginning of it."""
        if isinstance(heard, Gap):
            voice.skip(heard.samples)
            begin = None
        else:
            begin = voice.receive(heard.samples)
        if begin is not None:
            self.spoken.set()
        end = self._first + sum(map(length, self.kept))
        least = end - KEPT if begin is None else begin
        while self.kept and self._first + length(self.kept[0]) <= least:
            self._first += length(self.kept.popleft())

    def _pass_on(self, heard: Sound | Gap) -> None:
        session = self.session
        assert session is not None  # noqa: S101 - nothing is passed on before it is there
        if isinstance(heard, Gap):
            self._settle()
            session.lost(heard.samples)
            return
        self._make_up(heard=len(heard.samples))
        # Once it is full, until half of it is free: a second heard between gaps of seconds is of no use to anybody.
        if self._missed and 2 * session.waiting > session.terms.inbox:
            self._missed += len(heard.samples)
            return
        self._settle()
        if not session.hear(heard.samples):
            self._missed += len(heard.samples)

    def _make_up(self, *, heard: int = 0) -> None:
        """Marks what the session lacks since recording was to go on; ``heard``: samples that come next."""
        if self._due is not None and self.session is not None:
            received, at = self._due
            self._due = None
            lacking = received + round((time.monotonic() - at) * RATE) - self.session.taken - heard
            if lacking > JITTER:
                self.session.make_up(lacking)

    def _settle(self) -> None:
        """Marks what the session had no room for."""
        if self._missed and self.session is not None:
            missed, self._missed = self._missed, 0
            self.session.lost(missed)


def length(heard: Sound | Gap) -> int:
    """Samples of it."""
    return heard.samples if isinstance(heard, Gap) else len(heard.samples)


async def _drop(hearing: Hearing) -> None:
    """Keeps the device open for as long as it runs."""
    async for _ in hearing:
        pass
