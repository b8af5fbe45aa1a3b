"""Following a session over real sockets: from the store first, then live, each thing once, and then the end."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from scripted import Engine, heard, silence, speech
from served import Box, Open

from ambientd.core.audio import RATE, to_pcm16
from ambientd.core.decoding import Heard, Rank, Request

ONE_LINE = to_pcm16(speech(1.2)) + to_pcm16(silence(0.8))


async def speak(box: Box) -> aiohttp.ClientWebSocketResponse:
    """A client whose session is open."""
    speaker = await box.connect("/ws/transcribe/room-1")
    assert (await speaker.receive_json())["type"] == "connected"
    return speaker


async def read(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """All messages to the end."""
    return [json.loads(m.data) async for m in socket if m.type is aiohttp.WSMsgType.TEXT]


async def until(box: Box, lines: int) -> None:
    async with asyncio.timeout(10):
        while (session := box.registry.find("room-1")) is None or session.metrics.chunks_processed < lines:
            await asyncio.sleep(0.01)


def firm(messages: list[dict[str, Any]]) -> list[Any]:
    return [m.get("chunk_index", m["type"]) for m in messages if m["type"] in {"transcript", "gap"}]


async def say(speaker: aiohttp.ClientWebSocketResponse, lines: int = 1) -> None:
    for _ in range(lines):
        await speaker.send_bytes(ONE_LINE)


async def test_who_joins_late_has_what_was_said_before_and_what_comes(box: Box):
    speaker = await speak(box)
    await say(speaker, 2)
    await until(box, 2)
    listener = await box.connect("/ws/listen/room-1")
    first = await listener.receive_json()
    await say(speaker, 1)
    await speaker.send_json({"type": "lost", "samples": RATE})
    await speaker.send_json({"type": "end_session"})
    rest = await read(listener)

    assert first["type"] == "listening"
    assert (first["session_id"], first["state"], first["live"]) == ("room-1", "recording", True)
    assert firm(rest) == [0, 1, 2, "gap"]
    assert rest[-1]["type"] == "session_ended"
    assert listener.close_code == 1000


async def test_many_who_join_at_random_and_read_at_random_speeds_have_the_same(box: Box):
    chance = random.Random(7)  # noqa: S311 - the same every time
    speaker = await speak(box)
    await say(speaker, 1)
    await until(box, 1)

    async def listen(after: float, pause: float) -> list[Any]:
        await asyncio.sleep(after)
        told = []
        listener = await box.connect("/ws/listen/room-1", max_msg_size=1 << 20)
        async for message in listener:
            told.append(json.loads(message.data))
            await asyncio.sleep(pause)
        assert listener.close_code == 1000
        return told

    listeners = [
        asyncio.create_task(listen(chance.random() * 0.8, chance.choice([0, 0, 0.01]))) for _ in range(12)
    ]
    for _ in range(20):
        await say(speaker, 1)
        await asyncio.sleep(chance.random() * 0.05)
    await speaker.send_json({"type": "end_session"})
    told = await asyncio.wait_for(asyncio.gather(*listeners), 20)
    said = firm(await read(speaker))

    assert len(said) == 21
    assert all(firm(messages) == said for messages in told)
    assert all(messages[-1]["type"] == "session_ended" for messages in told)


async def test_a_stored_session_is_told_and_the_connection_closed(box: Box):
    speaker = await speak(box)
    await say(speaker, 2)
    await speaker.send_json({"type": "end_session"})
    said = await read(speaker)
    listener = await box.connect("/ws/listen/room-1")
    told = await read(listener)

    assert [m["type"] for m in told] == ["listening", "transcript", "transcript", "session_ended"]
    assert told[0]["state"] == "ended"
    assert not told[0]["live"]
    assert [m["text"] for m in told if m["type"] == "transcript"] == [
        m["text"] for m in said if m["type"] == "transcript"
    ]
    assert told[-1]["reason"] == "client"
    assert listener.close_code == 1000


async def test_the_open_utterance_is_shown_unless_it_is_not_wanted(box: Box):
    speaker = await speak(box)
    without = await box.connect("/ws/listen/room-1?partials=0")
    listener = await box.connect("/ws/listen/room-1")
    await listener.receive_json()
    for _ in range(8):
        await speaker.send_bytes(to_pcm16(speech(0.25)))
        await asyncio.sleep(0.1)
    await speaker.send_json({"type": "end_session"})

    assert "partial" in {m["type"] for m in await read(listener)}
    assert "partial" not in {m["type"] for m in await read(without)}
    assert "partial" not in {m["type"] for m in await read(speaker)}


def by_rank(request: Request) -> Heard:
    return heard(request, "It hurts there." if request.rank is Rank.BACKGROUND else "It hurts here.")


async def test_who_asks_is_told_the_refined_text_live_and_afterwards(open_box: Open):
    box = await open_box(refine=30, engine=Engine(by_rank))
    speaker = await speak(box)
    listener = await box.connect("/ws/listen/room-1?refined=1")
    await speaker.send_bytes(to_pcm16(speech(6)))
    await speaker.send_bytes(to_pcm16(silence(1)))
    await speaker.send_json({"type": "end_session"})
    live = await read(listener)
    later = await read(await box.connect("/ws/listen/room-1?refined=1"))

    assert [m["type"] for m in live[-2:]] == ["session_ended", "refined"]
    assert [m["type"] for m in later[-2:]] == ["session_ended", "refined"]
    assert live[-1]["text"] == later[-1]["text"]
    assert "there" in later[-1]["text"]
    assert "here" in " ".join(m["text"] for m in later if m["type"] == "transcript")


async def test_who_joins_between_the_end_and_the_refined_text_is_told_it_when_it_is_there(open_box: Open):
    gate = asyncio.Event()

    class Gated(Engine):
        async def decode(self, request: Request) -> Heard:
            if request.rank is Rank.BACKGROUND:
                await gate.wait()
            return await super().decode(request)

    box = await open_box(refine=30, engine=Gated(by_rank))
    speaker = await speak(box)
    await speaker.send_bytes(to_pcm16(speech(6)))
    await speaker.send_bytes(to_pcm16(silence(1)))
    await speaker.send_json({"type": "end_session"})
    await read(speaker)
    listener = await box.connect("/ws/listen/room-1?refined=1")
    told = [await listener.receive_json()]
    while told[-1]["type"] != "session_ended":
        told.append(await listener.receive_json())
    gate.set()
    rest = await read(listener)

    assert [m["type"] for m in told] == ["listening", "transcript", "transcript", "session_ended"]
    assert [(m["type"], m["state"]) for m in rest] == [("refined", "done")]
    assert "there" in rest[0]["text"]


async def test_a_pause_is_told_to_all_and_to_who_joins_during_it(box: Box):
    speaker = await speak(box)
    listener = await box.connect("/ws/listen/room-1")
    await listener.receive_json()
    await speaker.send_json({"type": "pause"})
    assert (await speaker.receive_json())["state"] == "paused"
    assert (await listener.receive_json())["state"] == "paused"
    await speaker.send_bytes(ONE_LINE)
    refused = await speaker.receive_json()
    assert (refused["type"], refused["code"]) == ("error", "paused")
    late = await box.connect("/ws/listen/room-1")
    assert (await late.receive_json())["state"] == "paused"
    await speaker.send_json({"type": "resume_recording"})
    assert (await speaker.receive_json())["state"] == "recording"
    await speaker.send_bytes(ONE_LINE)
    await speaker.send_json({"type": "end_session"})
    assert firm(await read(speaker)) == [0]


async def test_a_client_that_comes_back_to_a_paused_session_is_told_so(box: Box):
    speaker = await speak(box)
    await speaker.send_json({"type": "pause"})
    await speaker.receive_json()
    speaker._response.connection.transport.abort()  # type: ignore[union-attr]
    async with asyncio.timeout(5):
        while not (session := box.registry.find("room-1")) or not session.deserted:
            await asyncio.sleep(0.01)
    back = await box.connect("/ws/transcribe/room-1")
    connected = await back.receive_json()

    assert connected["resumed"]
    assert connected["paused"]


@pytest.mark.parametrize("how", ["message", "rest"])
async def test_a_discarded_session_ends_for_all_and_nothing_of_it_is_left(box: Box, how: str):
    speaker = await speak(box)
    listener = await box.connect("/ws/listen/room-1")
    await say(speaker, 2)
    await until(box, 2)
    if how == "message":
        await speaker.send_json({"type": "discard_session"})
    else:
        async with box.http.post(f"{box.url}/api/v1/sessions/room-1/discard") as answer:
            assert answer.status == 200
    for socket in (speaker, listener):
        told = await read(socket)
        assert (told[-1]["type"], told[-1]["reason"]) == ("session_ended", "discarded")
        assert socket.close_code == 1000
    assert await box.sessions.get("room-1") is None
    again = await box.connect("/ws/transcribe/room-1")
    assert (await again.receive_json())["code"] == "session_discarded"
    async with box.http.post(f"{box.url}/api/v1/sessions/room-1/discard") as answer:
        assert answer.status == 404


async def test_nobody_listens_to_what_is_not_there_or_from_another_site(box: Box):
    listener = await box.connect("/ws/listen/nowhere")
    assert (await listener.receive_json())["code"] == "no_such_session"
    assert (await listener.receive()).type is aiohttp.WSMsgType.CLOSE
    assert listener.close_code == 1008
    await speak(box)
    for origin in ("http://elsewhere.example", "null"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await box.connect("/ws/listen/room-1", origin=origin)
        assert refused.value.status == 403


async def test_a_recording_that_is_still_being_heard_is_no_session_to_listen_to(box: Box):
    await box.sessions.create(
        "visit-9", connected_at=datetime.now(UTC), client="upload", language="en", model="scripted"
    )
    listener = await box.connect("/ws/listen/visit-9")
    told = await listener.receive_json()
    assert (told["code"], told["retry_after"]) == ("not_live", 5)
    await listener.receive()
    assert listener.close_code == 1013


async def test_who_listens_stands_in_the_audit_and_pings_are_answered(box: Box):
    await speak(box)
    listener = await box.connect("/ws/listen/room-1")
    assert (await listener.receive_json())["type"] == "listening"
    await listener.send_json({"type": "ping"})
    assert (await listener.receive_json())["type"] == "pong"
    async with box.http.get(f"{box.url}/api/v1/audit") as answer:
        deeds = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert ("transcript.read", "room-1") in {(deed["action"], deed["object"]) for deed in deeds}


async def test_a_listener_that_leaves_is_forgotten(box: Box):
    speaker = await speak(box)
    listener = await box.connect("/ws/listen/room-1")
    await listener.receive_json()
    session = box.registry.find("room-1")
    assert session is not None
    assert session.hub.wants("partial")
    await listener.close()
    async with asyncio.timeout(5):
        while session.hub.wants("partial"):
            await asyncio.sleep(0.01)
    await speaker.close()
