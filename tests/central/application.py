"""The routes: those of the central server, and those of servers whose calls can be repeated."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from central.faults import ORPHANED, Fault, Faults, Handler, detail
from central.questions import PREDEFINED
from central.records import Records
from central.tokens import Tokens
from central.worker import Worker

LONGEST = 50_000
"""Characters of one text."""


@dataclass(frozen=True, slots=True)
class Services:
    records: Records
    worker: Worker
    tokens: Tokens
    faults: Faults


SERVICES = web.AppKey("services", Services)

routes = web.RouteTableDef()


@web.middleware
async def suffering(request: web.Request, handler: Handler) -> web.StreamResponse:
    # What steers the faults must not be struck by them.
    if request.path.startswith("/__"):
        return await handler(request)
    return await request.app[SERVICES].faults.suffer(request, handler)


@web.middleware
async def detailed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors have a ``detail``, as those of FastAPI do."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return detail(error.status, error.text or error.reason)


def application(services: Services) -> web.Application:
    app = web.Application(middlewares=[suffering, detailed], client_max_size=4 << 20)
    app[SERVICES] = services
    app.add_routes(routes)
    return app


async def _json(request: web.Request) -> dict[str, Any]:
    """The body's JSON object.  FastAPI answers 422 to anything else, with a list of what is wrong."""
    try:
        found = await request.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _invalid("body", "Input should be a valid dictionary")
    return found


def _invalid(place: str, message: str) -> web.HTTPException:
    wrong = [{"type": "value_error", "loc": ["body", place], "msg": message}]
    return web.HTTPUnprocessableEntity(text=json.dumps({"detail": wrong}), content_type="application/json")


@routes.get("/health")
async def health(_request: web.Request) -> web.Response:
    services = {"database": "healthy", "celery": "healthy"}
    moment = datetime.now(UTC).isoformat()
    return web.json_response(
        {"status": "healthy", "timestamp": moment, "version": "1.0.0", "services": services}
    )


@routes.post("/api/v1/auth/login")
async def log_in(request: web.Request) -> web.Response:
    given = await _json(request)
    token = request.app[SERVICES].tokens.log_in(given.get("email"), given.get("password"))
    if token is None:
        return detail(401, "Incorrect email or password")
    user = {"email": given["email"]}
    return web.json_response({"access_token": token, "token_type": "bearer", "user": user})


@routes.post("/api/v1/text-processing")
async def process_text(request: web.Request) -> web.Response:
    """A new upload each time: the Idempotency-Key is not even read."""
    services = request.app[SERVICES]
    given = await _json(request)
    text, questions = given.get("text"), given.get("custom_questions")
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST:
        raise _invalid("text", f"String should have at least 1 and at most {LONGEST} characters")
    if questions is not None and not _are_questions(questions):
        raise _invalid("custom_questions", "Input should be a list of dictionaries of strings")
    if services.faults.poison and services.faults.poison in text:
        return detail(500, "could not process this text")
    user = services.tokens.user(request.query.get("access_token"))
    upload_id = await services.records.add_upload(text, user)
    if request.get(ORPHANED):
        return detail(500, "connection to the broker was lost")
    task_id = await services.records.add_task(
        "text", upload_id, {"text": text, "custom_questions": questions}
    )
    services.worker.wake()
    return web.json_response(
        {
            "upload_id": upload_id,
            "task_id": task_id,
            "status": "processing",
            "message": "Text processing started",
        }
    )


def _are_questions(given: object) -> bool:
    return isinstance(given, list) and all(
        isinstance(each, dict)
        and {"id", "question", "category"} <= set(each)
        and all(isinstance(value, str) for value in each.values())
        for each in given
    )


