"""When each sound came in: what makes lateness measurable, and turns between rooms fair.

A sample's place in the conversation says when it was spoken only if the client sends as it is spoken; one that plays a
recording fast, or sends what it saved while the line was down, would seem late and push in front of the others.
"""

from __future__ import annotations

import bisect
from collections import deque
from typing import Final

from ambientd.core.audio import RATE

GRAIN: Final = RATE // 10
"""Samples: arrivals closer together are one."""


class Arrivals:
    """The arrival times of one conversation's audio, as far back as anybody may still ask."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque([0])
        """Samples received in all after each arrival ..."""
        self._times: deque[float] = deque([0.0])
        """... and when that was."""

    def note(self, received: int, now: float) -> None:
        """``received`` samples have come in since the session began."""
        if received - self._ends[-1] >= GRAIN or len(self._ends) == 1:
            self._ends.append(received)
            self._times.append(now)

    def at(self, sample: int) -> float:
        """When that sample came in, to about a tenth of a second; the newest arrival for what is yet to come."""
        place = min(bisect.bisect_right(self._ends, sample), len(self._times) - 1)
        return self._times[place]

    def forget(self, before: int) -> None:
        """Nobody will ask for samples before this one."""
        while len(self._ends) > 1 and self._ends[1] <= before:
            self._ends.popleft()
            self._times.popleft()
