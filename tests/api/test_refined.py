"""The second hearing as a client sees it, on a real store with a scripted engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from scripted import Engine, heard, silence, speech
from served import Box, Open

from ambientd.core.audio import to_pcm16
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.store.sessions import Sessions

SAID = to_pcm16(speech(6)) + to_pcm16(silence(1)) + to_pcm16(speech(6))


def by_rank(request: Request) -> Heard:
    return heard(request, "It hurts there." if request.rank is Rank.BACKGROUND else "It hurts here.")


@dataclass
class Gated(Engine):
    """Hears in the background only when it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def decode(self, request: Request) -> Heard:
        if request.rank is Rank.BACKGROUND:
            await self.gate.wait()
        return await super().decode(request)


async def converse(box: Box, path: str = "/ws/transcribe/room-1") -> tuple[list[dict[str, Any]], int | None]:
    """All messages of a session, and the code the socket closed with."""
    socket = await box.connect(path)
    for at in range(0, len(SAID), 32_000):
        await socket.send_bytes(SAID[at : at + 32_000])
    await socket.send_str(json.dumps({"type": "end_session"}))
    messages = [
        json.loads(message.data) async for message in socket if message.type is aiohttp.WSMsgType.TEXT
    ]
    return messages, socket.close_code


async def read(box: Box, what: str) -> Any:
    async with box.http.get(f"{box.url}/api/v1/sessions/room-1{what}") as answer:
        return await answer.json()


async def until(box: Box, state: str) -> None:
    async with asyncio.timeout(5):
        while (await read(box, ""))["refinement"] != state:
            await asyncio.sleep(0.02)


async def test_who_asked_is_told_the_refined_text_after_the_end_and_then_the_socket_closes(open_box: Open):
    box = await open_box(refine=30, engine=Engine(by_rank))
    messages, code = await converse(box, "/ws/transcribe/room-1?refined=1")
    assert [message["type"] for message in messages[-2:]] == ["session_ended", "refined"]
    assert messages[-1]["state"] == "done"
    assert set(messages[-1]["text"].split(".")) == {"It hurts there", ""}
    assert {segment["language"] for segment in messages[-1]["segments"]} == {"en"}
    assert code == 1000


async def test_who_did_not_ask_is_let_go_at_once_and_the_session_is_refined_all_the_same(open_box: Open):
    engine = Gated(by_rank)
    box = await open_box(refine=30, engine=engine)
    messages, code = await converse(box)
    assert "refined" not in {message["type"] for message in messages}
    assert code == 1000
    assert (await read(box, ""))["refinement"] == "waiting"
    engine.gate.set()
    await until(box, "done")


async def test_each_tier_of_the_text_can_be_read_and_the_final_one_is_the_refined(open_box: Open):
    box = await open_box(refine=30, engine=Engine(by_rank))
    await converse(box, "/ws/transcribe/room-1?refined=1")
    assert "there" not in (await read(box, "/transcript?tier=live"))["text"]
    assert "here." not in (await read(box, "/transcript?tier=refined"))["text"].replace("there.", "")
    final = await read(box, "/transcript")
    assert final["text"] == (await read(box, "/transcript?tier=refined"))["text"]
    assert (await Sessions(box.database).text("room-1")) == final["text"]
    async with box.http.get(f"{box.url}/api/v1/sessions/room-1/transcript?tier=best") as answer:
        assert answer.status == 400
    async with box.http.get(f"{box.url}/api/v1/sessions/room-1/transcript?format=srt") as answer:
        assert "there" in await answer.text()


async def test_a_session_whose_time_is_up_keeps_its_live_text_and_says_so(open_box: Open):
    box = await open_box(refine=0.2, engine=Gated(by_rank))
    messages, code = await converse(box, "/ws/transcribe/room-1?refined=1")
    assert messages[-1] | {"type": "refined", "state": "skipped", "text": ""} == messages[-1]
    assert code == 1000
    assert (await read(box, ""))["refinement"] == "skipped"
    async with box.http.get(f"{box.url}/api/v1/sessions/room-1/transcript?tier=refined") as answer:
        assert answer.status == 404
    assert "here" in (await read(box, "/transcript"))["text"]
    assert box.refiner.shelf.used == 0


