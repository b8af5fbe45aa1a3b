"""The whole way of the box's own microphone: PortAudio, the capturing process, a session, words."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jiwer
import numpy as np
import psutil
import pytest
import soundfile
from alsa import NAME, file_microphone, has_portaudio
from running import DATA, Daemon
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not has_portaudio(), reason="PortAudio (libportaudio2) is not installed"),
]

RATE = 16_000
SECONDS = 9
"""Of the visit: its first two turns."""


@pytest.fixture
def box(own_daemon: Daemon, tmp_path: Path) -> Daemon:
    visit, _ = soundfile.read(DATA / "visit.flac", dtype="int16")
    quiet = np.random.default_rng(3).integers(-20, 20, 60 * RATE).astype(np.int16)
    sound = np.concatenate((visit[: SECONDS * RATE], quiet))
    (tmp_path / "alsa").mkdir()
    own_daemon.environment |= {
        "ALSA_CONFIG_PATH": str(file_microphone(tmp_path / "alsa", sound)),
        "AMBIENTD_MICROPHONE__DEVICE": NAME,
        "AMBIENTD_MICROPHONE__CHANNEL": "1",
        "AMBIENTD_MICROPHONE__RATE": str(RATE),
    }
    own_daemon.start()
    return own_daemon


@pytest.fixture
async def http(box: Daemon) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(box.url) as session:
        yield session


async def get(http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with http.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def post(http: aiohttp.ClientSession, path: str, **fields: Any) -> dict[str, Any]:
    async with http.post(path, json=fields) as answer:
        assert answer.status in {200, 201}, await answer.text()
        return await answer.json()


async def until(http: aiohttp.ClientSession, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not holds(state := (await get(http, "/api/v1/status"))["microphone"]):
            await asyncio.sleep(0.1)
    return state


def child_of(daemon: Daemon) -> psutil.Process:
    assert daemon.process is not None
    (child,) = [
        each
        for each in psutil.Process(daemon.process.pid).children()
        if "ambientd.capture.child" in each.cmdline()
    ]
    return child


def words(text: str) -> str:
    return EnglishTextNormalizer()(text)


async def test_what_is_said_in_the_room_is_written_down_and_a_broken_process_leaves_a_gap(
    box: Daemon, http: aiohttp.ClientSession
):
    turns = json.loads((DATA / "visit.turns.json").read_text())
    script = " ".join(turn["text"] for turn in turns[:2])

    name = (await post(http, "/api/v1/microphone/start"))["session_id"]
    began = time.monotonic()
    await asyncio.sleep(SECONDS + 4)
    assert (await until(http, lambda state: state["status"] == "live"))["device"] == NAME

    os.kill(child_of(box).pid, signal.SIGKILL)
    state = await until(http, lambda state: state["restarts"] == 1 and state["status"] == "live")
    await asyncio.sleep(2)
    passed = time.monotonic() - began  # what was said until the order counts, however long its end takes
    await post(http, "/api/v1/microphone/stop")

    session = await get(http, f"/api/v1/sessions/{name}")
    stored = await get(http, f"/api/v1/sessions/{name}/transcript?tier=live")
    first = " ".join(line["text"] for line in stored["lines"] if line["start_time"] < SECONDS)
    assert jiwer.wer(words(script), words(first)) < 0.25
    assert 0 < session["metrics"]["gap_samples"] < 3 * RATE
    assert state["lost_seconds"] == pytest.approx(session["metrics"]["gap_samples"] / RATE, abs=0.01)
    # The plugin has no clock and gives its first second at once.
    assert session["metrics"]["received_samples"] / RATE == pytest.approx(passed, abs=1.5)

    assert "PortAudio" not in box.log
    assert "ALSA lib" not in box.log
    await until(http, lambda state: state["status"] == "off")
    assert not [each for each in psutil.Process(box.process.pid).children() if each.status() != "zombie"]


async def test_the_process_dies_with_the_daemon_and_no_sound_is_on_the_disk(
    box: Daemon, http: aiohttp.ClientSession, tmp_path: Path
):
    await post(http, "/api/v1/microphone/start")
    await until(http, lambda state: state["captured_seconds"] > 3)
    child = child_of(box)
    said = (tmp_path / "alsa" / "room.raw").read_bytes()[2 * RATE : 2 * RATE + 200]

    box.kill()

    _, alive = psutil.wait_procs([child], timeout=3)
    assert not alive
    for path in box.state.rglob("*"):
        if path.is_file() and path.parent.name != "alsa":
            assert said not in path.read_bytes(), path.name


async def test_a_box_without_a_microphone_runs_and_says_so(own_daemon: Daemon, tmp_path: Path):
    (tmp_path / "asound.conf").write_text("pcm.absent { type hw  card 31 }\n")
    own_daemon.environment |= {
        "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"),
        "AMBIENTD_MICROPHONE__DEVICE": "0d8c:0014",
    }
    own_daemon.start()
    async with aiohttp.ClientSession(own_daemon.url) as http:
        state = await until(http, lambda state: state["reason"] is not None)
        assert state["reason"] == "no_device"
        assert "0d8c:0014" in state["remedy"]
        async with http.get("/readyz") as answer:
            assert answer.status == 200
            assert "no_device" in str((await answer.json())["warnings"])
        figures = await (await http.get("/metrics")).text()
        assert 'ambientd_microphone_status{status="unavailable"} 1.0' in figures
        assert "ambientd_microphone_usable 0.0" in figures
        checks = (await get(http, "/api/v1/checks"))["checks"]
        (found,) = [each for each in checks if each["id"] == "capture.microphone"]
        assert "no device" in found["reason"]
        assert found["severity"] == "warning"
        async with http.post("/api/v1/microphone/start", json={}) as answer:
            assert answer.status >= 400
            assert "0d8c:0014" in await answer.text()