@routes.get("/api/v1/tasks/{task_id}")
async def task(request: web.Request) -> web.Response:
    task_id = request.match_info["task_id"]
    found = await request.app[SERVICES].records.task(task_id)
    if found is None:
        # The real one raises a 404 and catches it itself.
        return detail(500, "404: Task ID not found")
    done = found["status"] == "completed"
    step = "Text processing tasks initiated" if done else "Processing text input..."
    return web.json_response(
        {
            "task_id": task_id,
            "status": found["status"],
            "progress": 100.0 if done else 0.0,
            "current_step": step,
            "message": step,
            "result": found["result"],
            "error": found["error"],
        }
    )


@routes.get("/api/v1/uploads")
async def uploads(request: web.Request) -> web.Response:
    try:
        page, size = int(request.query.get("page", "1")), int(request.query.get("size", "20"))
    except ValueError:
        raise _invalid("page", "Input should be a valid integer") from None
    if page < 1 or size < 1:
        return detail(500, "OFFSET must not be negative")
    return web.json_response(
        await request.app[SERVICES].records.page(page, size, request.query.get("status"))
    )


@routes.get("/api/v1/uploads/{upload_id}")
async def upload(request: web.Request) -> web.Response:
    upload_id = request.match_info["upload_id"]
    try:
        uuid.UUID(upload_id)
    except ValueError:
        return detail(400, "Invalid upload ID")
    found = await request.app[SERVICES].records.upload(upload_id)
    return detail(404, "Upload not found") if found is None else web.json_response(found)


@routes.get("/api/v1/questions")
async def questions(_request: web.Request) -> web.Response:
    return web.json_response({"questions": [question.public() for question in PREDEFINED]})


# -- servers whose calls can be repeated


def content_digest(body: bytes) -> str:
    """The header's value.  Source: RFC 9530 section 2."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@routes.put("/api/v1/boxes/{box_id}/transcripts/{uuid}")
async def put_transcript(request: web.Request) -> web.Response:
    """201 for a new one, 200 for the same again, 409 with the digest of what is held for another."""
    body = await request.read()
    promised = request.headers.get("Content-Digest", "")
    if content_digest(body) not in [part.strip() for part in promised.split(",")]:
        return detail(400, "Content-Digest with sha-256 is needed and must be that of the body")
    held = await request.app[SERVICES].records.put(
        request.match_info["box_id"],
        request.match_info["uuid"],
        content_digest(body),
        body,
        request.content_type,
    )
    if held is None:
        return web.json_response({"digest": content_digest(body)}, status=201)
    if held == content_digest(body):
        return web.json_response({"digest": held})
    return web.json_response({"detail": "Another transcript has this name", "digest": held}, status=409)


# -- for tests and demos


@routes.get("/__received")
async def received(request: web.Request) -> web.Response:
    """All texts with how often each was stored, what was put, and the counts."""
    records = request.app[SERVICES].records
    bodies = {name: body.decode(errors="replace") for name, body in (await records.bodies()).items()}
    texts = [{"text": text, "times": times} for text, times in (await records.texts()).items()]
    return web.json_response({"texts": texts, "transcripts": bodies, "counts": await records.counts()})


@routes.get("/__faults")
async def seen(request: web.Request) -> web.Response:
    return web.json_response(dict(request.app[SERVICES].faults.seen))


@routes.post("/__faults")
async def order(request: web.Request) -> web.Response:
    """``{"order": [{"fault", "path", "method", "times"}], "random": {"seed", "share", "kinds"}}``, both optional."""
    faults, given = request.app[SERVICES].faults, await _json(request)
    try:
        for each in given.get("order", []):
            faults.order(
                Fault(each["fault"]),
                path=each.get("path", ""),
                method=each.get("method", ""),
                times=each.get("times", 1),
            )
        if drawn := given.get("random"):
            faults.draw(drawn["seed"], drawn["share"], [Fault(kind) for kind in drawn.get("kinds", Fault)])
    except (KeyError, ValueError):
        return detail(422, f"a fault is one of {', '.join(Fault)}")
    return web.json_response({})


@routes.delete("/__faults")
async def clear(request: web.Request) -> web.Response:
    request.app[SERVICES].faults.clear()
    return web.json_response({})
