"""Whether calling the centre makes sense now: while it is away one row at a time asks, and not all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ambientd.core.retry import Backoff

ENOUGH: Final = 3
"""Different rows that fail, with no success between, before it is taken for the centre's trouble and not theirs."""


class Breaker:
    """Open, nobody calls.  After its pause one row may try; its success closes it, its failure doubles the pause.

    So an outage of days costs each row a few attempts, and its 500s do not park the whole queue.
    """

    def __init__(self, backoff: Backoff, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        """``clock``: seconds, monotonic."""
        self._backoff = backoff
        self._clock = clock
        self._chance = chance
        self._failed: set[str] = set()
        """Rows that have failed since the last success."""
        self._rounds = 0
        self._until = 0.0
        self._everyone = False

    @property
    def remaining(self) -> float:
        """Seconds until somebody may call."""
        return max(0.0, self._until - self._clock())

    @property
    def lets_new_ones(self) -> bool:
        """Whether a row that was never tried may call all the same.

        It was opened by rows that fail, and perhaps they alone do: a consultation of now does not wait for them.
        """
        return not self._everyone

    def succeed(self) -> None:
        """The centre works."""
        self._failed.clear()
        self._rounds = 0
        self._until = 0.0

    def fail(self, row: str, *, everyone: bool, retry_after: float | None) -> bool:
        """A row has failed; returns whether the round is to end here.

        everyone: whether every other row would fail just so.
        """
        self._failed.add(row)
        if not everyone and len(self._failed) < ENOUGH:
            return False
        self._rounds += 1
        self._everyone = everyone
        pause = self._backoff.pause(self._rounds, self._chance())
        self._until = self._clock() + max(pause, retry_after or 0.0)
        return True
