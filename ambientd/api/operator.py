"""Who may do what changes the box: until there are accounts, only somebody who is on it.

Any local account and any local program counts.  So does everybody behind a reverse proxy that adds no header and calls
the daemon by its loopback address, as nginx does with a bare ``proxy_pass``: nothing in its calls tells them from
those of ``ambientctl``.  There must never be one in front of the loopback port; the headers looked for here catch only
those that say what they are.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from aiohttp import web

from ambientd.api.stream import check_origin
from ambientd.errors import ClientError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RELAYED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
"""Headers of a proxy that says so: the peer is then the proxy, and whoever stands behind it may be anywhere."""


def operator_only(answer: Answer) -> Answer:
    """A route that answers on the box itself, to ``ambientctl``; everybody else gets 403 and the reason."""

    @wraps(answer)
    async def guarded(request: web.Request) -> web.StreamResponse:
        check_origin(request)
        if not is_local(request):
            raise ClientError(
                "operator_only",
                "this is done on the box itself, until it has accounts",
                hint="Log in to the box and use ambientctl.",
            )
        return await answer(request)

    return guarded


def is_local(request: web.Request) -> bool:
    """Whether the peer is a program on this box that was addressed as such.

    The name it was called by counts too: a web site can make a name of its own point to the loopback, and the
    browser of somebody at the box would then speak for that site.
    """
    transport = request.transport
    door = None if transport is None else transport.get_extra_info("socket")
    if door is None or any(name in request.headers for name in _RELAYED):
        return False
    if door.family == socket.AF_UNIX:
        return True
    return _is_loopback(request.remote or "") and _is_loopback(_host(request.host))


def peer(request: web.Request) -> str:
    """Where a request comes from, as the audit has it: an address, or ``local`` for a Unix socket."""
    return request.remote or "local"


def _host(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
