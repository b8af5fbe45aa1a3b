"""Recordings as files: send one, follow it, read what came of it, break it off.

Fields that may name a patient stand in the form beside the file, never in the address: addresses are logged.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import BodyPartReader, web

from ambientd.api.access import actor, allows, caller
from ambientd.api.described import FORM, OCTETS, Binary, described
from ambientd.api.form import CHUNK, take_form, text_of
from ambientd.api.models.recordings import RecordingForm, RecordingHeard, RecordingStanding
from ambientd.api.origin import peer
from ambientd.api.reach import stored, within_reach
from ambientd.api.services import SERVICES, Services, Transfer
from ambientd.core import details, export, protocol
from ambientd.core.access import Permission
from ambientd.core.record import Details, EndReason, SessionRecord, SessionState
from ambientd.errors import ClientError
from ambientd.session.uploads import CLIENT, Stage, Upload
from ambientd.store.audit import Action
from ambientd.store.refusals import NoSuchSession

routes = web.RouteTableDef()

FIELDS: Final = ("language", "prompt", "vocabulary", "encounter", "patient")
"""The parts beside the file; ``vocabulary`` holds one name a line, the others what they hold in ``configure``."""


@routes.post("/api/v1/transcriptions")
@allows(Permission.RECORD)
@described(
    RecordingStanding,
    status=202,
    body_content={FORM: RecordingForm, OCTETS: Binary},
    errors=(413, 415, 507),
)
async def receive(request: web.Request) -> web.Response:
    """Takes a recording, as the body or as the part ``file`` of a form; answers once all of it is here."""
    services = request.app[SERVICES]
    with services.uploads.place():
        transfer = await services.receive()
        try:
            upload = await _submit(request, services, transfer)
        except BaseException:
            await transfer.close()
            raise
    return web.json_response(
        _running(upload), status=202, headers={"Location": f"/api/v1/transcriptions/{upload.session_id}"}
    )


@routes.get("/api/v1/transcriptions/{session_id}")
@allows(Permission.READ)
@described(RecordingStanding | RecordingHeard)
async def one(request: web.Request) -> web.Response:
    """Where a recording stands; once it has ended, with its text."""
    services = request.app[SERVICES]
    upload = _find(request, Permission.READ)
    if upload is not None and upload.stage in (Stage.QUEUED, Stage.RUNNING):
        return web.json_response(_running(upload))
    try:
        record = await stored(request, Permission.READ)
    except NoSuchSession:
        raise _unknown() from None
    if record.client != CLIENT:
        raise _unknown()
    await services.audit.record(
        actor=actor(request, "client"),
        action=Action.TRANSCRIPT_READ,
        object=record.session_id,
        origin=peer(request),
    )
    return web.json_response(await _ended(services, record, upload))


@routes.delete("/api/v1/transcriptions/{session_id}")
@allows(Permission.STEER)
@described(RecordingStanding)
async def cancel(request: web.Request) -> web.Response:
    """Breaks a recording off; what was heard by then stays, as an interrupted session."""
    upload = _find(request, Permission.STEER)
    if upload is None:
        raise _unknown()
    await request.app[SERVICES].uploads.cancel(upload)
    return web.json_response(_running(upload))


async def _submit(request: web.Request, services: Services, transfer: Transfer) -> Upload:
    fields: dict[str, Any] = await _take(request, transfer)
    if "vocabulary" in fields:
        fields["vocabulary"] = [name for line in fields["vocabulary"].splitlines() if (name := line.strip())]
    wishes = protocol.parse_wishes(fields)
    terms = services.terms()
    if wishes.language not in {None, "en"} and not terms.multilingual:
        raise ClientError("bad_language", "this box's model knows English only", hint='Use "en".')
    names = terms.names()
    if wishes.vocabulary is not None:
        names.own(wishes.vocabulary)
    await transfer.finish()
    said = details.changed(Details(), wishes.details, now=datetime.now(UTC))
    return await services.uploads.submit(
        transfer,
        language=wishes.language or terms.language,
        prompt=terms.prompt if wishes.prompt is None else wishes.prompt,
        details=said if said != Details() else None,
        names=names,
        owner=caller(request).id,
    )


async def _take(request: web.Request, transfer: Transfer) -> dict[str, str]:
    """Passes the file on as it comes; gives the text fields beside it."""
    if request.content_type != "multipart/form-data":
        async for chunk in request.content.iter_chunked(CHUNK):
            await transfer.write(chunk)
        return {}
    fields: dict[str, str] = {}

    async def note(part: BodyPartReader) -> None:
        if part.name not in FIELDS:
            raise ClientError(
                "unknown_field",
                "the form has a part that is not known",
                hint=f"Known parts: file, {', '.join(FIELDS)}.",
            )
        fields[part.name] = await text_of(part)

    await take_form(request, transfer, note)
    return fields


def _find(request: web.Request, permission: Permission) -> Upload | None:
    """The upload that the address names, if it is known here and in reach."""
    upload = request.app[SERVICES].uploads.find(request.match_info["session_id"])
    return upload if upload and within_reach(request, permission, upload.owner) else None


def _unknown() -> ClientError:
    return ClientError("no_such_transcription", "no recording has this id")


def _running(upload: Upload) -> dict[str, Any]:
    """The fields of an upload that is known here; none of its words."""
    return {
        "id": upload.session_id,
        "state": upload.stage,
        "progress": round(upload.progress, 4),
        "seconds": round(upload.seconds, 1),
        "seconds_done": round(upload.at / 16_000, 1),
        "lines": upload.metrics.chunks_processed,
        "error": upload.fault or None,
    }


async def _ended(services: Services, record: SessionRecord, upload: Upload | None) -> dict[str, Any]:
    """The fields of an upload that has ended, also before the daemon's last start."""
    session_id = record.session_id
    whole = export.as_dict(
        record, await services.lines.final(session_id), await services.lines.gaps(session_id)
    )
    seconds = record.metrics.received_samples / 16_000
    return {
        "id": session_id,
        "state": upload.stage if upload else _stage(record),
        "progress": 1.0
        if record.state is SessionState.ENDED
        else round(upload.progress, 4)
        if upload
        else None,
        "seconds": round(upload.seconds if upload else seconds, 1),
        "seconds_done": round(seconds, 1),
        "lines": record.total_chunks,
        "error": upload.fault or None if upload else None,
        "text": whole["text"],
        "segments": [segment for line in whole["lines"] for segment in line["segments"]],
        "gaps": whole["gaps"],
        "language": record.language,
        "model": record.model,
    }


def _stage(record: SessionRecord) -> Stage:
    if record.state is SessionState.ENDED:
        return Stage.DONE
    return Stage.CANCELLED if record.reason is EndReason.REST else Stage.INTERRUPTED
