"""How long the event loop keeps its guests waiting: whatever blocks it, blocks every room."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

EVERY: Final = 0.02
"""Seconds between two measurements: shorter than the delay that would matter, and less than a hundredth of a core."""

RESTING: Final = 1.0
"""The same while nobody would feel a delay: a box at rest should not wake its processor fifty times a second."""

WINDOW: Final = 60.0
"""Seconds that :attr:`LoopDelay.worst` looks back."""


class LoopDelay:
    """Asks to be woken again and again, and notes by how much it is woken too late."""

    def __init__(self) -> None:
        self.observe: Callable[[float], None] = lambda _: None
        """Told of each delay, in seconds."""
        self.felt: Callable[[], bool] = lambda: True
        """Whether there is anybody who would feel a delay."""
        self._worst: deque[tuple[float, float]] = deque()

    @property
    def worst(self) -> float:
        """Seconds, the longest delay of the last minute."""
        return max((delay for _, delay in self._worst), default=0.0)

    async def measure(self) -> None:
        """Measures for ever."""
        loop = asyncio.get_running_loop()
        second, worst = loop.time(), 0.0
        while True:
            pause = EVERY if self.felt() else RESTING
            due = loop.time() + pause
            await asyncio.sleep(pause)
            now = loop.time()
            delay = max(0.0, now - due)
            self.observe(delay)
            worst = max(worst, delay)
            if now - second >= 1:
                self._worst.append((now, worst))
                second, worst = now, 0.0
                while self._worst[0][0] < now - WINDOW:
                    self._worst.popleft()


@asynccontextmanager
async def loop_delay() -> AsyncIterator[LoopDelay]:
    """A measurement going on until the block is left."""
    delay = LoopDelay()
    task = asyncio.create_task(delay.measure(), name="loop delay")
    try:
        yield delay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
