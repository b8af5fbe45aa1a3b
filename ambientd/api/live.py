"""REST over live sessions, as the seed's clients know it: list, end, broadcast."""

from __future__ import annotations

import json

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import described
from ambientd.api.models.sessions import Broadcast, BroadcastSent, Discarded, Ended, LiveSessions
from ambientd.api.origin import peer
from ambientd.api.reach import live, stored, within_reach
from ambientd.api.services import SERVICES
from ambientd.core import protocol
from ambientd.core.access import Permission
from ambientd.core.record import EndReason
from ambientd.errors import ClientError

routes = web.RouteTableDef()


@routes.get("/api/v1/websocket/sessions")
@allows(Permission.WATCH)
@described(LiveSessions)
async def active(request: web.Request) -> web.Response:
    """The live sessions and how many there may be."""
    registry = request.app[SERVICES].registry
    sessions = [
        {
            "session_id": session.id,
            "connected_at": session.connected_at.isoformat(),
            "total_chunks": session.metrics.chunks_processed,
            "transcript_length": len(session.text),
            "lag_seconds": round(session.lag, 3),
        }
        for session in registry
        if within_reach(request, Permission.WATCH, session.owner)
    ]
    return web.json_response(
        {"active_sessions": len(sessions), "max_connections": registry.most, "sessions": sessions}
    )


@routes.post("/api/v1/websocket/sessions/{session_id}/end")
@allows(Permission.STEER)
@described(Ended)
async def end(request: web.Request) -> web.Response:
    """Ends a live session; answers once its last line is stored."""
    asked = live(request, Permission.STEER)
    session = await request.app[SERVICES].registry.end(asked.id, EndReason.REST)
    return web.json_response(
        {
            "message": "Session ended",
            "session_id": session.id,
            "total_chunks": session.metrics.chunks_processed,
        }
    )


@routes.post("/api/v1/sessions/{session_id}/discard")
@allows(Permission.DELETE)
@described(Discarded, errors=(409, 507))
async def discard(request: web.Request) -> web.Response:
    """Destroys a session, live or ended, of which the centre has nothing; answers once nothing of it is left."""
    session_id = (await stored(request, Permission.DELETE)).session_id
    await request.app[SERVICES].registry.discard(
        session_id, actor=actor(request, "client"), origin=peer(request)
    )
    return web.json_response({"message": "Session discarded", "session_id": session_id})


@routes.post("/api/v1/websocket/broadcast")
@allows(Permission.ANNOUNCE)
@described(BroadcastSent, body=Broadcast)
async def broadcast(request: web.Request) -> web.Response:
    """Sends a JSON object to every live session's clients."""
    try:
        message = json.loads(await request.text())
    except (ValueError, RecursionError, LookupError):  # LookupError: an unknown charset
        raise ClientError("bad_json", "the body must be one JSON object") from None
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or not kind:
        raise ClientError(
            "bad_message",
            "the body must be a JSON object with a type",
            hint='For example {"type": "announcement", "message": "..."}.',
        )
    if kind in protocol.SERVER_TYPES:
        raise ClientError(
            "reserved_type",
            "only a session itself may send a message of this type",
            hint='Use another, such as "announcement".',
        )
    told = request.app[SERVICES].registry.broadcast(
        message, reaches=lambda session: within_reach(request, Permission.ANNOUNCE, session.owner)
    )
    return web.json_response({"message": "Broadcast sent", "sessions": told})
