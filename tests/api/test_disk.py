"""A disk of 64 MB is filled while sessions run: what was shown stays, and the box recovers by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from scripted import silence, speech
from small_disk import MEGABYTE, fill
from test_rest import finished, get

from ambientd.core.audio import to_pcm16
from ambientd.session import registry

SPEECH = to_pcm16(np.concatenate((speech(1.5), silence(1))))
LOW_WATER = 24 * MEGABYTE


class Room:
    """A client that speaks, and notes what it is shown."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.shown: list[str] = []
        self.errors: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            body = message.json()
            if body["type"] == "transcript":
                self.shown.append(body["text"])
            if body["type"] == "error":
                self.errors.append(body["message"])

    async def speak(self, lines: int) -> None:
        """Speaks until so many lines are shown, or the connection is closed."""
        wanted = len(self.shown) + lines
        while len(self.shown) < wanted and not self.reading.done():
            await self.socket.send_bytes(SPEECH)
            await asyncio.sleep(0.02)


async def opened(box, name: str) -> Room:
    socket = await box.connect(f"/ws/transcribe/{name}")
    assert (await socket.receive_json())["type"] == "connected"
    return Room(socket)


def stored(folder: Path, name: str) -> list[str]:
    """As read by somebody else; the file must be sound."""
    with closing(sqlite3.connect(folder / "test.db")) as shell:
        assert shell.execute("PRAGMA quick_check").fetchone() == ("ok",)
        (count,) = shell.execute(
            "SELECT count(*) FROM realtime_transcript_chunks WHERE session_id = ?", (name,)
        ).fetchone()
        return count


async def test_below_the_mark_new_sessions_are_refused_and_those_that_run_go_on(open_box, small_disk):
    box = await open_box(folder=small_disk, low_water=LOW_WATER)
    room = await opened(box, "running")
    filler = fill(small_disk, leave=8 * MEGABYTE)

    socket = await box.connect("/ws/transcribe/late")
    refusal = await socket.receive_json()
    assert (refusal["type"], refusal["code"]) == ("error", "disk_low")
    assert "Free space" in refusal["message"]
    await socket.receive()
    assert socket.close_code == 1013
    status, ready = await get(box, "/readyz")
    assert status == 503
    assert "nearly full" in ready["checks"]["disk"]
    async with box.http.get(f"{box.url}/metrics") as answer:
        text = await answer.text()
    assert 0 < float(text.split("\nambientd_disk_free_bytes ")[1].split("\n")[0]) < LOW_WATER

    async with asyncio.timeout(30):
        await room.speak(5)
    assert not room.errors
    await room.socket.send_json({"type": "end_session"})
    await asyncio.wait_for(room.reading, 10)

    filler.unlink()
    assert (await get(box, "/readyz"))[0] == 200
    await finished(box, "late")


async def test_full_to_the_last_byte(open_box, small_disk, monkeypatch):
    """Sessions end with a clear error; each line shown is there; once space is back all is on record, by itself."""
    monkeypatch.setattr(registry, "STORE_AGAIN", 0.1)
    box = await open_box(folder=small_disk, low_water=LOW_WATER)
    rooms = {name: await opened(box, name) for name in ("a", "b", "c")}
    async with asyncio.timeout(60):
        await asyncio.gather(*(room.speak(3) for room in rooms.values()))
        filler = fill(small_disk)
        await asyncio.gather(*(room.speak(5_000) for room in rooms.values()))
    for name, room in rooms.items():
        assert any("Free space" in error for error in room.errors)
        assert stored(small_disk, name) >= len(room.shown) >= 3
    # What is there can still be read.
    status, body = await get(box, "/api/v1/sessions/a/transcript")
    assert status == 200
    assert len(body["lines"]) >= len(rooms["a"].shown)

    filler.unlink()
    async with asyncio.timeout(10):
        while True:
            _, body = await get(box, "/api/v1/sessions")
            if all(session["state"] != "open" for session in body["sessions"]):
                break
            await asyncio.sleep(0.05)
    assert {session["state"] for session in body["sessions"]} == {"interrupted"}
    assert {session["reason"] for session in body["sessions"]} == {"error"}
    await finished(box, "after")
    async with asyncio.timeout(10):
        while (await get(box, "/api/v1/audit/verify"))[1]["broken_at"] is not None:
            await asyncio.sleep(0.1)


async def test_a_damaged_file_beside_the_database_is_told_until_somebody_moves_it(box):
    """The box works, so it is ready; a person is wanted all the same."""
    assert (await get(box, "/readyz"))[1]["warnings"] == []
    damaged = box.database.path.with_name(box.database.path.name + ".corrupt.20260115T100000Z")
    for suffix in ("", "-wal"):
        damaged.with_name(damaged.name + suffix).write_bytes(b"x")
    status, body = await get(box, "/readyz")
    assert status == 200
    (warning,) = body["warnings"]
    assert damaged.name in warning
    assert "move the file away" in warning
    async with box.http.get(f"{box.url}/metrics") as answer:
        assert "\nambientd_store_quarantined 1.0\n" in await answer.text()
    damaged.rename(damaged.with_name("elsewhere"))
    damaged.with_name(damaged.name + "-wal").unlink()
    assert (await get(box, "/readyz"))[1]["warnings"] == []
