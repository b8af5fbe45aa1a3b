"""REST for whoever calls, about himself: who he is, logging in and out, locking, tickets; and the first account."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ambientd.access import tickets
from ambientd.access.gate import Issued
from ambientd.api import faults, showing
from ambientd.api.access import (
    anybody_known,
    caller,
    even_locked,
    locked,
    open_to_all,
    presence,
    unauthenticated,
    visitor,
)
from ambientd.api.body import fields, text
from ambientd.api.described import described
from ambientd.api.models.people import (
    Code,
    LogIn,
    Me,
    Message,
    NewPassword,
    NewPin,
    Nobody,
    Purpose,
    SetUp,
    Ticket,
    Unlock,
    Welcome,
)
from ambientd.api.origin import is_encrypted, is_on_loopback, peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Kind, Principal, permissions
from ambientd.errors import ClientError
from ambientd.store.people import By

routes = web.RouteTableDef()

PURPOSES: Final = ("transcribe", "listen")


@routes.get("/api/v1/me")
@open_to_all
@described(Me, also={401: Nobody})
async def me(request: web.Request) -> web.Response:
    """Who calls and what he may; 401 for somebody unknown, also with ``setup_needed``."""
    principal, needed = visitor(request), request.app[SERVICES].joining.setup_code is not None
    if principal is not None:
        return web.json_response(_told(request, principal) | {"setup_needed": needed})
    error = unauthenticated()
    return web.json_response(
        {"detail": str(error), "code": error.code, "setup_needed": needed}, status=faults.status_of(error)
    )


@routes.post("/api/v1/setup")
@open_to_all
@described(Welcome, body=SetUp, errors=(401, 403, 409))
async def set_up(request: web.Request) -> web.Response:
    """Makes the first account, an operator's, with the set-up code, and logs it in."""
    _in_private(request)
    body = await fields(request, "code", "name", "password")
    issued = await request.app[SERVICES].joining.set_up(
        text(body, "code"), body.get("name"), body.get("password"), peer(request)
    )
    return _welcome(request, issued)


@routes.post("/api/v1/login")
@open_to_all
@described(Welcome, body=LogIn, errors=(401, 403, 423))
async def log_in(request: web.Request) -> web.Response:
    """Logs an account in."""
    _in_private(request)
    body = await fields(request, "name", "password")
    name, password = text(body, "name"), text(body, "password")
    gate, before = request.app[SERVICES].gate, visitor(request)
    issued = await gate.log_in(name, password, peer(request))
    if before is not None and before.kind in {Kind.ACCOUNT, Kind.EMERGENCY}:
        await gate.log_out(before, peer(request), but=presence(request))
    return _welcome(request, issued)


@routes.post("/api/v1/break-glass")
@open_to_all
@described(Welcome, body=Code, errors=(401, 403))
async def break_glass(request: web.Request) -> web.Response:
    """Everything for a short time, with the sealed emergency code; on the box itself the answer holds a token."""
    _in_private(request)
    code = text(await fields(request, "code"), "code")
    issued = await request.app[SERVICES].joining.break_glass(code, peer(request))
    at_home = visitor(request)
    return _welcome(request, issued, token=at_home is not None and at_home.is_local)


@routes.post("/api/v1/logout")
@open_to_all
@described(Message)
async def log_out(request: web.Request) -> web.Response:
    """Ends the log-in, and closes what it opened; a paired device is paired no more."""
    answer = web.json_response({"message": "Logged out"})
    principal = visitor(request)
    if principal is not None and principal.login is not None:
        await request.app[SERVICES].gate.log_out(principal, peer(request), but=presence(request))
        showing.take_back(request, answer, principal)
    return answer


@routes.post("/api/v1/lock")
@anybody_known
@described(Message, errors=(409,))
async def lock(request: web.Request) -> web.Response:
    """Locks the log-in: a recording goes on, everything else waits for ``unlock``."""
    await request.app[SERVICES].gate.lock(caller(request), peer(request), but=presence(request))
    return web.json_response({"message": "Locked"})


@routes.post("/api/v1/unlock")
@open_to_all
@described(Me, body=Unlock, errors=(401, 403, 423))
async def unlock(request: web.Request) -> web.Response:
    """Unlocks the log-in: ``password``; for a paired device ``pin``, or ``name`` and ``password``.

    Those of an account that may do all the device may.
    """
    _in_private(request)
    principal = caller(request)
    body = await fields(request, "name", "password", "pin")
    shown = {name: text(body, name) for name in body}
    gate = request.app[SERVICES].gate
    await gate.unlock(principal, peer(request), **shown)
    return web.json_response(_told(request, principal) | {"locked": False})


