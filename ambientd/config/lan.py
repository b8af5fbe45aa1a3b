"""The table of the door to the network, apart from the others for their length."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ambientd.config.kinds import Bytes, Count, Seconds, Table, Unit


def _host(host: str) -> str:
    if host:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ValueError(
                'must be an address, such as "192.168.1.20", or empty for all of them'
            ) from error
    return host


_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
"""Labels of letters, digits and hyphens.  Source: RFC 1123 section 2.1."""

_LONGEST_NAME: Final = 253


def _names(names: str) -> str:
    for name in _each(names):
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise ValueError('must be host names with commas between, such as "box-3.clinic.example"')
    return names


def _each(names: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip().lower() for each in names.split(","))))


def _path(path: str) -> str:
    if path and (not path.startswith("/") or "\0" in path):
        raise ValueError('must be empty or an absolute path: it begins with "/"')
    return path


class Lan(Table):
    """The HTTPS door for tablets and programs on the network; the plain door of [server] stays on the box."""

    enabled: bool = True
    """Whether the network can reach the box; without it only programs on the box can."""
    host: Annotated[str, AfterValidator(_host)] = ""
    """Address to listen on; empty is every address of the box."""
    port: Count = Field(default=8443, ge=0, le=65_535)
    """TCP port for page and WebSocket; 0 lets the system choose a free one. A socket from systemd goes before it."""
    names: Annotated[str, AfterValidator(_names)] = ""
    """Further names the network calls the box by, with commas between, besides its host name, that with .local, and
    its addresses."""
    certificate: Annotated[str, AfterValidator(_path)] = ""
    """PEM file of a certificate made elsewhere, with its chain; empty takes the imported one, else the box's own."""
    key: Annotated[str, AfterValidator(_path)] = ""
    """PEM file of that certificate's key; read again when either file changes."""
    announce: bool = True
    """Whether the box makes itself known by mDNS as _ambientd._tcp: name, version and port, nothing else."""
    connections: Count = Field(default=256, ge=4, le=10_000)
    """Connections from the network at once, all addresses together; each takes about 0.3 MB."""
    address_connections: Count = Field(default=32, ge=2, le=10_000)
    """Connections from one address at once."""
    streams_per_minute: Count = Field(default=10, ge=1, le=10_000)
    """WebSockets that one address, or one token, may open in a minute; returning to a session has three times that."""
    requests_per_minute: Count = Field(default=600, ge=10, le=100_000)
    """Requests that one address, or one token, may make in a minute."""
    ban: Seconds = Field(default=900.0, ge=1, le=86_400)
    """Time an address that goes on beyond its limits is shut out; "ambientctl limits free" lets it in before."""
    handshake_timeout: Seconds = Field(default=10.0, ge=0.5, le=60)
    """Longest time from the connection to the end of the TLS handshake."""
    head_timeout: Seconds = Field(default=10.0, ge=0.5, le=120)
    """Longest time a request's head may take to arrive."""
    body_rate: Annotated[int, Unit("bytes/s")] = Field(default=1_000, ge=1, le=1_000_000)
    """Slowest a request's body may arrive, over ten seconds."""
    memory: Bytes = Field(default=67_108_864, ge=1_048_576, le=2**36)
    """Unread bytes from the network kept at once; beyond it the connection that holds the most is cut."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """The names, one by one, in lower case."""
        return _each(self.names)
