"""REST over what the clinic says of a session: encounter, patient, consent."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.body import json_object
from ambientd.api.described import described
from ambientd.api.models.sessions import DetailsKept, DetailsWanted
from ambientd.api.origin import peer
from ambientd.api.reach import stored
from ambientd.api.services import SERVICES
from ambientd.core import details
from ambientd.core.access import Permission
from ambientd.store.audit import Action

routes = web.RouteTableDef()


@routes.get("/api/v1/sessions/{session_id}/details")
@allows(Permission.READ)
@described(DetailsKept)
async def read(request: web.Request) -> web.Response:
    """What the clinic has said of a session."""
    services = request.app[SERVICES]
    session_id = (await stored(request, Permission.READ)).session_id
    await services.audit.record(
        actor=actor(request, "client"), action=Action.DETAILS_READ, object=session_id, origin=peer(request)
    )
    return web.json_response(details.as_fields(await services.sessions.details(session_id)))


@routes.patch("/api/v1/sessions/{session_id}/details")
@allows(Permission.AMEND)
@described(DetailsKept, body=DetailsWanted, errors=(409, 507))
async def change(request: web.Request) -> web.Response:
    """Changes the fields that the body names, and answers with all of them."""
    fields = await json_object(request)
    now = datetime.now(UTC)
    amended = await request.app[SERVICES].sessions.amend(
        (await stored(request, Permission.AMEND)).session_id,
        lambda before: details.changed(before, fields, now=now),
        actor=actor(request, "client"),
        origin=peer(request),
    )
    return web.json_response(details.as_fields(amended))
