"""What a running server says of itself and what the system says of it: processor, memory, the event loop's delay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

ASKED_EVERY: Final = 5.0
"""Seconds between two looks at /metrics: each costs the daemon some milliseconds."""

Buckets = dict[float, float]
"""Of a histogram: upper bound in seconds, and how many were not above it."""


@dataclass(slots=True)
class Meter:
    """A process with its children, from :func:`watched` on; where ``url`` is given, it is an ambientd."""

    process: psutil.Process
    url: str = ""
    peak: int = 0
    """Bytes of memory, resident, at most."""
    reels: int = 0
    """Bytes of audio kept for the second hearing, at most."""
    slowest: float = 0.0
    """Seconds, the longest delay of the event loop, as the daemon tells it or as its histogram bounds it."""
    delays: Buckets = field(default_factory=dict)
    """Of the event loop, from the beginning to the end."""
    cpu: float = 0.0
    """Seconds of the processor, from the beginning to the end."""
    wall: float = 0.0

    def delay(self, share: float) -> float:
        """Seconds within which the event loop's delay stayed for such a share of the times it was measured.

        Within a bucket of the histogram it is taken to be even.
        """
        wanted = share * max(self.delays.values(), default=0.0)
        for (below, before), (bound, count) in pairwise([(0.0, 0.0), *sorted(self.delays.items())]):
            if count >= wanted > before:
                # Beyond the last bucket nothing is known but the longest of all.
                top = min(bound, max(self.slowest, below))
                return below + (top - below) * (wanted - before) / (count - before)
        return 0.0

    @property
    def longest(self) -> float:
        """Seconds, the bound of the highest bucket that any delay fell into; no delay was longer."""
        count = max(self.delays.values(), default=0.0)
        return min((bound for bound, found in self.delays.items() if found == count), default=0.0)

    def spent(self) -> float:
        """Seconds of the processor since the process began."""
        times = self.process.cpu_times()
        return times.user + times.system

    async def weigh(self) -> None:
        """Looks at the memory for ever."""
        while True:
            with suppress(psutil.NoSuchProcess):
                family = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))
            await asyncio.sleep(0.5)

    async def ask(self) -> Buckets:
        """What the daemon says now; gives its event loop's delays so far."""
        async with aiohttp.ClientSession(self.url) as http:
            async with http.get("/metrics") as answer:
                families = {each.name: each for each in text_string_to_metric_families(await answer.text())}
            async with http.get("/api/v1/status") as answer:
                status: dict[str, Any] = await answer.json()
        self.slowest = max(self.slowest, float(status["load"]["loop_delay_max"]))
        kept = families["ambientd_refinement_memory_bytes"].samples if _refines(families) else []
        self.reels = max(self.reels, *(int(sample.value) for sample in kept), 0)
        return {
            float(sample.labels["le"]): sample.value
            for sample in families["ambientd_loop_delay_seconds"].samples
            if sample.name.endswith("_bucket")
        }

    async def keep_asking(self) -> None:
        """Asks for ever."""
        while True:
            await asyncio.sleep(ASKED_EVERY)
            await self.ask()


@asynccontextmanager
async def watched(pid: int, url: str = "") -> AsyncIterator[Meter]:
    """The figures of a process while the block runs; complete when it is left.  ``url``: of an ambientd."""
    meter = Meter(psutil.Process(pid), url)
    before = await meter.ask() if url else {}
    tasks = [asyncio.create_task(meter.weigh())]
    if url:
        tasks.append(asyncio.create_task(meter.keep_asking()))
    cpu, began = meter.spent(), time.monotonic()
    try:
        yield meter
    finally:
        meter.cpu, meter.wall = meter.spent() - cpu, time.monotonic() - began
        for task in tasks:
            task.cancel()
        await _over(tasks)
        if url:
            after = await meter.ask()
            meter.delays = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
            # The daemon tells the longest of a minute, which may reach back to before the beginning.
            meter.slowest = min(meter.slowest, meter.longest)


async def _over(tasks: Sequence[asyncio.Task[None]]) -> None:
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def _refines(families: dict[str, Any]) -> bool:
    return "ambientd_refinement_memory_bytes" in families
