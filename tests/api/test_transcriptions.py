"""Recordings sent as files: a real reader process, a real store, a scripted engine."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from scripted import Engine, heard
from served import Box, Open

from ambientd.core.calibration import calibrated
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.record import EndReason, SessionState
from ambientd.store.lines import Lines

PATH = "/api/v1/transcriptions"


def recording(seconds: float = 4, *, rate: int = 16_000, form: str = "FLAC", channels: int = 1) -> bytes:
    audio = np.full((round(seconds * rate), channels), 0.5, np.float32)
    audio[:, 0] += np.random.default_rng(1).normal(0, 0.01, len(audio))
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, format=form) as writer:
        for at in range(
            0, len(audio), rate
        ):  # libsndfile's Vorbis writer overflows its stack on more at once
            writer.write(audio[at : at + rate])
    return file.getvalue()


@dataclass
class Gated(Engine):
    """Hears only when it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def decode(self, request: Request) -> Heard:
        await self.gate.wait()
        return await super().decode(request)


async def send(box: Box, body: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    if isinstance(body, bytes):
        body = io.BytesIO(body)
    async with box.http.post(box.url + PATH, data=body, **options) as answer:
        return answer.status, await answer.json()


async def ask(box: Box, session_id: str) -> dict[str, Any]:
    async with box.http.get(f"{box.url}{PATH}/{session_id}") as answer:
        return dict(await answer.json(), status=answer.status)


async def ended(box: Box, session_id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (answer := await ask(box, session_id))["state"] in {"queued", "running"}:
            await asyncio.sleep(0.05)
    return answer


def form(body: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    data.add_field("file", body, filename="visit.flac", content_type="audio/flac")
    return data


@pytest.mark.parametrize(
    ("kind", "rate", "channels"),
    [("FLAC", 16_000, 1), ("WAV", 44_100, 2), ("MP3", 44_100, 1), ("OGG", 48_000, 1)],
)
async def test_a_recording_of_any_kind_becomes_a_session_with_its_text(
    box: Box, kind: str, rate: int, channels: int
):
    status, answer = await send(box, recording(4, rate=rate, form=kind, channels=channels))
    assert status == 202
    outcome = await ended(box, answer["id"])
    assert outcome["state"] == "done"
    assert outcome["progress"] == 1
    assert "It hurts here." in outcome["text"]
    assert {segment["language"] for segment in outcome["segments"]} == {outcome["language"]} == {"en"}
    assert abs(outcome["seconds_done"] - 4) < 0.2
    async with box.http.get(f"{box.url}/api/v1/sessions/{answer['id']}") as stored:
        record = await stored.json()
    assert (record["client"], record["state"]) == ("upload", "ended")


async def test_it_is_heard_in_the_background_with_the_language_and_prompt_of_the_form(box: Box):
    body = form(
        recording(),
        language="es",
        prompt="Hola.",
        encounter="E-1",
        patient="P-1",
        vocabulary="omeprazole\nlisinopril\n",
    )
    status, answer = await send(box, body)
    assert status == 202
    await ended(box, answer["id"])
    assert (await send(box, form(recording(), vocabulary="one\none\n")))[1]["code"] == "bad_vocabulary"
    assert {(r.rank, r.language) for r in box.engine.requests} == {(Rank.BACKGROUND, "es")}
    assert "Hola." in {request.prompt for request in box.engine.requests}
    details = await box.sessions.details(answer["id"])
    assert (details.encounter, details.patient) == ("E-1", "P-1")


async def test_a_name_put_into_a_recordings_text_is_marked(open_box: Open):
    engine = Engine(
        lambda request: heard(request, "I take own prazole at night"), certainty=lambda _said, _name: -0.1
    )
    box = await open_box(engine=engine)
    _, answer = await send(box, form(recording(4), vocabulary="omeprazole"))
    await ended(box, answer["id"])

    [line] = await Lines(box.database).lines(answer["id"])
    assert line.text == "I take omeprazole at night"
    assert [(mark.first, mark.said) for mark in line.corrections] == [(2, "own prazole")]
    # As in any line: how likely the word is right.
    assert line.words[0].probability == pytest.approx(calibrated(0.9), abs=1e-4)


async def test_progress_is_told_while_it_is_heard(open_box: Open):
    engine = Gated()
    box = await open_box(engine=engine)
    _, answer = await send(box, recording(100, form="OGG"))
    assert 99 < answer["seconds"] < 101
    async with asyncio.timeout(10):
        while (await ask(box, answer["id"]))["state"] != "running":
            await asyncio.sleep(0.02)
    seen = await ask(box, answer["id"])
    assert 0 <= seen["progress"] < 1
    assert "text" not in seen
    engine.gate.set()
    assert (await ended(box, answer["id"]))["progress"] == 1


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"", "bad_recording", 415),
        (b"This is no recording, it is a letter.", "bad_recording", 415),
        (recording(400, form="OGG"), "recording_too_long", 413),
        (recording(70, form="WAV"), "file_too_big", 413),
    ],
    ids=["empty", "text", "long", "big"],
)
async def test_what_is_no_recording_or_too_much_of_one_is_refused_with_the_reason(
    box: Box, body: bytes, code: str, status: int
):
    answered, answer = await send(box, body)
    assert (answered, answer["code"]) == (status, code)
    assert box.uploads.waiting == 0
    assert await box.sessions.count() == 0


