"""REST over the sync with the central server: how it stands, its rows, and the answers that came back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import described
from ambientd.api.models.box import Deliveries, DeliveriesQuery, Delivery, SyncStanding
from ambientd.api.models.sessions import CentreAnswers
from ambientd.api.origin import peer
from ambientd.api.reach import stored
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.core.answers import joined, missing
from ambientd.core.delivery import SyncStatus, Upload, UploadStatus
from ambientd.errors import ClientError

routes = web.RouteTableDef()

PAGE: Final = 100
LARGEST_PAGE: Final = 1_000


@routes.get("/api/v1/sync")
@allows(Permission.SYNC)
@described(SyncStanding)
async def status(request: web.Request) -> web.Response:
    """State, queue, last success, last error, next run."""
    return web.json_response(_status(await request.app[SERVICES].sync.status()))


@routes.post("/api/v1/sync/run")
@allows(Permission.SYNC)
@described(SyncStanding, status=202, errors=(409,))
async def run(request: web.Request) -> web.Response:
    """Try every row at once; answers before it is done."""
    services = request.app[SERVICES]
    await services.sync.run_now()
    await services.audit.record(actor=actor(request, "operator"), action="sync.run", origin=peer(request))
    return web.json_response(_status(await services.sync.status()), status=202)


@routes.post("/api/v1/sync/pause")
@allows(Permission.SYNC)
@described(SyncStanding, errors=(409,))
async def pause(request: web.Request) -> web.Response:
    """Call nobody until resumed, over restarts too."""
    services = request.app[SERVICES]
    await services.sync.pause()
    await services.audit.record(actor=actor(request, "operator"), action="sync.paused", origin=peer(request))
    return web.json_response(_status(await services.sync.status()))


@routes.post("/api/v1/sync/resume")
@allows(Permission.SYNC)
@described(SyncStanding, errors=(409,))
async def resume(request: web.Request) -> web.Response:
    """Go on."""
    services = request.app[SERVICES]
    await services.sync.resume()
    await services.audit.record(actor=actor(request, "operator"), action="sync.resumed", origin=peer(request))
    return web.json_response(_status(await services.sync.status()))


@routes.get("/api/v1/sync/items")
@allows(Permission.SYNC)
@described(Deliveries, query=DeliveriesQuery)
async def items(request: web.Request) -> web.Response:
    """Rows of the outbox, newest first: ``state``, ``limit``, ``offset``; or ``match``: a row's or session's id."""
    wanted = _state(request)
    limit = _number(request, "limit", PAGE, 1, LARGEST_PAGE)
    offset = _number(request, "offset", 0, 0, 10**9)
    outbox = request.app[SERVICES].sync.outbox
    if (name := request.query.get("match")) is not None:
        matching = await outbox.named(name)
        return web.json_response({"items": [_item(each) for each in matching], "total": len(matching)})
    found = await outbox.items(status=wanted, limit=limit, offset=offset)
    counts = await outbox.counts()
    total = sum(counts.values()) if wanted is None else counts[wanted]
    return web.json_response({"items": [_item(each) for each in found], "total": total})


@routes.post("/api/v1/sync/items/{id}/retry")
@allows(Permission.SYNC)
@described(Delivery, status=202, errors=(409,))
async def retry(request: web.Request) -> web.Response:
    """Try one row at once, parked or not."""
    services = request.app[SERVICES]
    upload = await services.sync.retry(request.match_info["id"])
    await services.audit.record(
        actor=actor(request, "operator"),
        action="delivery.retried",
        object=upload.session_id,
        origin=peer(request),
    )
    return web.json_response(_item(upload), status=202)


@routes.post("/api/v1/sync/items/{id}/park")
@allows(Permission.SYNC)
@described(Delivery, errors=(409,))
async def park(request: web.Request) -> web.Response:
    """Send one row no more until it is retried."""
    services = request.app[SERVICES]
    upload = await services.sync.park(request.match_info["id"])
    await services.audit.record(
        actor=actor(request, "operator"),
        action="delivery.parked",
        object=upload.session_id,
        origin=peer(request),
    )
    return web.json_response(_item(upload))


@routes.get("/api/v1/sessions/{session_id}/answers")
@allows(Permission.READ)
@described(CentreAnswers)
async def answers(request: web.Request) -> web.Response:
    """What the central server answered about a conversation, the parts of a long one joined; works without it."""
    services = request.app[SERVICES]
    session_id = (await stored(request, Permission.READ)).session_id
    known = await services.answers.of(session_id)
    best = joined(known.answers)
    unanswered = missing(best, await services.answers.asked()) if known.answers else []
    await services.audit.record(
        actor=actor(request, "client"), action="answers.read", object=session_id, origin=peer(request)
    )
    return web.json_response(
        {
            "session_id": session_id,
            "status": known.status,
            "received_at": _time(known.received_at),
            "answers": [
                {
                    **asdict(entry.best),
                    "part": entry.part,
                    "others": [
                        {"answer": other.answer, "confidence": other.confidence, "snippet": other.snippet}
                        for other in entry.others
                    ],
                }
                for entry in best
                if entry.best.answer is not None
            ],
            "missing": [asdict(question) for question in unanswered],
        }
    )


def _status(told: SyncStatus) -> dict[str, Any]:
    oldest = None if told.oldest is None else max(0.0, (datetime.now(UTC) - told.oldest).total_seconds())
    return {
        "state": told.state,
        "profile": told.profile,
        "queue": {str(status): count for status, count in told.counts.items()},
        "oldest_seconds": oldest,
        "last_success": _time(told.last_success),
        "last_error": told.last_error,
        "last_error_at": _time(told.last_error_at),
        "next_run": _time(told.next_run),
        "attempts": told.attempts,
    }


def _item(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "session_id": upload.session_id,
        "state": upload.status,
        "bytes": upload.size,
        "created_at": _time(upload.created_at),
        "held_until": _time(upload.held_until),
        "attempts": upload.attempts,
        "attempted_at": _time(upload.attempted_at),
        "next_attempt_at": _time(upload.next_attempt_at),
        "last_error": upload.last_error,
        "delivered_at": _time(upload.delivered_at),
        "answers": upload.answers,
        "unread": upload.unread,
        "parts": [
            {
                "part": part.number,
                "state": part.status,
                "bytes": part.size,
                "upload_id": part.upload_id,
                "task_id": part.task_id,
            }
            for part in upload.parts
        ],
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _state(request: web.Request) -> UploadStatus | None:
    text = request.query.get("state")
    if text is None:
        return None
    if text not in set(UploadStatus):
        raise ClientError("bad_state", "no such state", hint=f"Use one of {', '.join(UploadStatus)}.")
    return UploadStatus(text)


def _number(request: web.Request, name: str, usual: int, least: int, most: int) -> int:
    text = request.query.get(name, str(usual))
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise ClientError(f"bad_{name}", f"{name} must be a number from {least} to {most}")
    return int(text)
