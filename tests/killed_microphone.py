"""A microphone whose process is killed again and again at random, and what a listener gets all the same.

The room is known to the sample (``capture/clocked_child.py``), so it can be told for every sample that comes out
whether it is the right one, and for every gap whether it has the right length.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from capture.clocked_child import SAMPLE, counting, playing

from ambientd.capture.microphone import Choice, Microphone, open_microphone
from ambientd.capture.process import Child, started
from ambientd.core.audio import RATE, Samples
from ambientd.core.microphone import Device, Gap, Hearing, Sound, State

PROGRAM = Path(__file__).parent / "capture" / "clocked_child.py"

EARLY = 0.15
"""Share of the kills that come before there is any sound."""

Taker = Callable[[Sound | Gap], Awaitable[None]]


@dataclass
class Account:
    """What a listener got, sample by sample."""

    kills: int = 0
    restarts: int = 0
    captured: int = 0
    """Samples of sound."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Beginning and end of each, in samples since the first sound; neighbours put together."""
    wrong: int = 0
    """Samples that are not what the room sounded like at that moment."""
    first: int = 0
    """The room's number of the first sample."""
    passed: float = 0.0
    """Seconds from the first sound to the end, by the clock."""
    told: tuple[int, int] = (0, 0)
    """Samples captured and lost, as the microphone's state tells them."""

    @property
    def missing(self) -> int:
        """Samples in gaps."""
        return sum(end - start for start, end in self.gaps)

    def __str__(self) -> str:
        total = self.captured + self.missing
        return (
            f"{self.kills} kills, {self.restarts} restarts, {len(self.gaps)} gaps; {self.captured} samples captured"
            f" + {self.missing} in gaps = {total} ({total / RATE:.3f} s; {self.passed:.3f} s by the clock);"
            f" {self.wrong} samples not the room's"
        )


class Room:
    """The room's sound, and the processes that capture it."""

    def __init__(self, sound: Path | None = None) -> None:
        """``sound``: a raw recording (16-bit, 16 kHz) that is played over and over; without one samples are numbers."""
        self.epoch = time.monotonic_ns()
        self.sound = sound
        self.at = playing(str(sound)) if sound else counting
        self.child: Child | None = None

    @asynccontextmanager
    async def start(self, asked: Mapping[str, Any]) -> AsyncIterator[Child]:
        """What :func:`started` does, for a process of this room."""
        command = [sys.executable, str(PROGRAM), str(self.epoch), str(self.sound or "")]
        async with started(asked, command=command) as child:
            self.child = None if asked.get("list") else child
            try:
                yield child
            finally:
                self.child = None

    def first(self, samples: Samples) -> int:
        """The room's number of the first of these samples, which were captured within the last second or so."""
        now = (time.monotonic_ns() - self.epoch) // SAMPLE
        wanted = np.rint(samples * 32_768).astype(np.int16)
        for number in range(now - 2 * RATE, now):
            if number >= 0 and np.array_equal(self.at(number, len(wanted)), wanted):
                return number
        raise AssertionError("this was never heard in the room")


async def listen_while_killed(
    room: Room,
    take: Taker,
    *,
    seconds: float,
    kills: int,
    life: tuple[float, float],
    choice: Choice | None = None,
    seed: int = 1,
) -> Account:
    """Listens for at least so many seconds while the process is killed so many times.

    ``life``: seconds that a process is let live, at least and at most.
    """
    account, chance = Account(), random.Random(seed)  # noqa: S311  # no secret
    async with (
        open_microphone(choice or Choice(), start=room.start) as microphone,
        microphone.listen() as hearing,
    ):
        killer = asyncio.create_task(_kill(room, account, kills=kills, chance=chance, life=life))
        ender = asyncio.create_task(_end(killer, microphone, seconds, hearing.stop))
        async for heard in hearing:
            _note(account, room, heard)
            await take(heard)
        account.passed = time.monotonic() - (room.epoch + account.first * SAMPLE) / 1e9
        await asyncio.gather(killer, ender)
        state = microphone.state
        account.restarts, account.told = state.restarts, (state.captured, state.lost)
    return account