async def test_a_form_must_be_one(box: Box):
    no_file = aiohttp.FormData({"language": "en"}, default_to_multipart=True)
    assert (await send(box, no_file))[1]["code"] == "bad_form"
    assert (await send(box, form(recording(), colour="blue")))[1]["code"] == "unknown_field"
    assert (await send(box, form(recording(), language="klingon")))[1]["code"] == "bad_language"
    assert (await send(box, form(recording(), patient="x" * 70_000)))[1]["code"] == "bad_field"


async def test_a_damaged_recording_keeps_what_could_be_read_and_says_so(box: Box):
    status, answer = await send(box, recording(30)[:-20_000])
    assert status == 202
    outcome = await ended(box, answer["id"])
    assert outcome["state"] == "done"
    assert "damaged" in outcome["error"]
    assert outcome["text"]
    assert outcome["gaps"][-1]["reason"] == "lost"


async def test_when_all_places_are_taken_the_next_is_told_when_to_come_again(open_box: Open):
    box = await open_box(engine=Gated(), queue=1)
    assert (await send(box, recording()))[0] == 202
    async with box.http.post(box.url + PATH, data=recording()) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


async def test_one_that_is_broken_off_is_an_interrupted_session(open_box: Open):
    box = await open_box(engine=Gated(), queue=2)
    _, first = await send(box, recording())
    _, second = await send(box, recording())
    for each in (second, first):
        async with box.http.delete(f"{box.url}{PATH}/{each['id']}") as answer:
            assert (await answer.json())["state"] == "cancelled"
        record = await box.sessions.get(each["id"])
        assert record is not None
        assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.REST)
        assert (await ask(box, each["id"]))["state"] == "cancelled"
    assert box.uploads.waiting == 0


async def test_a_shutdown_breaks_off_what_is_not_done(open_box: Open):
    box = await open_box(engine=Gated())
    _, answer = await send(box, recording())
    await box.uploads.close()
    record = await box.sessions.get(answer["id"])
    assert record is not None
    assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.SHUTDOWN)
    assert (await send(box, recording()))[1]["code"] == "going_away"


async def test_only_recordings_are_found_here(box: Box):
    assert (await ask(box, "room-1"))["status"] == 404
    async with box.http.delete(f"{box.url}{PATH}/room-1") as answer:
        assert answer.status == 404


async def test_a_defect_in_one_is_told_and_the_next_is_heard(open_box: Open):
    def script(request: Request) -> Heard:
        if len(engine.requests) == 1:
            raise RuntimeError
        return heard(request)

    engine = Engine(script)
    box = await open_box(engine=engine)
    _, first = await send(box, recording())
    _, second = await send(box, recording())
    assert (await ended(box, first["id"]))["state"] == "failed"
    assert (await ended(box, second["id"]))["state"] == "done"
