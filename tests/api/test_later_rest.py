"""What clients and pages are told of sessions that are recorded now and transcribed later."""

from __future__ import annotations

import asyncio
from typing import Any

from scripted import Engine, silence, speech
from served import Box, Open

from ambientd.core.audio import to_pcm16
from ambientd.session.capacity import Capacity, Ceiling


async def get(box: Box, path: str) -> Any:
    async with box.http.get(f"{box.url}/api/v1/{path}") as answer:
        assert answer.status == 200
        return await answer.json()


async def until_done(box: Box, session_id: str) -> Any:
    async with asyncio.timeout(10):
        while (told := await get(box, f"sessions/{session_id}"))["transcription"] != "done":
            await asyncio.sleep(0.02)
    return told


async def test_a_client_that_asks_for_it_is_told_and_finds_its_text_afterwards(open_box: Open):
    box = await open_box(later=True, engine=Engine(delay=0.5))
    socket = await box.connect("/ws/transcribe/visit-1?later=1")
    assert (await socket.receive_json())["later"] is True
    await socket.send_json({"type": "configure", "prompt": "A nurse talks."})
    assert (await socket.receive_json())["type"] == "configured"
    await socket.send_bytes(to_pcm16(speech(3)))
    await socket.send_bytes(to_pcm16(silence(1)))
    await socket.send_json({"type": "session_info"})
    assert (await socket.receive_json())["transcription"] == "recording"
    await socket.send_json({"type": "end_session"})
    ended = await socket.receive_json()
    assert (ended["type"], ended["reason"]) == ("session_ended", "client")
    assert "transcribed later" in ended["message"]

    told = await get(box, "sessions/visit-1")
    assert (told["state"], told["progress"], told["recorded_seconds"]) == ("open", "unheard", 4.0)
    assert told["transcription"] in {"waiting", "running"}
    assert told["metrics"]["total_session_duration"] == 4.0
    assert [each["session_id"] for each in (await get(box, "sessions?progress=unheard"))["sessions"]] == [
        "visit-1"
    ]
    assert (await get(box, "sessions?progress=recording"))["sessions"] == []

    told = await until_done(box, "visit-1")
    assert (told["state"], told["recorded_seconds"]) == ("ended", 0.0)
    assert {request.prompt for request in box.engine.requests} == {"A nurse talks.", ""}
    text = await get(box, "sessions/visit-1/transcript")
    assert [line["text"] for line in text["lines"]] == ["It hurts here."]
    async with asyncio.timeout(5):
        while (await get(box, "status"))["later"]["seconds"]:
            await asyncio.sleep(0.02)


async def test_the_microphone_records_too(open_box: Open):
    box = await open_box(later=True)
    starting = asyncio.create_task(
        box.http.post(
            f"{box.url}/api/v1/microphone/start",
            json={"later": True, "encounter": "E-1", "prompt": "A nurse talks."},
        )
    )
    async with asyncio.timeout(5):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    box.microphone.say(silence(0.05))
    answer = await starting
    assert answer.status == 201
    session_id = (await answer.json())["session_id"]
    box.microphone.say(speech(3))
    box.microphone.say(silence(1))
    async with box.http.post(f"{box.url}/api/v1/microphone/stop") as stopped:
        assert stopped.status == 200

    told = await until_done(box, session_id)
    assert (told["client"], told["total_chunks"]) == ("microphone", 1)
    assert {request.prompt for request in box.engine.requests} == {"A nurse talks.", ""}


async def test_a_busy_box_tells_a_client_that_it_only_records(open_box: Open):
    box = await open_box(later=True, capacity=Capacity(1, Ceiling(utilisation=0.0)))
    first, second = await box.connect(), await box.connect()

    assert (await first.receive_json())["later"] is False
    assert (await second.receive_json())["later"] is True


async def test_a_box_that_keeps_no_audio_says_so(open_box: Open):
    box = await open_box()
    socket = await box.connect("/ws/transcribe?later=1")

    assert (await socket.receive_json())["code"] == "later_off"
