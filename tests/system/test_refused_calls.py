"""The daemon does its work where the sandbox refuses what systemd calls @resources."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp
import jiwer
import pytest
import refusal
import soundfile
from running import DATA, Daemon

from ambientd.core.audio import to_pcm16

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not refusal.possible(), reason=refusal.WHY),
]


@pytest.fixture
def sandboxed(own_daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon that is refused these calls from before its first line on."""
    python = tmp_path / "python"
    program = tmp_path / "sandboxed.py"
    program.write_text(f"{refusal.SCRIPT}\nimport runpy\nrunpy.run_module('ambientd', run_name='__main__')\n")
    python.write_text(f"#!/bin/sh\nexec {sys.executable} {program}\n")
    python.chmod(0o755)
    own_daemon.environment["PYTHONPATH"] = str(Path(__file__).parent.parent.parent)
    with monkeypatch.context() as patched:
        patched.setattr("running.sys.executable", str(python))
        own_daemon.start()
    return own_daemon


async def test_it_starts_transcribes_and_reads_files(sandboxed: Daemon):
    visit, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    async with aiohttp.ClientSession(sandboxed.url) as http:
        async with http.ws_connect("/ws/transcribe/sandboxed") as socket:
            pcm = to_pcm16(visit[: 9 * 16_000])
            for at in range(0, len(pcm), 32_000):
                await socket.send_bytes(pcm[at : at + 32_000])
            await socket.send_json({"type": "end_session"})
            texts = [
                message.json()["text"]
                async for message in socket
                if message.type is aiohttp.WSMsgType.TEXT and message.json()["type"] == "transcript"
            ]
        words = "good morning mrs alvarez what brings you in today"
        heard = " ".join(texts).lower().replace(",", "").replace(".", "").replace("?", "")
        assert jiwer.wer(words, " ".join(heard.split()[:9])) < 0.3

        async with http.post("/api/v1/transcriptions", data=(DATA / "visit.flac").read_bytes()) as answer:
            assert answer.status == 202, await answer.text()
    assert "Traceback" not in sandboxed.log
