"""``/v1/audio/transcriptions`` as OpenAI has it: programs made for that service work with the box.

Each recording becomes a session like one sent to ``/api/v1/transcriptions``: stored, delivered, purged.  The answer's
``X-Request-Id`` is the session's id.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import BodyPartReader, web

from ambientd.api.access import actor, allows, caller
from ambientd.api.described import FORM, JSON, PlainText, described
from ambientd.api.form import take_form, text_of
from ambientd.api.models.recordings import (
    CompatibleError,
    CompatibleForm,
    CompatibleModel,
    CompatibleModels,
    CompatibleText,
    CompatibleVerbose,
)
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES, Services, Transfer
from ambientd.core import compatible, export
from ambientd.core.access import Permission
from ambientd.core.protocol import LONGEST_PROMPT
from ambientd.core.tongue import main_language
from ambientd.errors import AmbientError, ClientError
from ambientd.session.uploads import Stage, Upload
from ambientd.store.audit import Action

routes = web.RouteTableDef()

MODELS: Final = ("whisper-1",)
"""Names that stand for the box's own model, besides its own: clients insist on one of theirs."""

_LISTS: Final = ("timestamp_granularities[]", "timestamp_granularities")


class Unheard(AmbientError):
    """A recording was taken and not heard to its end."""


@dataclass(slots=True)
class _Asked:
    """What the form asks for."""

    language: str | None = None
    prompt: str | None = None
    form: str = "json"
    granularities: list[str] = field(default_factory=list)


@routes.post("/v1/audio/transcriptions")
@allows(Permission.RECORD)
@described(
    content={
        JSON: CompatibleText | CompatibleVerbose,
        "text/plain": PlainText,
        "text/vtt": PlainText,
    },
    body=CompatibleForm,
    body_content=FORM,
    errors=(413, 500, 507),
    error=CompatibleError,
)
async def transcribe(request: web.Request) -> web.Response:
    """Takes a recording as a form and answers with its text, once all of it has been heard."""
    services = request.app[SERVICES]
    with services.uploads.place():
        transfer = await services.receive()
        try:
            asked = await _take(request, transfer)
            upload = await _submit(request, services, transfer, asked)
        except BaseException:
            await transfer.close()
            raise
    if upload.task is not None:
        # Waited for and not awaited: what becomes of it is on record, whoever still listens.
        await asyncio.wait({upload.task})
    if upload.stage is not Stage.DONE:
        raise Unheard(upload.fault or "the recording was not heard to its end")
    await services.audit.record(
        actor=actor(request, "client"),
        action=Action.TRANSCRIPT_READ,
        object=upload.session_id,
        origin=peer(request),
    )
    answer = await _answer(services, upload, asked)
    answer.headers["X-Request-Id"] = upload.session_id
    if upload.fault:
        answer.headers["Ambientd-Note"] = upload.fault
    return answer


@routes.get("/v1/models")
@allows(Permission.RECORD)
@described(CompatibleModels, error=CompatibleError)
async def models(request: web.Request) -> web.Response:
    """The names of models that can be asked for: all of them are the box's own."""
    names = (request.app[SERVICES].model, *MODELS)
    return web.json_response({"object": "list", "data": [_model(name) for name in names]})


@routes.get("/v1/models/{model}")
@allows(Permission.RECORD)
@described(CompatibleModel, error=CompatibleError)
async def model(request: web.Request) -> web.Response:
    """One of them."""
    name = request.match_info["model"]
    if name not in (request.app[SERVICES].model, *MODELS):
        raise ClientError("model_not_found", "the box has no model of that name")
    return web.json_response(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "ambientd"}


async def _answer(services: Services, upload: Upload, asked: _Asked) -> web.Response:
    lines = await services.lines.final(upload.session_id)
    samples = upload.metrics.received_samples
    match asked.form:
        case "text":
            return web.Response(text=compatible.text(lines) + "\n")
        case "srt":
            return web.Response(text=export.as_srt(lines, await services.lines.gaps(upload.session_id)))
        case "vtt":
            gaps = await services.lines.gaps(upload.session_id)
            return web.Response(text=export.as_vtt(lines, gaps), content_type="text/vtt", charset="utf-8")
        case "verbose_json":
            language = main_language(lines) or upload.language
            return web.json_response(
                compatible.verbose(
                    lines, language=language, samples=samples, granularities=asked.granularities
                )
            )
        case _:
            return web.json_response(compatible.brief(lines, samples=samples))


async def _submit(request: web.Request, services: Services, transfer: Transfer, asked: _Asked) -> Upload:
    terms = services.terms()
    if asked.language not in {None, "en"} and not terms.multilingual:
        raise ClientError("bad_language", "this box's model knows English only", hint='Use "en".')
    await transfer.finish()
    return await services.uploads.submit(
        transfer,
        language=asked.language or terms.language,
        prompt=terms.prompt if asked.prompt is None else asked.prompt,
        names=terms.names(),
        owner=caller(request).id,
    )


async def _take(request: web.Request, transfer: Transfer) -> _Asked:
    """Passes the file on as it comes; gives what the fields ask for, those that are not known left out.

    Programs send fields of several services' own; a box that refused them would work with none of those programs.
    """
    if request.content_type != "multipart/form-data":
        raise ClientError("bad_form", "the body must be a form (multipart/form-data) with a part named file")
    asked = _Asked()

    async def note(part: BodyPartReader) -> None:
        _note(asked, part.name or "", await text_of(part))

    await take_form(request, transfer, note)
    if asked.granularities and asked.form != "verbose_json":
        raise ClientError("bad_field", "timestamp_granularities go with response_format verbose_json only")
    return asked


def _note(asked: _Asked, name: str, value: str) -> None:
    """Notes a field of the form.

    Raises:
        ClientError: it holds what it cannot.
    """
    if name == "language" and value:
        asked.language = compatible.language_code(value)
        if asked.language is None:
            raise ClientError("bad_language", "no such language", hint='Use a code such as "en".')
    elif name == "prompt":
        if "\0" in value:
            raise ClientError("bad_prompt", "a prompt must not hold a NUL character")
        # Theirs is cut likewise: only its end is considered.
        asked.prompt = value[-LONGEST_PROMPT:]
    elif name == "response_format":
        if value not in compatible.FORMS:
            raise ClientError(
                "bad_format", "no such format", hint=f"Use one of {', '.join(compatible.FORMS)}."
            )
        asked.form = value
    elif name in _LISTS:
        if value not in compatible.GRANULARITIES:
            raise ClientError("bad_field", "a timestamp granularity is word or segment")
        asked.granularities.append(value)
    elif name == "temperature":
        _require_temperature(value)


def _require_temperature(value: str) -> None:
    """It is taken and not used: how the box decodes is measured, and a repeated decode finds its own."""
    try:
        fits = 0 <= float(value) <= 1
    except ValueError:
        fits = False
    if not fits:
        raise ClientError("bad_field", "temperature must be a number from 0 to 1")
