"""Every route says what it asks of whoever calls it; a middleware finds out who that is, and whether he may.

A route without a declaration answers nobody, and a test finds it.  The declaration is a decorator below the route's:

    @routes.get("/api/v1/status")
    @allows(Permission.SEE_BOX)
    async def status(request: web.Request) -> web.Response: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ambientd.api.farewell import refuse
from ambientd.api.origin import check_origin, is_local
from ambientd.core.access import LOCAL, Permission, Principal
from ambientd.core.protocol import CLOSE_POLICY
from ambientd.errors import AmbientError, ClientError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MARK: Final = "ambientd_need"
_PRINCIPAL: Final = web.RequestKey("principal", Principal)


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks for."""

    permissions: tuple[Permission, ...]
    """At least one of these; empty for a route that is open to all."""


def allows(*permissions: Permission) -> Callable[[Answer], Answer]:
    """A route for those who have at least one of these permissions."""
    if not permissions:
        raise TypeError("a route that asks for nothing is open_to_all")

    def declare(answer: Answer) -> Answer:
        vars(answer)[_MARK] = Need(permissions)
        return answer

    return declare


def open_to_all(answer: Answer) -> Answer:
    """A route for everybody, also for those who have not shown who they are."""
    vars(answer)[_MARK] = Need(())
    return answer


def need(answer: object) -> Need | None:
    """What a route's answer declares."""
    found = getattr(answer, _MARK, None)
    return found if isinstance(found, Need) else None


def caller(request: web.Request) -> Principal:
    """Who calls a route that asks for a permission.

    Raises:
        ClientError: nobody that is known; only a route that is open to all can meet him.
    """
    principal = visitor(request)
    if principal is None:
        raise _unauthenticated()
    return principal


def visitor(request: web.Request) -> Principal | None:
    """Who calls; ``None`` for somebody who has not shown who he is."""
    return request.get(_PRINCIPAL)


def actor(request: web.Request, usual: str) -> str:
    """Who acts, for the audit.  ``usual``: what somebody on the box itself is called there."""
    principal = caller(request)
    return usual if principal.is_local else principal.id


@web.middleware
async def access(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Lets through who may."""
    answer = request.match_info.handler
    if request.match_info.http_exception is not None:
        return await handler(request)  # there is no such route, for nobody
    asked = need(answer)
    if asked is None:
        raise AmbientError("this route does not say whom it answers")
    check_origin(request)
    if is_local(request):
        request[_PRINCIPAL] = LOCAL
    if asked.permissions:
        try:
            if not caller(request).may(asked.permissions):
                raise _forbidden()
        except ClientError as error:
            if not _is_socket(request):
                raise
            return await _shut(request, error)
    return await handler(request)


async def _shut(request: web.Request, error: ClientError) -> web.StreamResponse:
    """Takes a WebSocket to tell its client why not: from a refused handshake a browser learns nothing."""
    socket = web.WebSocketResponse(compress=False, timeout=1.0)
    await socket.prepare(request)
    await refuse(socket, error)
    return socket


def _is_socket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _unauthenticated() -> ClientError:
    return ClientError(
        "unauthenticated",
        "Authentication failed",  # the seed's reason
        hint="Log in, pair this device, or send a token.",
        close_code=CLOSE_POLICY,
    )


def _forbidden() -> ClientError:
    return ClientError(
        "forbidden",
        "your role does not include this",
        hint="Ask an operator of the box.",
        close_code=CLOSE_POLICY,
    )
