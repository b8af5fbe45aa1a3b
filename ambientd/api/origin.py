"""Where a request comes from: this box, a page of its own, or somewhere that is not to be believed.

Any local account and any local program counts as being on the box.  So does everybody behind a reverse proxy that adds
no header and calls the daemon by its loopback address, as nginx does with a bare ``proxy_pass``: nothing in its calls
tells them from those of ``ambientctl``.  There must never be one in front of the loopback port; the headers looked for
here catch only those that say what they are.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

_RELAYED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
"""Headers of a proxy that says so: the peer is then the proxy, and whoever stands behind it may be anywhere."""


def is_local(request: web.BaseRequest) -> bool:
    """Whether the peer is a program on this box that was addressed as such.

    The name it was called by counts too: a web site can make a name of its own point to the loopback, and the
    browser of somebody at the box would then speak for that site.  The encrypted door is the network's: whoever comes
    through it shows who he is, also from here.
    """
    transport = request.transport
    door = None if transport is None else transport.get_extra_info("socket")
    if door is None or any(name in request.headers for name in _RELAYED):
        return False
    if door.family == socket.AF_UNIX:
        return True
    if is_encrypted(request):
        return False
    return _is_loopback(request.remote or "") and _is_loopback(host_of(request.host))


def is_encrypted(request: web.BaseRequest) -> bool:
    """Whether nobody on the way can read along."""
    transport = request.transport
    return transport is not None and transport.get_extra_info("ssl_object") is not None


def is_on_loopback(request: web.BaseRequest) -> bool:
    """Whether the connection itself does not leave the box, whoever stands behind it."""
    return not request.remote or _is_loopback(request.remote)


def peer(request: web.BaseRequest) -> str:
    """Where a request comes from, as the audit has it: an address, or ``local`` for a Unix socket."""
    return request.remote or "local"


def check_origin(request: web.BaseRequest) -> None:
    """Refuses a page of another site that tries to speak to the box through the browser of someone near it.

    Programs send no Origin.  A page opened from a file sends ``null``: the engineer's page works that way, on the box.

    Raises:
        HTTPForbidden: the page came from elsewhere.
    """
    origin = request.headers.get("Origin")
    # A sandboxed frame of any site sends null too, so it may open a session of its own and do nothing else, and that
    # only on the box itself.
    if origin is None or (origin == "null" and request.method == "GET" and not is_encrypted(request)):
        return
    if origin_of(origin)[1] != request.host:
        raise web.HTTPForbidden(text="This page may not connect: it was not served by this box.")


def origin_of(header: str) -> tuple[str, str]:
    """Scheme and host, with its port, of an Origin; two empty texts for what is none."""
    try:
        parts = urlsplit(header)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc


def host_of(host: str) -> str:
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
