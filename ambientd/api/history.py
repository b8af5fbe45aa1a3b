"""REST over stored sessions: the list, one session, its transcript in several forms."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from ambientd import __version__
from ambientd.api.access import actor, allows
from ambientd.api.described import JSON, PlainText, described
from ambientd.api.models.sessions import Bundle, Session, Sessions, SessionsQuery, Transcript, TranscriptQuery
from ambientd.api.origin import peer
from ambientd.api.reach import only_owner, stored
from ambientd.api.services import SERVICES, Services
from ambientd.core import export, fhir, protocol
from ambientd.core.access import Permission
from ambientd.core.audio import seconds
from ambientd.core.delivery import UploadStatus
from ambientd.core.final import open_gaps
from ambientd.core.record import Progress, Refinement, SessionRecord, SessionState, Transcription
from ambientd.core.transcript import Gap, Line
from ambientd.errors import ClientError
from ambientd.store.audit import Action
from ambientd.store.listing import Wanted, cursor

routes = web.RouteTableDef()

E = TypeVar("E", bound=StrEnum)

PAGE = 50
LARGEST_PAGE = 500
FORMATS = "Use json, text, srt, vtt or fhir."


@routes.get("/api/v1/sessions")
@allows(Permission.READ)
@described(Sessions, query=SessionsQuery)
async def page(request: web.Request) -> web.Response:
    """Stored sessions, newest first: ``limit``, ``before`` or ``after`` (a cursor).

    ``state``, ``room``, ``refinement``, ``delivery``, ``progress``: only those.
    """
    services = request.app[SERVICES]
    sessions, delivers = services.sessions, services.sync.delivers
    limit, wanted = _limit(request), _wanted(request)
    found = await sessions.list_sessions(
        limit,
        before=request.query.get("before"),
        after=request.query.get("after"),
        wanted=wanted,
    )
    return web.json_response(
        {
            "sessions": [record_fields(record, delivers=delivers) for record in found],
            "total": await sessions.count(wanted),
            "next": cursor(found[-1]) if len(found) == limit else None,
        }
    )


@routes.get("/api/v1/sessions/{session_id}")
@allows(Permission.READ)
@described(Session)
async def one(request: web.Request) -> web.Response:
    """One session and its figures."""
    record = await stored(request, Permission.READ)
    return web.json_response(record_fields(record, delivers=request.app[SERVICES].sync.delivers))


@routes.get("/api/v1/sessions/{session_id}/transcript")
@allows(Permission.READ)
@described(
    content={
        JSON: Transcript,
        "text/plain": PlainText,
        "application/x-subrip": PlainText,
        "text/vtt": PlainText,
        "application/fhir+json": Bundle,
    },
    query=TranscriptQuery,
)
async def transcript(request: web.Request) -> web.Response:
    """What was said, as ``format``: json (default), text, srt, vtt, fhir; ``tier``: final (default), live, refined."""
    services: Services = request.app[SERVICES]
    record = await stored(request, Permission.READ)
    form = request.query.get("format", "json")
    # Before a word is read: what was seen and is not on record would not be accounted for.
    await services.audit.record(
        actor=actor(request, "client"),
        action=Action.TRANSCRIPT_READ if form == "json" else Action.TRANSCRIPT_EXPORTED,
        object=record.session_id,
        origin=peer(request),
    )
    lines, gaps = await _tier(request, record)
    match form:
        case "json":
            return web.json_response(export.as_dict(record, lines, gaps))
        case "text":
            return web.Response(text=export.as_text(record, lines, gaps))
        case "srt":
            return web.Response(
                text=export.as_srt(lines, gaps), content_type="application/x-subrip", charset="utf-8"
            )
        case "vtt":
            return web.Response(text=export.as_vtt(lines, gaps), content_type="text/vtt", charset="utf-8")
        case "fhir":
            bundle = fhir.as_bundle(
                record,
                lines,
                gaps,
                details=await services.sessions.details(record.session_id),
                version=__version__,
                at=datetime.now(UTC),
            )
            return web.json_response(bundle, content_type="application/fhir+json")
        case _:
            raise ClientError("bad_format", "no such transcript format", hint=FORMATS)


async def _tier(request: web.Request, record: SessionRecord) -> tuple[list[Line], list[Gap]]:
    lines, session_id = request.app[SERVICES].lines, record.session_id
    gaps = await lines.gaps(session_id)
    tier = request.query.get("tier", "final")
    if tier == "live":
        return await lines.lines(session_id), gaps
    if tier == "final":
        found = await lines.final(session_id)
    elif tier == "refined":
        if record.refinement is not Refinement.DONE:
            raise ClientError(
                "not_refined",
                f"there is no refined text of this session ({record.refinement})",
                hint="Ask for tier=final: it is the best there is.",
            )
        found = await lines.refined(session_id)
    else:
        raise ClientError("bad_tier", "no such tier of text", hint="Use final, live or refined.")
    return found, open_gaps(found, gaps) if record.refinement is Refinement.DONE else gaps


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise ClientError("bad_limit", f"limit must be a number from 1 to {LARGEST_PAGE}")
    return int(text)


def _wanted(request: web.Request) -> Wanted:
    return Wanted(
        state=_one_of(SessionState, request, "state"),
        room=request.query.get("room"),
        refinement=_one_of(Refinement, request, "refinement"),
        delivery=_one_of(UploadStatus, request, "delivery"),
        owner=only_owner(request, Permission.READ),
        progress=_progress(request),
    )


def _one_of(kind: type[E], request: web.Request, name: str) -> E | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise ClientError(f"bad_{name}", f"no such {name}", hint=f"Use one of {', '.join(kind)}.") from None


def _progress(request: web.Request) -> tuple[Progress, ...] | None:
    """Without a centre nothing waits for it: what is in the outbox is recorded, and no more."""
    wanted = _one_of(Progress, request, "progress")
    if wanted is None:
        return None
    if request.app[SERVICES].sync.delivers:
        return (wanted,)
    return tuple(each for each in Progress if _shown(each) is wanted)


def _shown(progress: Progress) -> Progress:
    """How far a session has come where there is no centre."""
    return Progress.RECORDED if progress in {Progress.WAITING, Progress.REVIEW} else progress


def record_fields(record: SessionRecord, *, delivers: bool) -> dict[str, Any]:
    """One session as the list shows it.  ``delivers``: whether there is a centre."""
    ended_at = record.ended_at
    duration = ((ended_at or datetime.now(UTC)) - record.connected_at).total_seconds()
    if ended_at is None and record.transcription not in {None, Transcription.RECORDING}:
        duration = seconds(record.metrics.received_samples)  # it is open, but goes on no more
    return {
        "session_id": record.session_id,
        "state": record.state,
        "connected_at": record.connected_at.isoformat(),
        "ended_at": ended_at.isoformat() if ended_at else None,
        "reason": record.reason,
        "client": record.client,
        "language": record.language,
        "model": record.model,
        "quantisation": record.quantisation,
        "box_id": record.box_id,
        "room": record.room,
        "owner": record.owner,
        "ephemeral": record.ephemeral,
        "refinement": record.refinement,
        "delivery": record.delivery,
        "progress": _shown(record.progress) if not delivers else record.progress,
        "reviewed_at": record.reviewed_at.isoformat() if record.reviewed_at else None,
        "revision": record.revision,
        "total_chunks": record.total_chunks,
        "transcript_length": record.transcript_length,
        "transcription": record.transcription,
        "recorded_seconds": round(seconds(record.recorded_samples), 1),
        "metrics": protocol.metrics_fields(record.metrics, duration=duration),
    }
