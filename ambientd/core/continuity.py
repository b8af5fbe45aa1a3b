"""How much of the room's time was not captured, to the sample.

Samples tell how much was captured, the clock how much time has passed; what is between them is missing.

    Rule 1  Where the stream broke (a new process, an overflow that the device tells of) the time from the end of the
            last sample to the beginning of the next is missing.
    Rule 2  Elsewhere the clock is not believed at once: sound servers hand over in bursts.  Only what the samples
            have been behind for :data:`WINDOW` without a break is missing: packets that a bus dropped, or a driver.
    Rule 3  No card's clock is exact.  Of what the samples are behind, no more is forgiven than such a clock can drift
            (:data:`DRIFT`); the rest adds up until it is worth telling (:data:`JUMP`), however slowly it grows.
            Samples that are ahead of the clock show that an earlier block was handed over late: that is believed.
    Rule 4  Missing time is told in whole samples, and the rest is carried: the sum is never wrong by more than half a
            sample, however many gaps there are.
    Rule 5  Nothing is taken back: if a new stream seems to begin before the old one ended, nothing is missing.
"""

from __future__ import annotations

from typing import Final

from ambientd.core.audio import RATE

SECOND: Final = 1_000_000_000
"""Nanoseconds."""

WINDOW: Final = 2 * SECOND
"""Time for which samples must be behind."""

JUMP: Final = SECOND // 4
"""Nanoseconds they must be behind by."""

DRIFT: Final = 0.002
"""Share of the time that a card's clock may be off: ten times what a cheap crystal is."""


class Continuity:
    """The account of one recording, over as many streams as it takes.  Times are nanoseconds of one monotonic clock."""

    def __init__(self) -> None:
        self._end: int | None = None
        """When the last sample that is accounted for was captured."""
        self._owed = 0.0
        """Samples at the box's rate by which what was told is less than what has passed."""
        self._fresh = True
        self._counted = 0
        """Where the samples alone put the end of the last block, counted from where the clock put it last."""
        self._least: int | None = None
        """What the samples were behind by, at least, in this window."""
        self._opened = 0
        """When the window began."""

    @property
    def begun(self) -> bool:
        """Whether anything was captured yet."""
        return self._end is not None

    def interrupt(self) -> None:
        """The stream has ended: the next block is another's first."""
        self._fresh = True

    def missing(self, count: int, rate: int, end: int, *, broken: bool) -> int:
        """Samples at 16 kHz that are missing before a block of ``count`` samples whose last was captured at ``end``.

        rate: Hz, the block's own.  broken: whether the device says that something was lost just before.
        """
        length = count * SECOND // rate
        start = end - length
        if self._end is None or self._fresh or broken:
            gap = 0 if self._end is None else max(0, start - self._end)
            self._anchor(end)
        else:
            gap = self._silent_loss(length, end)
        self._end = end if self._end is None else max(self._end, end)
        return self._whole(gap)

    def waited(self, now: int) -> int:
        """Samples that are missing between the last one and ``now``, at which no stream is open."""
        if self._end is None or now <= self._end:
            return 0
        gap, self._end = now - self._end, now
        return self._whole(gap)

    def trailing(self, now: int) -> int:
        """Samples missing at the end of a recording that ends ``now``; a block that is under way does not count."""
        if self._end is None or now - self._end <= JUMP:
            return 0
        return max(0, round(self._owed + (now - self._end) * RATE / SECOND))

    def settle(self, ideal: float, given: int) -> None:
        """Accounts for a conversion: ``given`` samples came out where ``ideal`` would have been exact."""
        self._owed += ideal - given

    def _whole(self, gap: int) -> int:
        if not gap:
            return 0
        self._owed += gap * RATE / SECOND
        told = max(0, round(self._owed))
        self._owed -= told
        return told

    def _anchor(self, end: int) -> None:
        self._fresh = False
        self._counted = end
        self._least = None
        self._opened = end

    def _silent_loss(self, length: int, end: int) -> int:
        self._counted += length
        behind = end - self._counted
        self._least = behind if self._least is None else min(self._least, behind)
        if end - self._opened < WINDOW:
            return 0
        drift = round((end - self._opened) * DRIFT)
        least, self._least, self._opened = self._least, None, end
        told = least if least > JUMP else 0
        self._counted += told or min(least, drift)
        return told
