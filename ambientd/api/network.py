"""Whether a request was meant for this box and does not come too often; what every answer tells a browser.

Rule 1  A request names the box by one of its own names.  A web site can make a name of its own point here, and the
        browser of somebody near the box would then speak for that site.
Rule 2  Every answer says the same to every browser: no frames, no guessing, no word to anybody else.
Rule 3  Programs on the box itself are not counted: whoever runs there needs no door.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from aiohttp import web

from ambientd.api.farewell import refuse
from ambientd.api.origin import host_of, is_encrypted, is_local, peer
from ambientd.api.wire import Socket
from ambientd.core.network import Ban, Rate, Standing
from ambientd.errors import ClientError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

MONTH: Final = 30 * 86_400

HEADERS: Final = {
    # For answers that are not pages; pages bring their own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": (
        "microphone=(self), camera=(), geolocation=(), display-capture=(), usb=(), serial=(), hid=(),"
        " payment=(), midi=(), publickey-credentials-get=(self), screen-wake-lock=(self)"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "no-store",
}
"""What every answer says unless its route says otherwise."""

TRANSPORT_SECURITY: Final = f"max-age={MONTH}"
"""Without subdomains and preloading: both would reach beyond this box.  For a month, not for ever: a box that was
set up anew has another authority, and by its name no browser would show the page on which to install it."""


class Limiter(Protocol):
    """Counts and bans; see :mod:`ambientd.security.limits`."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How often something was refused, by the reason."""
        ...

    @property
    def bans(self) -> Sequence[Ban]:
        """Those in force."""
        ...

    def count(self, rate: Rate, who: str) -> None:
        """One more; raises :class:`ClientError` if that is one too many."""
        ...

    def check(self, rate: Rate, who: str) -> None:
        """Raises as ``count``, without counting."""
        ...

    def failed_login(self, address: str) -> None:
        """A password, code or token was wrong."""
        ...

    def free(self, address: str) -> bool:
        """Let an address in again; whether it was shut out."""
        ...

    def seconds_left(self, ban: Ban) -> float:
        """Until a ban ends."""
        ...


class Network(Protocol):
    """The box in its network; see :mod:`ambientd.lan`."""

    @property
    def limits(self) -> Limiter:
        """Counts and bans."""
        ...

    @property
    def standing(self) -> Standing | None:
        """How it stands with certificates; ``None`` if there is no door to the network."""
        ...

    @property
    def authority_der(self) -> bytes:
        """The box's own authority, to be installed on tablets."""
        ...

    @property
    def addresses(self) -> Sequence[str]:
        """Where tablets reach the box, as ``https://…``, the best first; empty without a door."""
        ...

    @property
    def connections(self) -> int:
        """Connections from the network, now."""
        ...

    def knows(self, host: str) -> bool:
        """Whether the box is called so, in lower case and without a port."""
        ...

    async def renew(self, *, authority: bool) -> None:
        """A new certificate, now; raises :class:`OperatorError`."""
        ...


NETWORK: Final = web.AppKey("network", Network)


@web.middleware
async def meant_for_us(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Refuses what was sent to another name, and what comes too often from one address."""
    network = request.app.get(NETWORK)
    if network is None or is_unix(request):
        return await handler(request)
    name = host_of(request.host)
    if not (_is_address(name) or network.knows(name.lower().rstrip("."))):
        raise ClientError(
            "wrong_host",
            "this box is not called so",
            hint="Use its host name, that name with .local, or its address; further names go into lan.names.",
        )
    if is_local(request) or not is_encrypted(request):
        return await handler(request)
    try:
        network.limits.count(rate_of(request), peer(request))
    except ClientError as error:
        if not is_socket(request):
            raise
        return await turn_away(request, error)
    return await handler(request)


def count_token(request: web.Request, token_id: str) -> None:
    """The same for the token that a request brings, once it is known to be a good one.

    Raises:
        ClientError: too many.
    """
    network = request.app.get(NETWORK)
    if network is not None and is_encrypted(request):
        network.limits.count(rate_of(request), f"token:{token_id}")


def rate_of(request: web.Request) -> Rate:
    """What a request counts as."""
    if not is_socket(request):
        return Rate.REQUEST
    return Rate.RETURN if request.query.get("resume") in {"1", "true"} else Rate.STREAM


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer's headers: a signal of the application, so that none is forgotten."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "ambientd"
    # For a name like localhost it would lock the plain door on the loopback as well.
    if is_encrypted(request) and not _is_ours_alone(host_of(request.host)):
        response.headers["Strict-Transport-Security"] = TRANSPORT_SECURITY


async def turn_away(request: web.Request, error: ClientError) -> web.StreamResponse:
    """Takes a WebSocket to tell its client why not: from a refused handshake a browser learns nothing."""
    knock = Socket(compress=False, timeout=1.0)
    await knock.prepare(request)
    await refuse(knock, error)
    return knock


def is_socket(request: web.BaseRequest) -> bool:
    """Whether a WebSocket is asked for."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def is_unix(request: web.BaseRequest) -> bool:
    """Whether it came through the file system, where no name is needed."""
    door = request.transport.get_extra_info("socket") if request.transport else None
    return door is not None and door.family == socket.AF_UNIX


def _is_address(host: str) -> bool:
    """Whether it is an address and no name: those cannot be made to point elsewhere."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_ours_alone(host: str) -> bool:
    return host == "localhost" or _is_address(host)
