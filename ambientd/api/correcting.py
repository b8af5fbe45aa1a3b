"""REST: reading a transcript before it is sent, and correcting it; the words as heard stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.body import fields, json_object
from ambientd.api.described import described
from ambientd.api.history import record_fields
from ambientd.api.models.sessions import Correction, CorrectionWanted, ReviewGiven, Session
from ambientd.api.origin import peer
from ambientd.api.reach import stored
from ambientd.api.services import SERVICES, Services
from ambientd.core import export
from ambientd.core.access import Permission
from ambientd.core.correction import LONGEST
from ambientd.core.final import open_gaps
from ambientd.core.transcript import Gap
from ambientd.errors import ClientError
from ambientd.store.audit import Action
from ambientd.store.corrections import Corrections, Read, Revisions

routes = web.RouteTableDef()

MOST_LINES: Final = 10_000
"""Lines one correction may name: a session of a day has fewer."""
FORM: Final = 'Send {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0, "text": "…"}]}.'


@routes.get("/api/v1/sessions/{session_id}/correction")
@allows(Permission.READ)
@described(Correction)
async def read(request: web.Request) -> web.Response:
    """Every line as heard and as it is now, and the revisions there were."""
    services = request.app[SERVICES]
    session_id = (await stored(request, Permission.READ)).session_id
    await services.audit.record(
        actor=actor(request, "client"), action=Action.TRANSCRIPT_READ, object=session_id, origin=peer(request)
    )
    return await _answer(services, session_id)


@routes.put("/api/v1/sessions/{session_id}/correction")
@allows(Permission.AMEND)
@described(Correction, body=CorrectionWanted, errors=(409, 507))
async def change(request: web.Request) -> web.Response:
    """Stores a revision: ``lines`` are all that are to differ from what was heard; an empty text takes a line out."""
    services = request.app[SERVICES]
    session_id = (await stored(request, Permission.AMEND)).session_id
    tier, revision, texts = _asked(await json_object(request))
    await Corrections(services.database).put(
        session_id,
        tier=tier,
        revision=revision,
        texts=texts,
        actor=actor(request, "client"),
        origin=peer(request),
        at=datetime.now(UTC),
    )
    services.sync.wake()  # a delivery that waited for a second hearing waits no more
    return await _answer(services, session_id)


@routes.post("/api/v1/sessions/{session_id}/review")
@allows(Permission.AMEND)
@described(Session, body=ReviewGiven, body_required=False, errors=(409, 507))
async def approve(request: web.Request) -> web.Response:
    """Somebody has read it, in this ``tier`` and ``revision``: a delivery that waited for that goes.

    Without a body it is taken only while there has been one text, the live one that nobody has corrected.
    """
    services = request.app[SERVICES]
    session_id = (await stored(request, Permission.AMEND)).session_id
    await Corrections(services.database).approve(
        session_id,
        read=_read(await fields(request, "tier", "revision")),
        actor=actor(request, "client"),
        origin=peer(request),
        at=datetime.now(UTC),
    )
    services.sync.wake()
    return web.json_response(
        record_fields(await stored(request, Permission.AMEND), delivers=services.sync.delivers)
    )


def _read(said: dict[str, object]) -> Read | None:
    if not said:
        return None
    tier, revision = said.get("tier"), said.get("revision")
    if (
        tier not in {"live", "refined", "corrected"}
        or not isinstance(revision, int)
        or isinstance(revision, bool)
    ):
        raise ClientError(
            "bad_review",
            "tier and revision say what was read",
            hint='Send {"tier": "live", "revision": 0}, as the text was shown with.',
        )
    return Read(str(tier), revision)


def _asked(said: dict[str, object]) -> tuple[str, int, dict[int, str]]:
    tier, revision, lines = said.get("tier"), said.get("revision"), said.get("lines")
    if tier not in {"live", "refined"} or not isinstance(revision, int) or isinstance(revision, bool):
        raise ClientError("bad_correction", "tier and revision say what was corrected", hint=FORM)
    if not isinstance(lines, list) or len(lines) > MOST_LINES:
        raise ClientError("bad_correction", f"lines must be a list of at most {MOST_LINES} lines", hint=FORM)
    texts: dict[int, str] = {}
    for line in lines:
        index, text = (line.get("chunk_index"), line.get("text")) if isinstance(line, dict) else (None, None)
        if not isinstance(index, int) or isinstance(index, bool) or not isinstance(text, str):
            raise ClientError("bad_correction", "a line has a chunk_index and a text", hint=FORM)
        if len(text) > LONGEST or "\0" in text:
            raise ClientError("bad_correction", f"a line is text of at most {LONGEST} characters")
        if index in texts:
            raise ClientError("bad_correction", "a line stands in it twice")
        texts[index] = text
    return str(tier), revision, texts


async def _answer(services: Services, session_id: str) -> web.Response:
    found = await Corrections(services.database).of(session_id)
    gaps = await services.lines.gaps(session_id)
    if found.tier == "refined":
        gaps = open_gaps(found.heard, gaps)
    return web.json_response(_told(session_id, found, gaps))


def _told(session_id: str, found: Revisions, gaps: Sequence[Gap]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "tier": found.tier,
        "revision": found.revision,
        "open": found.open,
        "lines": [
            {**export.line_fields(line), "heard": line.text, "text": found.texts.get(line.index, line.text)}
            for line in found.heard
        ],
        "gaps": [export.gap_fields(gap) for gap in gaps],
        "history": [
            {
                "revision": each.revision,
                "at": each.at.isoformat(),
                "actor": each.actor,
                "lines": [{"chunk_index": index, "text": text} for index, text in each.texts.items()],
            }
            for each in found.corrections
        ],
    }
