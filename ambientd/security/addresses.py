"""What the network calls this machine."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from ambientd.security.authority import Address, Names

MOST: Final = 32
"""Addresses in a certificate: a box with bridges and tunnels has a dozen."""

_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses kept for documentation: nothing is sent there, the kernel only tells from where it would be.
Source: RFC 5737, RFC 3849."""


def this_machine(further: Iterable[str] = ()) -> Names:
    """Host name, that with ``.local``, the ``further`` names, the loopback's, and all addresses of the interfaces."""
    host = socket.gethostname().lower()
    bare = host.partition(".")[0]
    names = (
        [host, bare, f"{bare}.local", *further, "localhost"] if bare and bare != "localhost" else [*further]
    )
    loopback = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    found = [*lan_addresses(), *loopback]
    return Names(tuple(dict.fromkeys([*names, "localhost"])), tuple(dict.fromkeys(found)))


def lan_addresses() -> list[Address]:
    """The addresses under which the network may reach this machine: the one packets leave from first, then IPv4."""
    found = [a for a in _interfaces() if not (a.is_loopback or a.is_unspecified or a.is_multicast)]
    # A link-local IPv6 address needs the interface's name behind it, which no certificate and few browsers take.
    usable = {a for a in found if a.version == 4 or not a.is_link_local}  # noqa: PLR2004 - IP versions
    first = [a for a in _routed() if a in usable]
    rest = sorted(usable.difference(first), key=lambda a: (a.version, int(a)))
    return [*first, *rest][:MOST]


def _interfaces() -> list[Address]:
    import ifaddr  # noqa: PLC0415 - it asks the linker for the C library, 20 ms that a box without a network door saves

    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:  # a sandbox without AF_NETLINK
        return _routed()
    texts = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in adapters for ip in adapter.ips]
    return [ipaddress.ip_address(text) for text in texts]


def _routed() -> list[Address]:
    """The addresses from which packets would leave."""
    found = []
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                found.append(ipaddress.ip_address(probe.getsockname()[0]))
        except OSError:
            continue
    return found
