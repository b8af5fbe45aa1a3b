"""The OpenAPI and AsyncAPI documents, held against the service that runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import pytest
from scripted import speech
from served import Box, Open

from ambientd.api.access import need
from ambientd.api.asyncapi import asyncapi
from ambientd.api.described import description
from ambientd.api.document import operations
from ambientd.api.models.messages import SAID_BY_CLIENT, SAID_BY_SERVER, type_of
from ambientd.core import protocol, room
from ambientd.core.audio import to_pcm16
from ambientd.core.microphone import Reason
from ambientd.core.transcript import Gap

THOROUGH = os.environ.get("AMBIENTD_REQUESTS") == "full"
"""Some thousand requests, minutes of them, instead of a few for each operation."""


async def document(box: Box) -> dict:
    async with box.http.get(f"{box.url}/openapi.json") as answer:
        assert answer.content_type == "application/json"
        return await answer.json()


async def test_every_route_declares_what_it_takes_and_gives(box: Box):
    """A route that another part adds without a declaration is found here."""
    told = await document(box)
    for path, method, function in operations(box.app):
        assert description(function) is not None, f"{method.upper()} {path} is not @described"
        operation = told["paths"][path][method]
        assert operation["summary"]
        assert bool(operation.get("security")) == bool(need(function).permissions)


async def test_every_other_route_is_a_page_or_a_websocket_of_the_other_document(box: Box):
    described = {(path, method) for path, method, _ in operations(box.app)}
    sockets = {channel["address"] for channel in asyncapi()["channels"].values()}
    pages = set()
    for route in box.app.router.routes():
        path = route.resource.canonical
        if route.method in {"HEAD", "OPTIONS", "*"} or (path, route.method.lower()) in described:
            continue
        if path.startswith("/ws/"):
            assert path in sockets
        else:
            pages.add(path)
    assert all(path == "/" or (Path(box.web) / path[1:]).is_file() for path in pages)


async def test_the_document_is_openapi(box: Box):
    """Every reference leads somewhere, every parameter of a path is declared, every id is there once."""
    told = await document(box)
    text = json.dumps(told)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in told["components"]["schemas"]
    ids = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    for path, methods in told["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == {part.partition("}")[0] for part in path.split("{")[1:]}
    for schema in told["components"]["schemas"].values():
        jsonschema_rs.validator_for({**schema, "components": told["components"]})


async def test_the_page_is_made_of_both_documents_and_asks_nobody_for_anything(box: Box):
    async with box.http.get(f"{box.url}/docs") as answer:
        page = await answer.text()
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    told = await document(box)
    assert all(f"<code>{path}</code>" in page for path in told["paths"])
    assert "<code>/ws/listen/{session_id}</code>" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    async with box.http.get(f"{box.url}/docs.css") as answer:
        assert answer.content_type == "text/css"


def schema_of(kind: str) -> jsonschema_rs.Validator:
    told = asyncapi()
    message = next(
        each
        for name, each in told["components"]["messages"].items()
        if each["name"] == kind and not name.endswith("_wanted")
    )
    return jsonschema_rs.validator_for({**message["payload"], "components": told["components"]})


def test_every_type_of_message_there_is_has_a_model():
    assert {type_of(model) for model in SAID_BY_SERVER} == protocol.SERVER_TYPES
    assert {type_of(model) for model in SAID_BY_CLIENT} == set(protocol.CONTROLS)
    references = json.dumps(asyncapi()).split('"#/')[1:]
    for reference in references:
        place = asyncapi()
        for step in reference.split('"')[0].split("/"):
            place = place[step]


async def test_real_messages_are_as_the_document_has_them(open_box: Open):
    """A session with everything asked for: each message that comes is valid, and so is what was said."""
    box = await open_box(refine=1)
    socket = await box.connect("/ws/transcribe/a?partials=1&acks=1&load=1&refined=1")
    assert (await socket.receive_json())["type"] == "connected"
    seen = {"connected"}
    said = [
        {"type": "ping"},
        {"type": "session_info"},
        {"type": "configure", "language": "en", "vocabulary": ["omeprazole"], "encounter": "E-1"},
        {"type": "lost", "samples": 1600},
        {"type": "pause"},
        {"type": "resume_recording"},
        {"type": "nonsense"},
    ]
    await socket.send_bytes(to_pcm16(speech(3)))
    for message in said:
        if message["type"] != "nonsense":
            kind = next(model for model in SAID_BY_CLIENT if type_of(model) == message["type"])
            kind.model_validate(message, strict=False)
        await socket.send_json(message)
    async with box.http.post(f"{box.url}/api/v1/websocket/broadcast", json={"type": "notice", "text": "x"}):
        pass
    listener = await box.connect("/ws/listen/a?refined=1")
    await socket.send_bytes(to_pcm16(speech(2)))
    await socket.send_json({"type": "end_session"})
    for each in (socket, listener):
        async with asyncio.timeout(60):
            async for frame in each:
                message = frame.json()
                kind = message["type"] if message["type"] in protocol.SERVER_TYPES else "announcement"
                schema_of(kind).validate(message)
                seen.add(kind)
    assert seen >= protocol.SERVER_TYPES - {"gap", "partial", "microphone", "load", "ack", "refined"} | {
        "announcement"
    }


async def test_what_followers_of_the_room_are_told_is_as_the_document_has_it(box: Box):
    """Recording, paused, and without a microphone; a field that the document does not have is a fault."""
    starting = asyncio.create_task(box.recorder.start())
    async with asyncio.timeout(20):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        box.microphone.say(speech(0.5))
        session = await starting
        listener = await box.connect(f"/ws/listen/{session.id}")

        async def told(wanted: Callable[[dict], bool]) -> dict:
            async for frame in listener:
                message = frame.json()
                schema_of(message["type"]).validate(message)
                if message["type"] == "microphone" and wanted(message):
                    return message
            pytest.fail("it was never told")

        message = await told(lambda message: message["state"] == "live")
        assert message["session"]["session_id"] == session.id
        await box.recorder.pause()
        await told(lambda message: message["session"]["state"] == "paused")
        box.microphone.fail(Reason.DEVICE_LOST)
        await told(lambda message: message["reason"] == "device_lost" and message["remedy"])
        box.microphone.mend()
        await box.recorder.stop()
    for wrong in ({**message, "undeclared": 1}, {**message, "state": "loud"}, {"type": "microphone"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            schema_of("microphone").validate(wrong)


def test_messages_that_are_rare_are_as_the_document_has_them():
    for message in (
        protocol.gap(Gap(0, 1600, "lost")),
        protocol.ack(5),
        protocol.partial("a b", "a", start=0, end=16_000),
        protocol.load(sessions=1, lag=0, box_lag=0, utilisation=0, preview_interval=1, thinned=False),
        protocol.refined("a", state="done", lines=[], model="base", kept=0),
        room.recording("a", state=room.Recording.PAUSED, elapsed=1),
        protocol.configured(language="en", wanted=frozenset()),
    ):
        schema_of(message["type"]).validate(dict(message))
    with pytest.raises(jsonschema_rs.ValidationError):
        schema_of("ack").validate({"type": "ack", "received_samples": 5, "undeclared": 1})


async def test_requests_made_from_the_document_find_no_fault_and_no_undocumented_status(
    box: Box, tmp_path: Path
):
    """schemathesis asks every operation, with what is right and with what is wrong."""
    session = await box.connect("/ws/transcribe/visit-1")
    await session.send_bytes(to_pcm16(speech(3)))
    await session.send_json({"type": "end_session"})
    async for _ in session:
        pass
    (tmp_path / "schemathesis.toml").write_text('[parameters]\n"path.session_id" = "visit-1"\n')
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{box.url}/openapi.json",
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases",
        "coverage,fuzzing" if THOROUGH else "fuzzing",
        "--max-examples",
        "10" if THOROUGH else "2",
        "--seed",
        "1",
        "--request-timeout",
        "20",
        "--no-color",
        # Two wait for sound that the scripted microphone has none of; backups of the whole file tell nothing more.
        "--exclude-path-regex",
        "^/api/v1/(backup|microphone/(start|test))$",
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-6000:]