class Witness:
    """The room's microphone, and an account of what the second listener gets of it.

    Whoever records keeps the device open with the first.
    """

    def __init__(self, microphone: Microphone, room: Room) -> None:
        self.account = Account()
        self._microphone = microphone
        self._room = room
        self._listeners = 0

    @property
    def state(self) -> State:
        return self._microphone.state

    @property
    def devices(self) -> tuple[Device, ...]:
        return self._microphone.devices

    @property
    def alive(self) -> bool:
        return self._microphone.alive

    async def look(self) -> tuple[Device, ...]:
        return await self._microphone.look()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Hearing]:
        self._listeners += 1
        seen = self._listeners == 2
        async with self._microphone.listen() as hearing:
            yield _Seen(hearing, self._note) if seen else hearing

    def _note(self, heard: Sound | Gap | None) -> None:
        if heard is not None:
            _note(self.account, self._room, heard)
        else:
            state = self.state
            self.account.told = state.captured, state.lost
            begun = (self._room.epoch + self.account.first * SAMPLE) / 1e9
            self.account.passed = time.monotonic() - begun

    async def while_killed(
        self, *, seconds: float, kills: int, life: tuple[float, float], seed: int = 1
    ) -> None:
        """Returns when the process was killed so often, sound comes, and so many seconds have passed."""
        chance = random.Random(seed)  # noqa: S311  # no secret
        killer = asyncio.create_task(_kill(self._room, self.account, kills=kills, chance=chance, life=life))
        await _end(killer, self._microphone, seconds)
        self.account.restarts = self.state.restarts


class _Seen:
    """A listener's share, noted as it is taken; ``None`` is noted where it ends."""

    def __init__(self, hearing: Hearing, note: Callable[[Sound | Gap | None], None]) -> None:
        self._hearing = hearing
        self._note = note

    async def __aiter__(self) -> AsyncIterator[Sound | Gap]:
        async for heard in self._hearing:
            self._note(heard)
            yield heard

    def stop(self) -> None:
        self._note(None)
        self._hearing.stop()


def _note(account: Account, room: Room, heard: Sound | Gap) -> None:
    position = account.captured + account.missing
    if isinstance(heard, Gap):
        _mark(account, position, heard.samples)
        return
    if not account.captured:
        account.first = room.first(heard.samples)
    truth = room.at(account.first + position, len(heard.samples))
    account.wrong += int(np.count_nonzero(np.rint(heard.samples * 32_768) != truth))
    account.captured += len(heard.samples)


def _mark(account: Account, position: int, samples: int) -> None:
    if account.gaps and account.gaps[-1][1] == position:
        account.gaps[-1] = (account.gaps[-1][0], position + samples)
    else:
        account.gaps.append((position, position + samples))


async def _kill(
    room: Room, account: Account, *, kills: int, chance: random.Random, life: tuple[float, float]
) -> int:
    """Kills so often; gives how often."""
    while account.kills < kills:
        # Now and then while it is still starting, mostly in the middle of its work.
        early = chance.random() < EARLY
        patience = chance.uniform(0.0, 0.3) if early else chance.uniform(*life)
        while room.child is None:  # the device is being left alone
            await asyncio.sleep(0.01)
        await asyncio.sleep(patience)
        if (child := room.child) is not None:
            os.kill(child.pid, signal.SIGKILL)
            account.kills += 1
            room.child = None  # it cannot be killed twice
    return kills


async def _end(
    killer: asyncio.Task[int],
    microphone: Microphone,
    seconds: float,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Stops when the time is up and every kill was done and survived."""
    began = time.monotonic()
    await asyncio.wait({killer})
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
    async with asyncio.timeout(60):
        while microphone.state.restarts < killer.result() or microphone.state.status != "live":
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    stop()
