"""One listener's share of what the microphone gives: bounded, and whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.microphone import Gap, Sound

PATIENCE: Final = 5 * RATE
"""Samples that may wait to be taken: a listener that sleeps longer than this has no ear for the room."""


class Hearing:
    """What :meth:`Microphone.listen` gives; see the protocol of that name in ``core.microphone``."""

    def __init__(self, missing: Callable[[], int], last: Callable[[], bool]) -> None:
        """``missing``: samples not captured between the last sound and now.

        ``last``: whether nobody else listens; while somebody does, they are counted when all are told of them.
        """
        self._missing = missing
        self._last = last
        self._waiting: deque[Sound | Gap] = deque()
        self._size = 0
        """Samples of sound that wait."""
        self._heard = False
        self._stir = asyncio.Event()
        self.stopped = False
        self.dropped = 0
        """Samples missing for this listener alone: it did not take them in time, or was the last and
        ceased to listen in a gap."""

    async def __aiter__(self) -> AsyncIterator[Sound | Gap]:
        """What comes, in order; ends once :meth:`stop` was called and all is taken."""
        while True:
            while self._waiting:
                heard = self._waiting.popleft()
                if isinstance(heard, Sound):
                    self._size -= len(heard.samples)
                yield heard
            if self.stopped:
                return
            self._stir.clear()
            await self._stir.wait()

    def stop(self) -> None:
        """See the protocol."""
        if not self.stopped:
            if self._heard and (missing := self._missing()):
                self.dropped += missing if self._last() else 0
                self._miss(missing)
            self.stopped = True
            self._stir.set()

    def put(self, heard: Sound | Gap) -> None:
        """Gives the listener the next piece; what it has no room for becomes part of a gap."""
        if self.stopped:
            return
        if isinstance(heard, Gap):
            self._miss(heard.samples)
        elif self._size >= PATIENCE:
            self.dropped += len(heard.samples)
            self._miss(len(heard.samples))
        else:
            self._heard = True
            self._size += len(heard.samples)
            self._waiting.append(heard)
        self._stir.set()

    def _miss(self, samples: int) -> None:
        if not self._heard:
            return  # nothing is missing before the first sound
        if self._waiting and isinstance(last := self._waiting[-1], Gap):
            self._waiting[-1] = Gap(last.samples + samples)
        else:
            self._waiting.append(Gap(samples))
