"""The figures at /metrics, in Prometheus' conventions: base units, totals that only grow.

Labels are never ids or names: a metric must not tell who was in the room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ambientd.api.services import Engine
from ambientd.core.audio import RATE
from ambientd.core.decoding import Request
from ambientd.core.delivery import SyncState, SyncStatus
from ambientd.session.later import Later
from ambientd.session.refiner import Refiner
from ambientd.session.registry import Registry
from ambientd.store.audit import Audit
from ambientd.store.retention import Retention
from ambientd.store.space import Disk

_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds: a partial takes about 0.3, a final about 1; beyond 10 the time limit strikes."""


_LAGS: Final = (0.5, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 60)
"""Seconds: one decode of a box that is idle, up to one that is lost."""

_DELAYS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
"""Seconds: 0.05 is what the event loop may be late at full load."""


class _Figures(Collector):
    """Reads what the registry and the lanes count anyway, at the moment somebody asks."""

    def __init__(self, registry: Registry, lanes: Engine) -> None:
        self._registry = registry
        self._lanes = lanes

    def collect(self) -> Iterator[Metric]:
        registry, lanes = self._registry, self._lanes
        yield GaugeMetricFamily("ambientd_sessions", "Live sessions.", value=len(registry))
        yield GaugeMetricFamily("ambientd_sessions_limit", "Most live sessions allowed.", value=registry.most)
        yield CounterMetricFamily("ambientd_sessions_opened", "Sessions opened.", value=registry.opened)
        yield CounterMetricFamily(
            "ambientd_audio_seconds", "Audio received.", value=registry.totals.received_samples / 16_000
        )
        yield CounterMetricFamily(
            "ambientd_lines", "Lines committed.", value=registry.totals.chunks_processed
        )
        yield CounterMetricFamily(
            "ambientd_gap_seconds", "Audio lost to gaps.", value=registry.totals.gap_samples / 16_000
        )
        yield GaugeMetricFamily(
            "ambientd_lag_seconds",
            "Time for which text that could be there is not, of the session that is latest.",
            value=max((session.lag for session in registry), default=0.0),
        )
        capacity = registry.capacity
        yield GaugeMetricFamily(
            "ambientd_utilisation",
            "Share of the lanes' time that text to commit took in the last minute.",
            value=capacity.utilisation,
        )
        yield GaugeMetricFamily(
            "ambientd_preview_interval_seconds",
            "Time between two previews of a room that the load asks for.",
            value=capacity.preview_interval,
        )
        yield CounterMetricFamily(
            "ambientd_sessions_refused",
            "Sessions refused because the box was too busy.",
            value=capacity.refused,
        )
        yield GaugeMetricFamily("ambientd_lanes", "Decodes possible at once.", value=lanes.count)
        yield GaugeMetricFamily("ambientd_lanes_busy", "Decodes going on.", value=lanes.busy)
        yield GaugeMetricFamily(
            "ambientd_decodes_waiting", "Decodes waiting for a lane.", value=lanes.waiting
        )
        yield CounterMetricFamily(
            "ambientd_decodes_evicted",
            "Background decodes that gave way to a final, and began again.",
            value=lanes.load.evictions,
        )
        yield CounterMetricFamily(
            "ambientd_decode_failures", "Decodes that failed.", value=lanes.load.failures
        )
        ends = CounterMetricFamily("ambientd_session_ends", "Sessions ended, by reason.", labels=["reason"])
        for reason, count in registry.ends.items():
            ends.add_metric([reason], count)
        yield ends
        faults = CounterMetricFamily(
            "ambientd_client_errors", "Errors told to clients, by code.", labels=["code"]
        )
        for code, count in registry.faults.items():
            faults.add_metric([code], count)
        yield faults
        if registry.refiner is not None:
            yield from _second_hearing(registry.refiner)


def _second_hearing(refiner: Refiner) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ambientd_refinement_backlog_seconds",
        "Audio of all sessions that waits to be heard a second time.",
        value=refiner.backlog / 16_000,
    )
    yield GaugeMetricFamily(
        "ambientd_refinement_memory_bytes", "Audio kept for it.", value=refiner.shelf.used
    )
    yield CounterMetricFamily(
        "ambientd_refined_seconds", "Audio heard a second time.", value=refiner.refined_samples / 16_000
    )
    yield CounterMetricFamily(
        "ambientd_refinement_kept_seconds",
        "Audio that kept its live words: for want of memory or time, or because nothing better was heard.",
        value=refiner.kept_samples / 16_000,
    )
    outcomes = CounterMetricFamily(
        "ambientd_refinements", "Second hearings concluded, by outcome.", labels=["outcome"]
    )
    for outcome, count in refiner.outcomes.items():
        outcomes.add_metric([outcome], count)
    yield outcomes


