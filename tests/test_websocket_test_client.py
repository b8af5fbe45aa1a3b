"""The stand-alone test client: it plays, shows, obeys what is typed and ends with figures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scripted_daemon import CONNECTED, ScriptedDaemon, Socket, partial, running, transcript
from websocket_test_client import synthetic

PROGRAM = [sys.executable, str(Path(__file__).with_name("websocket_test_client.py"))]

INFO = {
    "type": "session_info",
    "session_id": "room-1",
    "connected_at": "2024-01-15T10:00:00Z",
    "total_chunks": 1,
    "full_transcript": "Good morning.",
    "metrics": {"chunks_processed": 1, "real_time_factor": 0.3},
}


async def session(ws: Socket, daemon: ScriptedDaemon) -> None:
    await ws.send_json(CONNECTED)
    await ws.send_json(partial("Good", 0.0, 0.2))
    await ws.send_json(transcript(0, "Good morning.", 0.0, 0.3))
    async for message in ws:
        if isinstance(message.data, bytes):
            daemon.audio_bytes += len(message.data)
            continue
        control = message.json()
        daemon.texts.append(control)
        if control["type"] == "ping":
            await ws.send_json({"type": "pong"})
        elif control["type"] == "session_info":
            await ws.send_json(INFO)
        elif control["type"] == "end_session":
            await ws.send_json({"type": "session_ended", "message": "Session ended."})
            await ws.close()


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    with running(session) as scripted:
        yield scripted


def run(daemon: ScriptedDaemon, *options: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    host, port = daemon.url.removeprefix("http://").split(":")
    return subprocess.run(
        [*PROGRAM, "--host", host, "--port", port, *options],
        input=typed,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_synthetic_audio_in_real_time(daemon: ScriptedDaemon) -> None:
    """As long as asked for, said to hold no words, and followed by the figures."""
    began = time.monotonic()
    result = run(daemon, "--duration", "1.5", "--session-id", "my-test-session")

    assert result.returncode == 0, result.stderr
    assert time.monotonic() - began >= 1.5
    assert daemon.audio_bytes == 1.5 * 32000
    assert daemon.paths == ["/ws/transcribe/my-test-session?partials=1"]
    assert "no words are expected" in result.stderr
    assert result.stdout == "00:00  Good morning.\n"
    assert "audio sent          1.5 s, 48000 bytes" in result.stderr
    assert "lines, words        1, 2" in result.stderr
    assert "real_time_factor = 0.3" in result.stderr


def test_a_file_at_any_rate(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    path = tmp_path / "conversation.mp3"
    soundfile.write(path, np.zeros((44100, 2), np.float32), 44100)

    assert run(daemon, "--audio-file", str(path)).returncode == 0
    assert daemon.audio_bytes == pytest.approx(32000, abs=2)


def test_what_is_typed_is_done(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Ping, info, a file that is there, one that is not, a slip, the end."""
    path = tmp_path / "a b.wav"
    soundfile.write(path, np.zeros(3200, np.float32), 16000)
    result = run(daemon, "--interactive", typed=f"ping\ninfo\nsend nowhere.wav\nhelp\nsend {path}\n\nend\n")

    assert result.returncode == 0, result.stderr
    kinds = [text["type"] for text in daemon.texts]
    assert kinds == ["ping", "session_info", "session_info", "end_session"]
    assert "pong" in result.stderr
    assert "room-1, since 2024-01-15T10:00:00Z" in result.stderr
    assert "nowhere.wav is not a file" in result.stderr
    assert result.stderr.count("commands: ping, info") == 3
    assert "Session ended." in result.stderr


def test_a_file_sent_by_hand_arrives(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(3200, np.float32), 16000)
    host, port = daemon.url.removeprefix("http://").split(":")
    with subprocess.Popen(
        [*PROGRAM, "--host", host, "--port", port, "--interactive"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f"send {path}\n")
        process.stdin.flush()
        while "all sent" not in process.stderr.readline():
            pass
        process.stdin.write("quit\n")
        process.stdin.flush()
        assert process.wait(20) == 0

    assert daemon.audio_bytes == 6400
    assert daemon.texts == []


def test_no_daemon() -> None:
    result = subprocess.run(
        [*PROGRAM, "--port", "9", "--duration", "1"], capture_output=True, text=True, timeout=30, check=False
    )

    assert result.returncode == 1
    assert "No ambientd answers at http://localhost:9" in result.stderr
    assert "Traceback" not in result.stderr


def test_synthetic_audio_sounds_and_pauses() -> None:
    audio = np.frombuffer(b"".join(synthetic(4.0)), "<i2").astype(np.float32) / 32768

    assert len(audio) == 64000
    assert 0.01 < np.sqrt(np.mean(audio[:40000] ** 2)) < 0.3
    assert not audio[40000:].any()
