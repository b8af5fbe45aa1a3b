"""When the samples of a device were captured, told by the clock and not by the counting of samples.

    Rule 1  The last sample of a block was captured when the block could be read, less what lay behind it in the
            buffer.
    Rule 2  None was captured before the stream was started.
    Rule 3  A device that gives sound faster than time passes has no clock (ALSA's plugins ``null`` and ``file``).  It
            is read at its rate, and its samples lie where that puts them.  Left alone it would fill the memory, and
            what it says of its buffer means nothing.

Only a device's first seconds tell which kind it is: later a clock that is a little fast would look the same.
"""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000_000
"""Nanoseconds."""

TRIAL: Final = 3 * SECOND
"""Time after the start within which a device can show that it has no clock."""

HASTE: Final = SECOND
"""How far ahead of time its samples are then.  A sound server hands over what it has buffered, which is less."""


class Pace:
    """The time of one stream."""

    def __init__(self, rate: int, began: int) -> None:
        """``rate``: Hz.  ``began``: when the stream was started, in nanoseconds of the monotonic clock."""
        self._rate = rate
        self._began = began
        self._captured = 0
        self.clockless = False

    def end(self, count: int, now: int, waiting: int) -> int:
        """When the last of the ``count`` samples just read was captured.

        ``now``: the time behind the read.  ``waiting``: samples that could be read at once.
        """
        self._captured += count
        counted = self._began + self._captured * SECOND // self._rate
        if not self.clockless and now - self._began < TRIAL and counted - now > HASTE:
            self.clockless = True
        if self.clockless:
            return counted
        measured = now - waiting * SECOND // self._rate
        return max(measured, counted) if now - self._began < TRIAL else measured

    def ahead(self, now: int) -> float:
        """Seconds to wait before the next read: 0 unless the device has no clock."""
        if not self.clockless:
            return 0.0
        return max(0.0, (self._began + self._captured * SECOND // self._rate - now) / SECOND)