class _Deliveries(Collector):
    """The sync as it was at one moment: its rows are counted in the store, which a collector cannot ask."""

    def __init__(self, status: SyncStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        rows = GaugeMetricFamily("ambientd_sync_rows", "Deliveries, by state.", labels=["state"])
        for state, count in status.counts.items():
            rows.add_metric([state], count)
        yield rows
        now = datetime.now(UTC)
        yield GaugeMetricFamily(
            "ambientd_sync_oldest_seconds",
            "Age of the oldest delivery that has not arrived.",
            value=0.0 if status.oldest is None else max(0.0, (now - status.oldest).total_seconds()),
        )
        attempts = CounterMetricFamily(
            "ambientd_sync_attempts", "Attempts to deliver, by outcome.", labels=["outcome"]
        )
        for outcome, count in status.attempts.items():
            attempts.add_metric([outcome], count)
        yield attempts
        yield GaugeMetricFamily(
            "ambientd_sync_last_success_timestamp_seconds",
            "When the last delivery arrived; 0 for never.",
            value=0.0 if status.last_success is None else status.last_success.timestamp(),
        )
        yield GaugeMetricFamily(
            "ambientd_sync_paused", "1 while the sync is paused.", value=int(status.state is SyncState.PAUSED)
        )


def deliveries(status: SyncStatus) -> CollectorRegistry:
    """The figures of the sync."""
    collectors = CollectorRegistry()
    collectors.register(_Deliveries(status))
    return collectors


class _Kept(Collector):
    """What the store has room for, and what it has let go of."""

    def __init__(self, disk: Disk, retention: Retention, audit: Audit) -> None:
        self._disk = disk
        self._retention = retention
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "ambientd_disk_free_bytes", "Space left for the database.", value=self._disk.free
        )
        yield GaugeMetricFamily(
            "ambientd_disk_low_water_bytes",
            "Free space below which no session is begun.",
            value=self._disk.low_water,
        )
        yield CounterMetricFamily(
            "ambientd_sessions_purged", "Sessions destroyed.", value=self._retention.purged
        )
        last = self._retention.last
        yield GaugeMetricFamily(
            "ambientd_last_purge_timestamp_seconds",
            "When the last purge since the start was done; 0 if there was none.",
            value=0 if last is None else last.timestamp(),
        )
        yield GaugeMetricFamily(
            "ambientd_store_quarantined",
            "Damaged databases that lie beside the one in use.",
            value=self._retention.quarantined,
        )
        yield GaugeMetricFamily(
            "ambientd_audit_rows_owed", "Rows of the audit that wait for the disk.", value=self._audit.owed
        )


class _Recorded(Collector):
    def __init__(self, later: Later) -> None:
        self._later = later

    def collect(self) -> Iterator[Metric]:
        stock = self._later.stock
        sessions = GaugeMetricFamily(
            "ambientd_recordings", "Sessions whose audio is kept to be transcribed later.", labels=["status"]
        )
        sessions.add_metric(["waiting"], stock.waiting)
        sessions.add_metric(["failed"], stock.failed)
        yield sessions
        yield GaugeMetricFamily(
            "ambientd_recorded_seconds", "Audio that is kept to be transcribed later.", stock.samples / RATE
        )
        outcomes = CounterMetricFamily(
            "ambientd_recordings_dealt_with", "Recordings whose turn came.", labels=["outcome"]
        )
        for outcome, count in self._later.outcomes.items():
            outcomes.add_metric([outcome], count)
        yield outcomes


def recorded(later: Later) -> Collector:
    """The figures of what is recorded now and transcribed later."""
    return _Recorded(later)


def kept(disk: Disk, retention: Retention, audit: Audit) -> Collector:
    """The figures of the store's keeping."""
    return _Kept(disk, retention, audit)


Observe = Callable[[Request, float, float], None]
"""Told of each decode: the request, the seconds it waited and the seconds it took."""


def collect(registry: Registry, lanes: Engine, *others: Collector) -> tuple[CollectorRegistry, Observe]:
    """The daemon's own figures, with those of ``others``, and the function that wants to be told of each decode."""
    collectors = CollectorRegistry()
    for each in (_Figures(registry, lanes), *others):
        collectors.register(each)
    took = Histogram(
        "ambientd_decode_seconds", "Time a decode took.", ["kind"], buckets=_BUCKETS, registry=collectors
    )
    waited = Histogram(
        "ambientd_queue_seconds",
        "Time a decode waited for a lane.",
        ["kind"],
        buckets=_BUCKETS,
        registry=collectors,
    )

    registry.capacity.observe = Histogram(
        "ambientd_piece_lag_seconds",
        "Time from the last sound of a piece coming in to its text being on record.",
        buckets=_LAGS,
        registry=collectors,
    ).observe

    def observe(request: Request, wait: float, work: float) -> None:
        kind = request.rank.name.lower()
        waited.labels(kind).observe(wait)
        took.labels(kind).observe(work)
        registry.capacity.decoded(request, wait, work)

    return collectors, observe


def watch_loop(collectors: CollectorRegistry) -> Callable[[float], None]:
    """What wants to be told of each delay of the event loop, in seconds."""
    return Histogram(
        "ambientd_loop_delay_seconds",
        "How late the event loop woke a task that slept.",
        buckets=_DELAYS,
        registry=collectors,
    ).observe
