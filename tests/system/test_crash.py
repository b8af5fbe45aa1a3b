"""The plug is pulled in the middle: every line that was shown is there afterwards."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from running import DATA, Daemon

from ambientd.core.audio import to_pcm16

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def visit() -> bytes:
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    return to_pcm16(audio)


async def shown_until(daemon: Daemon, name: str, pcm: bytes, lines: int) -> list[str]:
    """Streams until so many lines have been shown, then returns at once."""
    shown: list[str] = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/transcribe/{name}") as socket,
    ):
        for at in range(0, len(pcm), 8192):
            await socket.send_bytes(pcm[at : at + 8192])
        while len(shown) < lines:
            message = await asyncio.wait_for(socket.receive_json(), 30)
            if message["type"] == "transcript":
                shown.append(message["text"])
        daemon.kill()
    return shown


def state_of(path: Path, name: str) -> tuple[str, str]:
    with sqlite3.connect(path / "ambientd.db") as file:
        assert file.execute("PRAGMA quick_check").fetchone() == ("ok",)
        state = file.execute(
            "SELECT state, end_reason FROM realtime_sessions WHERE session_id = ?", (name,)
        ).fetchone()
    file.close()
    return state


async def get(daemon: Daemon, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{daemon.url}/api/v1/sessions/{path}") as answer:
        return await answer.json()


async def lines_of(daemon: Daemon, name: str) -> list[str]:
    return [line["text"] for line in (await get(daemon, f"{name}/transcript?tier=live"))["lines"]]


async def test_after_kill_9_all_shown_lines_are_there_and_the_session_is_interrupted(
    own_daemon: Daemon, visit: bytes
):
    own_daemon.start()
    shown = await shown_until(own_daemon, "visit-1", visit, lines=2)
    own_daemon.start()

    lines = await lines_of(own_daemon, "visit-1")
    session = await get(own_daemon, "visit-1")

    assert lines[: len(shown)] == shown
    assert state_of(own_daemon.state, "visit-1") == ("interrupted", "crash")
    assert session["state"] == "interrupted"
    assert session["total_chunks"] == len(lines)


async def test_sigterm_decodes_what_is_there_tells_the_client_and_ends_within_20_seconds(
    own_daemon: Daemon, visit: bytes
):
    own_daemon.start()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{own_daemon.ws}/ws/transcribe/v") as socket:
        await socket.receive_json()
        for at in range(0, 12 * 32_000, 8192):
            await socket.send_bytes(visit[at : at + 8192])
        await socket.send_json({"type": "ping"})
        while (await asyncio.wait_for(socket.receive_json(), 10))["type"] != "pong":
            pass
        took = asyncio.create_task(asyncio.to_thread(own_daemon.stop))
        messages = []
        while (message := await asyncio.wait_for(socket.receive(), 20)).type is aiohttp.WSMsgType.TEXT:
            messages.append(message.json())

    assert await took < 20
    assert [m["type"] for m in messages][-2:] == ["transcript", "session_ended"]
    assert messages[-1]["reason"] == "shutdown"
    assert socket.close_code == 1001
    assert state_of(own_daemon.state, "v") == ("ended", "shutdown")
    own_daemon.start()
    assert (await lines_of(own_daemon, "v"))[-1] == messages[-2]["text"]


async def test_no_word_of_the_visit_can_be_read_on_the_disk(own_daemon: Daemon, visit: bytes):
    """Not in the log, the database, its write-ahead log or anything else beside it: in use, after a crash, at rest."""
    own_daemon.environment["LOG_LEVEL"] = "DEBUG"
    own_daemon.start()
    shown = await shown_until(own_daemon, "visit-1", visit, lines=3)
    words = {"ibuprofen", "stomach", "alvarez", "breakfast", "metformin"}
    assert [word for word in words if word in " ".join(shown).lower()]

    assert readable(own_daemon.state, words) == []  # as the kill left it
    own_daemon.start()
    assert readable(own_daemon.state, words) == []
    own_daemon.stop()
    assert readable(own_daemon.state, words) == []
    assert (own_daemon.state / "ambientd.db").stat().st_size > len(" ".join(shown))


def readable(folder: Path, words: set[str]) -> list[tuple[str, str]]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"ambientd.db", "log"}
    return [
        (file.name, word) for file in files for word in words if word.encode() in file.read_bytes().lower()
    ]


async def test_a_burst_of_noise_gives_no_word(own_daemon: Daemon):
    own_daemon.start()
    noise = np.random.default_rng(1).standard_normal(20 * 16_000).astype(np.float32)
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{own_daemon.ws}/ws/transcribe") as socket:
        await socket.receive_json()
        for level in (0.0, 0.003, 0.05):
            await socket.send_bytes(to_pcm16(level * noise)[:262_144])
        await socket.send_json({"type": "end_session"})

        assert (await asyncio.wait_for(socket.receive_json(), 20))["type"] == "session_ended"