async def test_a_session_that_is_not_refined_says_none(open_box: Open):
    box = await open_box()
    messages, _ = await converse(box, "/ws/transcribe/room-1?refined=1")
    assert messages[-1]["type"] == "session_ended"
    assert (await read(box, ""))["refinement"] == "none"


async def test_an_ephemeral_session_is_never_kept_for_a_second_hearing(open_box: Open):
    box = await open_box(refine=30, ephemeral=True)
    await converse(box, "/ws/transcribe/room-1?refined=1")
    assert box.refiner.shelf.used == 0
    assert box.refiner.sessions == 0


async def test_a_session_is_refined_while_it_goes_on(open_box: Open):
    box = await open_box(refine=30, engine=Engine(by_rank))
    socket = await box.connect("/ws/transcribe/room-1")
    for _ in range(90):
        await socket.send_bytes(to_pcm16(speech(1)))
    async with asyncio.timeout(10):
        while box.refiner.refined_samples < 60 * 16_000:
            await asyncio.sleep(0.02)
    assert box.refiner.backlog < 30 * 16_000
    assert box.refiner.shelf.used < 40 * 32_000
    await socket.close()


async def test_when_memory_is_short_the_oldest_keeps_its_live_words(open_box: Open):
    engine = Gated(by_rank)
    box = await open_box(refine=30, engine=engine, memory=1 << 20)
    socket = await box.connect("/ws/transcribe/room-1?refined=1")
    for _ in range(80):
        await socket.send_bytes(to_pcm16(speech(1)))
    await socket.send_str(json.dumps({"type": "end_session"}))
    async for message in socket:
        if json.loads(message.data)["type"] == "session_ended":
            engine.gate.set()
        last = json.loads(message.data)
    assert (last["type"], last["state"]) == ("refined", "done")
    assert 40 < last["kept_seconds"] < 60
    assert last["text"].startswith("It hurts here.")
    assert last["text"].endswith("It hurts there.")
    assert box.refiner.shelf.lost > 40 * 16_000


async def test_live_text_does_not_wait_while_the_second_hearing_hangs(open_box: Open):
    engine = Gated(by_rank)
    box = await open_box(refine=30, engine=engine)
    socket = await box.connect("/ws/transcribe/room-1")
    async with asyncio.timeout(5):
        for _ in range(60):
            await socket.send_bytes(to_pcm16(speech(1)))
        lines = 0
        while lines < 12:
            lines += json.loads((await socket.receive()).data)["type"] == "transcript"
    await socket.close()
    # All of it was committed while not one background decode came back.
    assert lines == 12
    assert not engine.gate.is_set()


async def test_a_shutdown_leaves_what_waits_with_its_live_text_and_tells_who_asked(open_box: Open):
    box = await open_box(refine=30, engine=Gated(by_rank))
    talking = asyncio.create_task(converse(box, "/ws/transcribe/room-1?refined=1"))
    await until_waiting(box)
    await box.refiner.close()
    messages, code = await talking
    assert (messages[-1]["type"], messages[-1]["state"], code) == ("refined", "skipped", 1000)
    assert (await read(box, ""))["refinement"] == "skipped"


async def until_waiting(box: Box) -> None:
    async with asyncio.timeout(5):
        while not box.refiner.waiting:
            await asyncio.sleep(0.02)


async def test_an_id_used_before_leaves_the_session_that_waits_alone(open_box: Open):
    engine = Gated(by_rank)
    box = await open_box(refine=30, engine=engine)
    await converse(box)
    socket = await box.connect("/ws/transcribe/room-1")
    assert json.loads((await socket.receive()).data)["code"] == "session_exists"
    engine.gate.set()
    await until(box, "done")
    assert box.refiner.shelf.used == 0
