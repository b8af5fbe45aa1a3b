"""The sample visit through the real engine: heard a second time, and sent as a file."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import jiwer
import pytest
import soundfile
from running import DATA, Daemon
from whisper_normalizer.english import EnglishTextNormalizer

from ambientd.core.audio import to_pcm16

pytestmark = pytest.mark.model

SCRIPT = " ".join(turn["text"] for turn in json.loads((DATA / "visit.turns.json").read_text()))


def errors(text: str) -> float:
    normalise = EnglishTextNormalizer()
    return jiwer.wer(*(normalise(each).replace("milligrams", "mg") for each in (SCRIPT, text)))


async def get(daemon: Daemon, path: str) -> dict:
    async with aiohttp.ClientSession() as http, http.get(daemon.url + path) as answer:
        return await answer.json()


async def test_a_session_is_refined_soon_after_its_end_and_its_final_text_is_the_refined(daemon: Daemon):
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    pcm = to_pcm16(audio)
    messages = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/transcribe/refined-visit?refined=1") as socket,
    ):
        for at in range(0, len(pcm), 32_000):
            await socket.send_bytes(pcm[at : at + 32_000])
        await socket.send_json({"type": "end_session"})
        while (message := await asyncio.wait_for(socket.receive(), 120)).type is aiohttp.WSMsgType.TEXT:
            messages.append(message.json())
            if messages[-1]["type"] == "session_ended":
                ended = time.monotonic()

    assert time.monotonic() - ended < 60
    assert [message["type"] for message in messages[-2:]] == ["session_ended", "refined"]
    assert messages[-1]["state"] == "done"
    assert errors(messages[-1]["text"]) < 0.08
    final = await get(daemon, "/api/v1/sessions/refined-visit/transcript")
    assert final["text"] == messages[-1]["text"]
    live = await get(daemon, "/api/v1/sessions/refined-visit/transcript?tier=live")
    assert live["text"] == " ".join(m["text"] for m in messages if m["type"] == "transcript")


async def test_a_file_is_heard_as_well_as_a_refined_session_and_leaves_no_other_file(daemon: Daemon):
    files = {path for path in daemon.state.rglob("*") if path.is_file()}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{daemon.url}/api/v1/transcriptions", data=(DATA / "visit.flac").open("rb")) as answer,
    ):
        assert answer.status == 202
        place = answer.headers["Location"]
    seen = []
    async with asyncio.timeout(180):
        while (outcome := await get(daemon, place))["state"] in {"queued", "running"}:
            seen.append(outcome["progress"])
            await asyncio.sleep(0.2)
    assert outcome["state"] == "done"
    assert seen == sorted(seen)
    assert errors(outcome["text"]) < 0.08
    assert {path for path in daemon.state.rglob("*") if path.is_file()} == files