@routes.post("/api/v1/me/seen")
@anybody_known
@described(Message)
async def seen(_request: web.Request) -> web.Response:
    """Somebody is at work at this browser without asking for anything: it is not locked for being idle."""
    # The access layer has noted it, as it notes every request that a person makes.
    return web.json_response({"message": "Noted"})


@routes.post("/api/v1/me/password")
@anybody_known
@described(Message, body=NewPassword)
async def change_password(request: web.Request) -> web.Response:
    """Changes one's own password, ``old`` for ``new``; other browsers must log in again."""
    _in_private(request)
    body = await fields(request, "old", "new")
    services, principal = request.app[SERVICES], caller(request)
    if principal.kind is not Kind.ACCOUNT:
        raise ClientError("bad_login", "only somebody who is logged in with a name has a password")
    old = text(body, "old")
    await services.gate.confirm(principal.name, old, peer(request), action="account.password_set")
    await services.joining.set_password(
        principal.id, body.get("new", ""), By(principal.id, peer(request)), keep=principal.login
    )
    return web.json_response({"message": "Password changed"})


@routes.post("/api/v1/me/pin")
@anybody_known
@described(Message, body=NewPin, errors=(401, 403))
async def change_pin(request: web.Request) -> web.Response:
    """Sets the ``pin`` that unlocks a paired device; in the place of another only with that, as ``old``.

    Whoever has forgotten it shows ``name`` and ``password`` of an account that may do all the device may.
    """
    _in_private(request)
    body, principal = await fields(request, "pin", "old", "name", "password"), caller(request)
    if principal.kind is not Kind.DEVICE or principal.login is None:
        raise ClientError("bad_pin", "only a paired device has a PIN")
    services, by = request.app[SERVICES], principal.id
    login, device = (services.gate.roster.logins[principal.login], services.gate.roster.devices[principal.id])
    if device.pin is not None:
        # Left alone for a minute, a tablet would else get the PIN of whoever passes, and unlock to him ever after.
        keys = {"name": "name", "password": "password", "pin": "old"}
        shown = {name: text(body, key) for name, key in keys.items() if key in body}
        by = await services.gate.prove(principal, login, peer(request), action="device.pin_set", **shown)
    await services.joining.set_pin(principal.id, body.get("pin"), By(by, peer(request)))
    return web.json_response({"message": "PIN set"})


@routes.post("/api/v1/tickets")
@even_locked
@anybody_known
@described(Ticket, body=Purpose, body_required=False)
async def ticket(request: web.Request) -> web.Response:
    """A ticket for one WebSocket, ``purpose``: transcribe (default) or listen.

    A locked log-in gets one for transcribe, to take up a recording again whose connection was lost.
    """
    purpose = (await fields(request, "purpose")).get("purpose", PURPOSES[0])
    if purpose not in PURPOSES:
        raise ClientError("bad_purpose", "no such purpose", hint=f"Use {' or '.join(PURPOSES)}.")
    principal = caller(request)
    if principal.locked and purpose != PURPOSES[0]:
        raise locked()
    shown = request.app[SERVICES].gate.tickets.take(principal.id, principal.login, purpose)
    return web.json_response({"ticket": shown, "expires_in": round(tickets.LIFE)})


def _in_private(request: web.Request) -> None:
    """Refuses to hear a password that others can hear too.

    Raises:
        ClientError: the request came over the network in clear.
    """
    if not (is_encrypted(request) or is_on_loopback(request)):
        raise ClientError(
            "needs_tls",
            "passwords and codes are not taken over an unencrypted connection",
            hint="Open the page with https://.",
        )


def _welcome(request: web.Request, issued: Issued, *, token: bool = False) -> web.Response:
    shown = {"token": issued.token, "expires_in": issued.seconds} if token else {}
    answer = web.json_response(_told(request, issued.principal) | {"setup_needed": False} | shown)
    showing.give(request, answer, issued)
    return answer


def _told(request: web.Request, principal: Principal) -> dict[str, Any]:
    gate = request.app[SERVICES].gate
    login, idle = gate.roster.logins.get(principal.login or ""), gate.terms.idle
    device = gate.roster.devices.get(principal.id)
    return {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind,
        "role": principal.role,
        "permissions": permissions(principal.role),
        "local": principal.is_local,
        "locked": principal.locked,
        "pin": None if device is None else device.pin is not None,
        "lock_seconds": None if login is None or idle is None else round(idle.total_seconds()),
        "expires_at": None if login is None else login.expires_at.isoformat(),
        "shared_visits": gate.terms.shared_visits,
    }
