"""The figures at /metrics, in Prometheus' conventions: base units, totals that only grow.

Labels are never ids or names: a metric must not tell who was in the room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ambientd.api.services import Engine
from ambientd.core.decoding import Request
from ambientd.session.registry import Registry

_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds: a partial takes about 0.3, a final about 1; beyond 10 the time limit strikes."""


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
            "Audio received and not yet judged, of the session with the most.",
            value=max((session.lag for session in registry), default=0.0),
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


Observe = Callable[[Request, float, float], None]
"""Told of each decode: the request, the seconds it waited and the seconds it took."""


def collect(registry: Registry, lanes: Engine) -> tuple[CollectorRegistry, Observe]:
    """The daemon's own figures, and the function that wants to be told of each decode."""
    collectors = CollectorRegistry()
    collectors.register(_Figures(registry, lanes))
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

    def observe(request: Request, wait: float, work: float) -> None:
        kind = request.rank.name.lower()
        waited.labels(kind).observe(wait)
        took.labels(kind).observe(work)

    return collectors, observe
