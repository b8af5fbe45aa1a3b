"""The true way of the room's microphone: ALSA, PortAudio, the capturing process, the session, the words."""

from __future__ import annotations

import asyncio
import ctypes.util
import json
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from alsa import NAME, file_microphone
from running import DATA, Daemon

pytestmark = pytest.mark.model

if ctypes.util.find_library("portaudio") is None:
    pytest.skip("no libportaudio2 on this machine", allow_module_level=True)


@pytest.fixture
def room(own_daemon: Daemon) -> Daemon:
    """A daemon whose microphone gives the sample visit, again and again."""
    visit, _ = soundfile.read(DATA / "visit.flac", dtype="int16")
    folder = own_daemon.state / "room"
    folder.mkdir()
    own_daemon.environment |= {
        "ALSA_CONFIG_PATH": str(file_microphone(folder, np.concatenate([visit] * 4))),
        "AMBIENTD_MICROPHONE__DEVICE": NAME,
        "AMBIENTD_MICROPHONE__RATE": "16000",
        "AMBIENTD_MICROPHONE__CHANNEL": "1",
        "AMBIENTD_REFINEMENT__ENABLED": "false",
    }
    own_daemon.start()
    return own_daemon


async def call(daemon: Daemon, method: str, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.request(method, f"{daemon.url}/api/v1{path}") as answer:
        return answer.status, await answer.json()


async def follow(daemon: Daemon, session_id: str, *, lines: int | None = None) -> list[dict[str, Any]]:
    """What a reader is told, to the end or up to so many lines."""
    told: list[dict[str, Any]] = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/listen/{session_id}?partials=0") as socket,
    ):
        async for message in socket:
            told.append(json.loads(message.data))
            if lines is not None and len(firm(told)) >= lines:
                break
    return told


def firm(told: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in told if message["type"] == "transcript"]


async def test_words_of_the_room_reach_a_reader_and_the_store_and_a_crash_does_not_end_it(room: Daemon):
    status, answer = await call(room, "POST", "/microphone/start")
    assert status == 201, answer
    session_id = answer["session_id"]
    before = await asyncio.wait_for(follow(room, session_id, lines=1), 60)
    assert "Alvarez" in firm(before)[0]
    levels = [message["level"]["peak_dbfs"] for message in before if message["type"] == "microphone"]
    assert max(levels) > -20

    room.kill()
    room.start()
    _, told = await call(room, "GET", "/microphone")
    assert told["session"]["session_id"] == session_id
    assert told["session"]["reopened"]
    following = asyncio.create_task(follow(room, session_id))
    await asyncio.wait_for(follow(room, session_id, lines=2), 90)
    status, told = await call(room, "POST", "/microphone/stop")
    assert (status, told["session"], told["last"]["reason"]) == (200, None, "client")
    after = await asyncio.wait_for(following, 30)

    assert firm(after)[0] == firm(before)[0]
    assert after[-1]["type"] == "session_ended"
    assert any(message["type"] == "gap" and message["reason"] == "lost" for message in after)
    _, record = await call(room, "GET", f"/sessions/{session_id}/transcript?tier=live")
    assert [line["text"] for line in record["lines"]] == firm(after)
