"""Every route says what it asks of whoever calls it; a middleware finds out who that is, and whether he may.

A route without a declaration answers nobody, and a test finds it.  The declaration is a decorator below the route's:

    @routes.get("/api/v1/status")
    @allows(Permission.SEE_BOX)
    async def status(request: web.Request) -> web.Response: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from aiohttp import web

from ambientd.access.gate import Gate
from ambientd.access.presence import Presence
from ambientd.api.farewell import refuse
from ambientd.api.network import count_token, is_socket, turn_away
from ambientd.api.origin import check_origin, peer
from ambientd.api.services import SERVICES
from ambientd.api.showing import counts_as_use, identify, shown_by
from ambientd.core.access import Permission, Principal
from ambientd.core.protocol import CLOSE_POLICY
from ambientd.errors import AmbientError, ClientError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MARK: Final = "ambientd_need"
_PRINCIPAL: Final = web.RequestKey("principal", Principal)
_PRESENCE: Final = web.RequestKey("presence", Presence)


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks for."""

    permissions: tuple[Permission, ...]
    """At least one of these; empty for a route that is open to all."""
    locked: bool = False
    """Whether it answers a locked log-in too."""


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


def even_locked(answer: Answer) -> Answer:
    """A route that also answers a locked log-in, and itself sees to it that nothing is shown."""
    vars(answer)[_MARK] = replace(vars(answer)[_MARK], locked=True)
    return answer


anybody_known = allows(*Permission)
"""A route for whoever has shown who he is, whatever his role."""


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
        raise unauthenticated()
    return principal


def visitor(request: web.Request) -> Principal | None:
    """Who calls, locked or not; ``None`` for somebody who has not shown who he is."""
    return request.get(_PRINCIPAL)


def presence(request: web.Request) -> Presence | None:
    """The connection of whoever calls; ``None`` for a program on the box, which nobody can put out."""
    return request.get(_PRESENCE)


def closes(request: web.Request, socket: web.WebSocketResponse) -> None:
    """Lets a WebSocket be closed when its caller loses the right to it; to be said once it is prepared."""
    if (here := presence(request)) is not None:
        here.goodbye = partial(refuse, socket, unauthenticated())


def actor(request: web.Request, usual: str) -> str:
    """Who acts, for the audit.  ``usual``: what somebody on the box itself is called there."""
    principal = caller(request)
    return usual if principal.is_local else principal.id


@web.middleware
async def access(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Lets through who may."""
    if request.match_info.http_exception is not None:
        return await handler(request)  # there is no such route, for nobody
    asked = need(request.match_info.handler)
    if asked is None:
        raise AmbientError("this route does not say whom it answers")
    gate = request.app[SERVICES].gate
    principal = _recognise(request, gate)
    if principal is not None:
        request[_PRINCIPAL] = principal
    if asked.permissions:
        try:
            _check(request, principal, asked)
            if principal is not None and principal.login is None and not principal.is_local:
                count_token(request, principal.id)
        except ClientError as error:
            if not is_socket(request):
                raise
            return await turn_away(request, error)
    if principal is None or principal.is_local:
        return await handler(request)
    if counts_as_use(request) and asked.permissions:
        gate.touch(principal)
    records = is_socket(request) and Permission.RECORD in asked.permissions
    # No wait since he was recognised: whoever is put out meanwhile is found here, or was not recognised.
    with gate.presences.enter(principal, partial(_cut, request), records=records) as here:
        request[_PRESENCE] = here
        return await handler(request)


def _recognise(request: web.Request, gate: Gate) -> Principal | None:
    """Who calls; what is no good leaves a trace, and whoever shows nothing has not tried."""
    try:
        check_origin(request)
    except web.HTTPForbidden:
        gate.stranger("foreign_page", _route(request), peer(request))
        raise
    principal = identify(request, gate)
    if principal is None:
        token, ticket = shown_by(request)
        if token:
            gate.wrong_token(token, _route(request), peer(request))
        elif ticket:
            gate.stranger("bad_ticket", _route(request), peer(request))
    return principal


def _check(request: web.Request, principal: Principal | None, asked: Need) -> None:
    if principal is None:
        raise unauthenticated()
    if principal.locked and not asked.locked:
        raise locked()
    if not principal.may(asked.permissions):
        request.app[SERVICES].gate.turned_away(principal, _route(request), peer(request))
        raise ClientError(
            "forbidden",
            "your role does not include this",
            hint="Ask an operator of the box.",
            close_code=CLOSE_POLICY,
        )


def _route(request: web.Request) -> str | None:
    resource = request.match_info.route.resource
    return f"{request.method}:{resource.canonical}" if resource else None


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def locked() -> ClientError:
    """Somebody has not touched his browser for a while."""
    return ClientError("locked", "this log-in is locked", hint="Unlock it.", close_code=CLOSE_POLICY)


def unauthenticated() -> ClientError:
    """Somebody has not shown who he is."""
    return ClientError(
        "unauthenticated",
        "Authentication failed",  # the seed's reason
        hint="Log in, pair this device, or send a token.",
        close_code=CLOSE_POLICY,
    )
