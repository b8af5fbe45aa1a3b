"""REST over what goes and what stays, for whoever is on the box."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import described
from ambientd.api.models.box import ClockIsRight, CopyDeleted, Purged, PurgePlan
from ambientd.api.models.sessions import DeleteQuery, Destroyed, Force
from ambientd.api.origin import peer
from ambientd.api.reach import stored
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.errors import ClientError
from ambientd.store.retention import Plan

routes = web.RouteTableDef()

MOST_NAMED: Final = 1_000
"""Sessions named one by one in an answer; all are counted."""


@routes.get("/api/v1/purge")
@allows(Permission.RUN_BOX)
@described(PurgePlan)
async def plan(request: web.Request) -> web.Response:
    """What a purge would do now, and why the rest stays."""
    return web.json_response(_told(await request.app[SERVICES].retention.plan(datetime.now(UTC))))


@routes.post("/api/v1/purge")
@allows(Permission.RUN_BOX)
@described(Purged, body=ClockIsRight, body_required=False, errors=(409, 507))
async def purge(request: web.Request) -> web.Response:
    """Lets go of what has been kept long enough; answers when it is done.

    By a clock in doubt only with ``{"clock_is_right": true}`` in the body.
    """
    done = await request.app[SERVICES].retention.purge(
        datetime.now(UTC),
        actor=actor(request, "operator"),
        origin=peer(request),
        clock_is_right=await _flag(request, "clock_is_right"),
    )
    return web.json_response(
        {
            "sessions": done.sessions,
            "audit_rows": done.audit_rows,
            "copies": [path.name for path in done.copies],
            "scrubbed": done.scrubbed,
        }
    )


@routes.delete("/api/v1/sessions/{session_id}")
@allows(Permission.DELETE)
@described(Destroyed, body=Force, body_required=False, query=DeleteQuery, errors=(409, 507))
async def delete(request: web.Request) -> web.Response:
    """Destroys a session that has ended; one not delivered only with ``?undelivered=1`` or ``{"force": true}``."""
    session_id = (await stored(request, Permission.DELETE)).session_id
    force = await _flag(request, "force") or request.query.get("undelivered") in {"1", "true"}
    scrubbed = await request.app[SERVICES].retention.delete(
        session_id,
        force=force,
        actor=actor(request, "operator"),
        origin=peer(request),
    )
    return web.json_response({"session_id": session_id, "scrubbed": scrubbed})


@routes.delete("/api/v1/copies/{name}")
@allows(Permission.RUN_BOX)
@described(CopyDeleted)
async def delete_copy(request: web.Request) -> web.Response:
    """Deletes a file beside the database: a damaged one, one that was replaced, one from before an upgrade."""
    name = request.match_info["name"]
    await request.app[SERVICES].retention.delete_copy(
        name, actor=actor(request, "operator"), origin=peer(request)
    )
    return web.json_response({"copy": name})


async def _flag(request: web.Request, name: str) -> bool:
    if not request.can_read_body:
        return False
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError, LookupError):
        body = None
    value = body.get(name, False) if isinstance(body, dict) else None
    if not isinstance(value, bool):
        raise ClientError("bad_json", f'the body may be {{"{name}": true}}, or nothing')
    return value


def _told(found: Plan) -> dict[str, Any]:
    return {
        "goes": [{"session_id": name, "why": why} for name, why in found.goes[:MOST_NAMED]],
        "goes_in_all": len(found.goes),
        "stays": dict(found.stays),
        "overdue": [{"session_id": name, "why": why} for name, why in found.overdue[:MOST_NAMED]],
        "overdue_in_all": len(found.overdue),
        "copies": [path.name for path in found.copies],
        "clock": found.doubt,
        "overdue_copies": [path.name for path in found.overdue_copies],
    }
