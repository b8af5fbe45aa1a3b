"""The figures of the door to the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ambientd.api.network import Limiter
from ambientd.core.network import Standing


class Wires(Protocol):
    """Connections; see :mod:`ambientd.api.wire`."""

    @property
    def kept(self) -> int:
        """Bytes received and not taken up."""
        ...

    @property
    def cut(self) -> Mapping[str, int]:
        """Connections cut, by the reason."""
        ...


class Watched(Protocol):
    """What there is to measure."""

    @property
    def limits(self) -> Limiter:
        """Counts and bans."""
        ...

    @property
    def standing(self) -> Standing | None:
        """Of the certificates."""
        ...

    @property
    def connections(self) -> int:
        """Now."""
        ...

    @property
    def wires(self) -> Wires | None:
        """``None`` without a door."""
        ...


class NetworkFigures(Collector):
    """Certificate, connections, refusals, bans."""

    def __init__(self, network: Watched) -> None:
        self._network = network

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        network = self._network
        if network.standing is not None:
            yield GaugeMetricFamily(
                "ambientd_certificate_expiry_timestamp_seconds",
                "When the certificate in use ends.",
                value=network.standing.certificate.ends.timestamp(),
            )
        yield GaugeMetricFamily(
            "ambientd_lan_connections", "Connections from the network.", value=network.connections
        )
        yield GaugeMetricFamily(
            "ambientd_lan_banned_addresses", "Addresses shut out.", value=len(network.limits.bans)
        )
        refused = CounterMetricFamily(
            "ambientd_lan_refused", "Connections and requests refused.", labels=["reason"]
        )
        for reason, count in network.limits.refused.items():
            refused.add_metric([reason], count)
        yield refused
        if network.wires is None:
            return
        yield GaugeMetricFamily(
            "ambientd_lan_kept_bytes",
            "Bytes received from the network and not taken up.",
            value=network.wires.kept,
        )
        cut = CounterMetricFamily(
            "ambientd_lan_cut", "Connections cut while they were open.", labels=["reason"]
        )
        for reason, count in network.wires.cut.items():
            cut.add_metric([reason], count)
        yield cut
