"""How busy the box is: whether one more room fits, how often to preview, how much audio to judge at a time.

    Rule 1  A room is refused *before* it would make the others late: what the lanes did in the last minute, plus what
            rooms that have just opened are going to add, plus one more, must stay below a share of the lanes' time.
    Rule 2  The rooms' own lag is the second guard, for what no forecast sees: another program on the machine, a slow
            disk, conversations denser than those before.
    Rule 3  A box without a room refuses nobody.
    Rule 4  Previews have what finals leave, squared: a lane without a final does not hurt only while another is idle
            as well, so that the next final finds it.  At a fifth of full load that is most, at nine tenths nothing.

A count of rooms alone would not do: a room of two people in lively talk costs ten times one where a patient undresses.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.decoding import Rank, Request

WINDOW: Final = 60.0
"""Seconds that utilisation and lag look back."""

FIRST_TEXT: Final = 12.0
"""Seconds until a new room's first piece is decoded: half-way between the shortest and the longest usual piece."""

FIRST_GUESS: Final = 0.075
"""Lane seconds a second of talk costs, until the box has seen for itself.  Source: measured, docs/benchmarks.md."""

ENOUGH: Final = 300.0
"""Seconds of decoded audio by which the first guess counts for little; what was decoded longer ago fades."""

LONGEST_BEAT: Final = 0.5
"""Seconds of audio judged at a time under full load."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """From where on new rooms are refused."""

    utilisation: float = 0.95
    """Share of the lanes' time that finals may take."""
    lag: float = 10.0
    """Seconds, of the last minute's lines the 95th percentile."""
    retry: float = 60.0
    """Seconds after which a refused client may try again."""


NO_CEILING: Final = Ceiling(utilisation=math.inf, lag=math.inf)
"""Refuses nobody."""


class Capacity:
    """Keeps account of one box; times are of ``clock``, in seconds."""

    def __init__(
        self,
        lanes: int,
        ceiling: Ceiling | None = None,
        *,
        guess: float = FIRST_GUESS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``guess``: lane seconds a second of talk is believed to cost until the box has seen for itself."""
        self.ceiling = ceiling or Ceiling()
        self.watchers: Callable[[], int] = lambda: 1
        """Rooms whose clients want previews, at this moment."""
        self.refused = 0
        """Rooms refused since the start."""
        self.turn = asyncio.Lock()
        """Held while a room's audio is judged, so that one turn of the event loop judges one room's."""
        self.observe: Callable[[float], None] = lambda _: None
        """Told of each piece's lag, in seconds."""
        self._lanes = lanes
        self._clock = clock
        self._finals: deque[tuple[float, float]] = deque()
        """When each of the last minute's finals was done, and the lane seconds it took."""
        self._lags: deque[tuple[float, float]] = deque()
        self._spent = guess * ENOUGH / 10
        self._heard = ENOUGH / 10
        self._preview = 0.0

    def decoded(self, request: Request, _waited: float, took: float) -> None:
        """Counts a decode: the seconds it waited for a lane, and those it held one."""
        if request.rank is Rank.PARTIAL:
            self._preview = took
        if request.rank is not Rank.FINAL:
            return
        self._finals.append((self._clock(), took))
        fade = max(0.0, 1 - len(request.audio) / RATE / ENOUGH)
        self._spent = self._spent * fade + took
        self._heard = self._heard * fade + len(request.audio) / RATE

    def lagged(self, seconds: float) -> None:
        """Counts a piece: how long after its last sound its text was on record."""
        self._lags.append((self._clock(), seconds))
        self.observe(seconds)

    @property
    def cost(self) -> float:
        """Lane seconds a second of talk has been costing."""
        return self._spent / self._heard

    @property
    def utilisation(self) -> float:
        """Share of the lanes' time that finals took in the last minute."""
        return sum(took for _, took in self._recent(self._finals)) / (WINDOW * self._lanes)

    @property
    def lag(self) -> float:
        """Seconds, the 95th percentile of the last minute; 0 without lines."""
        return _p95([lag for _, lag in self._recent(self._lags)])

    def expected(self, ages: Iterable[float]) -> float:
        """Utilisation once one more room has opened; ``ages``: seconds for which each live room has been open."""
        unseen = 1 + sum(1 - min(1.0, max(0.0, (age - FIRST_TEXT) / WINDOW)) for age in ages)
        return self.utilisation + unseen * self.cost / self._lanes

    def refusal(self, ages: list[float], lags: list[float]) -> str | None:
        """Why one more room would be too many, or nothing.

        ``ages``: see :meth:`expected`.  ``lags``: seconds the live rooms are late at this moment.
        """
        if not ages:
            return None
        late = _p95([*(lag for _, lag in self._recent(self._lags)), *(lag for lag in lags if lag > 0)])
        if late > self.ceiling.lag:
            return f"text is {late:.0f} s late"
        if (share := self.expected(ages)) > self.ceiling.utilisation:
            return f"one more room would take {100 * share:.0f} % of the engine's time"
        return None

    def spacing(self, cost: float) -> float:
        """Seconds between two previews of a room, if each costs ``cost`` lane seconds."""
        spare = max(0.0, 1 - self.utilisation) ** 2
        budget = spare * self._lanes
        return cost * max(1, self.watchers()) / budget if budget else math.inf

    @property
    def preview_interval(self) -> float:
        """Seconds between two previews of a room as they have cost of late; 0 if there were none."""
        return self.spacing(self._preview) if self._preview else 0.0

    @property
    def thinned(self) -> bool:
        """Whether previews come less often than they could if a room were alone."""
        return self.preview_interval > max(1.0, self._preview)

    @property
    def beat(self) -> float:
        """Seconds of audio a room gathers before it is judged.

        The voice detector's weights are driven out of the caches by the decoders: the first frame costs five times the
        next.  On an idle box nothing is gathered, so that previews lose no time.
        """
        return LONGEST_BEAT * min(1.0, self.utilisation) ** 2

    def _recent(self, entries: deque[tuple[float, float]]) -> deque[tuple[float, float]]:
        since = self._clock() - WINDOW
        while entries and entries[0][0] <= since:
            entries.popleft()
        return entries


def _p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else 0.0
