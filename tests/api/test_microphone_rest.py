"""The room's microphone over REST, with a scripted one: each way to steer it, and each refusal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from scripted import Engine, silence, speech
from served import Box, Open

from ambientd.core.audio import RATE
from ambientd.core.microphone import Reason


async def post(box: Box, what: str, body: Any = None) -> tuple[int, Any]:
    async with box.http.post(f"{box.url}/api/v1/microphone/{what}", json=body) as answer:
        return answer.status, await answer.json()


async def state(box: Box) -> Any:
    async with box.http.get(f"{box.url}/api/v1/microphone") as answer:
        assert answer.status == 200
        return await answer.json()


async def start(box: Box, body: Any = None) -> str:
    starting = asyncio.create_task(post(box, "start", body))
    async with asyncio.timeout(5):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    box.microphone.say(silence(0.05))
    status, answer = await starting
    assert status == 201, answer
    return str(answer["session_id"])


async def test_a_visit_from_start_to_stop_as_a_page_sees_it(box: Box):
    before = await state(box)
    assert (before["state"], before["session"], before["last"]) == ("off", None, None)
    assert before["devices"][0]["id"] == "0d8c:0014"

    session_id = await start(box, {"encounter": "E-1", "language": "en"})
    listener = await box.connect(f"/ws/listen/{session_id}")
    assert (await listener.receive_json())["type"] == "listening"
    told = await state(box)
    assert told["session"]["session_id"] == session_id
    assert told["session"]["state"] == "recording"
    box.microphone.say(speech(0.6))
    status, paused = await post(box, "pause")
    assert (status, paused["session"]["state"]) == (200, "paused")
    box.microphone.say(speech(5))
    status, resumed = await post(box, "resume")
    assert (status, resumed["session"]["state"]) == (200, "recording")
    await asyncio.sleep(0.02)
    box.microphone.say(speech(1.5))
    box.microphone.say(silence(1))
    status, stopped = await post(box, "stop")
    assert (status, stopped["session"]) == (200, None)
    assert stopped["last"] == {"session_id": session_id, "reason": "client"}

    heard = [json.loads(m.data) async for m in listener if m.type is aiohttp.WSMsgType.TEXT]
    kinds = [m["type"] for m in heard]
    assert kinds.count("transcript") == 2
    assert kinds.count("recording") == 2
    assert kinds[-1] == "session_ended"
    async with box.http.get(f"{box.url}/api/v1/sessions/{session_id}") as answer:
        record = await answer.json()
    assert record["metrics"]["received_samples"] == round(3.15 * RATE)
    assert (record["client"], record["reason"]) == ("microphone", "client")


async def test_discard_leaves_nothing(box: Box):
    session_id = await start(box, {"patient": "Erika Mustermann"})
    box.microphone.say(speech(2))
    status, told = await post(box, "discard")

    assert (status, told["session"]) == (200, None)
    async with box.http.get(f"{box.url}/api/v1/sessions/{session_id}") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("what", ["pause", "resume", "stop", "discard"])
async def test_where_nothing_is_recorded_there_is_nothing_to_steer(box: Box, what: str):
    status, told = await post(box, what)
    assert (status, told["code"]) == (409, "not_recording")


async def test_a_second_start_and_a_trial_are_refused_while_one_records(box: Box):
    await start(box)
    for what in ("start", "test"):
        status, told = await post(box, what)
        assert (status, told["code"]) == (409, "microphone_in_use")
        assert "Stop or discard" in told["detail"]


@pytest.mark.parametrize("what", ["start", "test"])
async def test_a_microphone_that_gives_no_sound_says_why_and_what_to_do(box: Box, what: str):
    box.microphone.fail(Reason.DEVICE_BUSY, "End the other program.")
    box.microphone.state = box.microphone.state.__class__(device=box.microphone.state.device)
    asking = asyncio.create_task(post(box, what))
    async with asyncio.timeout(5):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    box.microphone.fail(Reason.DEVICE_BUSY, "End the other program.")
    status, told = await asking

    assert (status, told["code"]) == (503, "microphone_unavailable")
    assert told["detail"] == "another program has the microphone  End the other program."
    assert (await state(box))["reason"] == "device_busy"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"colour": "red"}, "unknown_field"),
        ({"ephemeral": "yes"}, "bad_field"),
        ({"language": "Klingon"}, "bad_language"),
        ({"consent": "yes"}, "bad_details"),
        ([], "bad_json"),
    ],
)
async def test_a_start_that_says_nonsense_is_refused_before_anything_is_heard(box: Box, body: Any, code: str):
    status, told = await post(box, "start", body)

    assert (status, told["code"]) == (400, code)
    assert box.microphone.opened == 0


@pytest.mark.parametrize(("role", "words"), [("integration", None), ("clinician", "It hurts here.")])
async def test_a_program_that_tries_it_is_told_no_words(lan, role: str, words: str | None):
    guarded = await lan(engine=Engine())
    box = guarded.box
    who = await (guarded.program() if role == "integration" else guarded.person(role))
    asking = asyncio.create_task(who.post("/api/v1/microphone/test"))
    async with asyncio.timeout(5):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    box.microphone.say(speech(2))
    box.microphone.say(silence(4))
    status, told = await asking

    assert (status, told["text"], told["language"] is None) == (200, words, words is None)
    assert told["speech_seconds"] > 1


async def test_a_trial_tells_level_and_words_and_stores_nothing(open_box: Open):
    box = await open_box(engine=Engine())
    asking = asyncio.create_task(post(box, "test"))
    async with asyncio.timeout(5):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    box.microphone.say(silence(1))
    box.microphone.say(speech(2))
    box.microphone.lose(RATE // 2)
    box.microphone.say(silence(3))
    status, told = await asking

    assert status == 200
    assert told["text"] == "It hurts here."
    assert told["seconds"] >= 5
    assert told["lost_seconds"] == 0.5
    assert told["level"]["peak_dbfs"] == -6.0
    (row,) = [e for e in await box.gate.audit.entries() if e.action == "microphone.tried"]
    assert (row.actor, row.outcome) == ("client", "ok")
    assert "hurts" not in str(row)
    assert told["device"]["name"] == "USB Audio Device"
    assert await box.sessions.count() == 0
    assert not box.microphone.listening


async def test_another_pages_call_is_refused(box: Box):
    async with box.http.post(
        f"{box.url}/api/v1/microphone/start", headers={"Origin": "http://elsewhere.example"}
    ) as answer:
        assert answer.status == 403
    assert box.microphone.opened == 0
