"""REST for browsers that ask to be let in, and for the operators who decide.

As OctoPrint's application keys: who asks gets a code to show and a secret to keep; an operator compares and decides;
who asked, and nobody else, learns of it.  Source: https://docs.octoprint.org/en/master/bundledplugins/appkeys.html.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web

from ambientd.api import showing
from ambientd.api.access import actor, allows, open_to_all
from ambientd.api.body import fields, text
from ambientd.api.described import described
from ambientd.api.models.people import (
    Approval,
    Device,
    Message,
    PairingAsked,
    Pairings,
    PairingStatus,
    PairingWanted,
)
from ambientd.api.origin import peer
from ambientd.api.people import device_fields
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.core.people import Pairing, check_role
from ambientd.store.people import By

routes = web.RouteTableDef()

SECRET: str = "X-Pairing-Secret"  # noqa: S105 - the name of a header


@routes.post("/api/v1/pairings")
@open_to_all
@described(PairingAsked, status=201, body=PairingWanted, errors=(401, 403, 409))
async def ask(request: web.Request) -> web.Response:
    """Asks for this browser, under a ``name``, to be let in."""
    body = await fields(request, "name")
    pairing, secret = await request.app[SERVICES].joining.ask(body.get("name"), peer(request))
    answer = {
        "pairing_id": pairing.id,
        "code": pairing.code,
        "secret": secret,
        "expires_in": round((pairing.expires_at - pairing.created_at).total_seconds()),
    }
    return web.json_response(answer, status=201)


@routes.get("/api/v1/pairings/{pairing_id}")
@open_to_all
@described(PairingStatus, errors=(401, 403))
async def asked(request: web.Request) -> web.Response:
    """How it stands, for the browser that asked; once it is approved, with the cookie."""
    status, issued = await request.app[SERVICES].joining.asked(
        request.match_info["pairing_id"], request.headers.get(SECRET, ""), peer(request)
    )
    answer = web.json_response({"status": status})
    if issued is not None:
        showing.give(request, answer, issued)
    return answer


@routes.get("/api/v1/pairings")
@allows(Permission.PEOPLE)
@described(Pairings)
async def waiting(request: web.Request) -> web.Response:
    """The browsers that ask, with the numbers they show."""
    joining = request.app[SERVICES].joining
    now = request.app[SERVICES].gate.now()
    return web.json_response({"pairings": [_told(each, now) for each in await joining.waiting()]})


@routes.post("/api/v1/pairings/{pairing_id}/approve")
@allows(Permission.PEOPLE)
@described(Device, body=Approval, errors=(409,))
async def approve(request: web.Request) -> web.Response:
    """Lets a browser in with a ``role``; with ``code`` only if that is the number on its screen."""
    body = await fields(request, "role", "code")
    role, code = check_role(body.get("role")), text(body, "code") if "code" in body else None
    device = await request.app[SERVICES].joining.approve(
        request.match_info["pairing_id"], role, _by(request), code=code
    )
    return web.json_response(device_fields(device))


@routes.post("/api/v1/pairings/{pairing_id}/refuse")
@allows(Permission.PEOPLE)
@described(Message, errors=(409,))
async def refuse(request: web.Request) -> web.Response:
    """Turns a browser away."""
    await request.app[SERVICES].joining.refuse(request.match_info["pairing_id"], _by(request))
    return web.json_response({"message": "Refused"})


def _by(request: web.Request) -> By:
    return By(actor(request, "operator"), peer(request))


def _told(pairing: Pairing, now: datetime) -> dict[str, Any]:
    return {
        "id": pairing.id,
        "name": pairing.name,
        "code": pairing.code,
        "origin": pairing.origin,
        "asked_at": pairing.created_at.isoformat(),
        "expires_in": max(0, round((pairing.expires_at - now).total_seconds())),
    }
