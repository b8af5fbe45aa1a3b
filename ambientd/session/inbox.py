"""Audio that waits to be judged: bounded in seconds, taken in slices."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from ambientd.core.audio import RATE, Samples

SLICE: Final = RATE
"""Samples taken at once.  1 s is about 3 ms of voice detection; then others get their turn on the loop."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Audio that was spoken and will never come."""

    samples: int


class Inbox:
    """A queue of samples, and of holes in them, between whoever feeds a session and the session's task."""

    def __init__(self, limit: int) -> None:
        """``limit``: samples that may wait before :meth:`room` waits."""
        self.samples = 0
        """Samples that wait."""
        self._limit = limit
        self._blocks: deque[Samples | Hole] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._stir = asyncio.Event()
        self._enough = 1

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def full(self) -> bool:
        """Whether :meth:`room` would wait."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Returns when fewer samples wait than the limit, or the inbox is closed."""
        await self._room.wait()

    def put(self, audio: Samples) -> None:
        """Adds samples; never waits and never refuses: :meth:`room` comes first."""
        if not len(audio):
            return
        self._blocks.append(audio)
        self.samples += len(audio)
        if self.samples >= self._limit:
            self._room.clear()
        if self.samples >= self._enough:
            self._stir.set()

    def put_hole(self, hole: Hole) -> None:
        """Notes that audio is missing here; it takes no room."""
        self._blocks.append(hole)
        self._stir.set()

    def take(self) -> Samples | Hole:
        """The oldest samples, at most :data:`SLICE` of them, or a hole; there must be something."""
        audio = self._blocks.popleft()
        if isinstance(audio, Hole):
            return audio
        blocks, size = [audio], len(audio)
        while size < SLICE and self._blocks and not isinstance(following := self._blocks[0], Hole):
            blocks.append(following)
            size += len(following)
            self._blocks.popleft()
        audio = np.concatenate(blocks) if len(blocks) > 1 else audio
        if size > SLICE:
            self._blocks.appendleft(audio[SLICE:])
            audio = audio[:SLICE]
        self.samples -= len(audio)
        if self.samples < self._limit:
            self._room.set()
        return audio

    def stir(self) -> None:
        """Wakes whoever waits for audio: something else has happened."""
        self._stir.set()

    async def stirred(self, enough: int = 1) -> None:
        """Returns once audio has come and makes ``enough`` samples, or :meth:`stir` was called, since the last time."""
        self._enough = enough
        try:
            await self._stir.wait()
        finally:
            self._enough = 1
        self._stir.clear()

    def close(self) -> None:
        """Nobody need wait for room any more; what is there can still be taken."""
        self._limit = 1 << 62
        self._room.set()
        self._stir.set()

    def clear(self) -> None:
        """Forgets what waits."""
        self._blocks.clear()
        self.samples = 0
