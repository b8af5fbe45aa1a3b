"""The microphone's figures at /metrics.  How loud it is in the room is none of them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ambientd.core.audio import RATE
from ambientd.core.microphone import Microphone, Status


class _Sound(Collector):
    def __init__(self, microphone: Microphone) -> None:
        self._microphone = microphone

    def collect(self) -> Iterator[Metric]:
        state = self._microphone.state
        statuses = GaugeMetricFamily(
            "ambientd_microphone_status", "1 for the status the microphone has.", labels=["status"]
        )
        for status in Status:
            statuses.add_metric([status], int(state.status is status))
        yield statuses
        yield GaugeMetricFamily(
            "ambientd_microphone_usable",
            "0 while the microphone cannot be used or gives no sound.",
            value=int(state.reason is None),
        )
        yield GaugeMetricFamily(
            "ambientd_microphone_silent",
            "1 while it is open and gives digital silence: a switch on it is off.",
            value=int(state.level.silent),
        )
        yield GaugeMetricFamily(
            "ambientd_microphone_clipping", "1 while it is too loud.", value=int(state.level.clipping)
        )
        yield CounterMetricFamily(
            "ambientd_microphone_restarts",
            "Times its process was started again while somebody listened.",
            value=state.restarts,
        )
        yield CounterMetricFamily(
            "ambientd_microphone_seconds", "Sound captured.", value=state.captured / RATE
        )
        yield CounterMetricFamily(
            "ambientd_microphone_lost_seconds",
            "Time of which nothing was captured while somebody listened.",
            value=state.lost / RATE,
        )


def sound(microphone: Microphone) -> Collector:
    """The figures of the room's microphone."""
    return _Sound(microphone)
