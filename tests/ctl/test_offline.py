"""``ambientctl transcribe --offline`` against a scripted daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripted_daemon import ScriptedDaemon, running

from ambientd.ctl import main
from ambientd.ctl import offline as module


def stand(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "r-1", "state": state, "progress": 0.5, "seconds_done": 3.0, "error": None} | more


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDaemon]:
    monkeypatch.setattr(module, "POLL", 0.01)

    async def nobody(*_: Any) -> None: ...

    with running(nobody) as scripted:
        yield scripted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "visit.flac"
    path.write_bytes(b"fLaC" + bytes(100))
    return path


def run(daemon: ScriptedDaemon, file: Path, *options: str) -> Result:
    assert threading.current_thread() is threading.main_thread()
    return CliRunner().invoke(main, ["transcribe", str(file), "--offline", "--url", daemon.url, *options])


def test_the_file_is_sent_as_it_is_and_its_text_written(daemon: ScriptedDaemon, file: Path):
    daemon.recordings = [stand("queued"), stand("running"), stand("done", text="It hurts here.")]
    result = run(daemon, file)
    assert result.exit_code == 0, result.output
    assert result.stdout == "It hurts here.\n"
    assert "3.0 s of audio, 3 words, session r-1" in result.stderr
    assert daemon.received == file.read_bytes()


def test_the_text_goes_into_a_file_in_another_format(daemon: ScriptedDaemon, file: Path, tmp_path: Path):
    daemon.recordings = [stand("done", text="It hurts here.")]
    daemon.documents["srt"] = "1\n00:00:00,000 --> 00:00:01,000\nIt hurts here.\n"
    result = run(daemon, file, "--format", "srt", "--output", str(tmp_path / "visit.srt"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "visit.srt").read_text() == daemon.documents["srt"]


def test_a_refusal_is_told_with_its_reason(daemon: ScriptedDaemon, file: Path):
    result = run(daemon, file)
    assert result.exit_code == 1
    assert "no recording" in result.stderr


def test_what_was_not_heard_to_its_end_fails(daemon: ScriptedDaemon, file: Path):
    daemon.recordings = [stand("failed", error="the disk is full", text="It")]
    result = run(daemon, file)
    assert result.exit_code == 1
    assert "not heard to its end (failed)" in result.stderr
    assert "the disk is full" in result.stderr


def test_a_note_of_what_could_not_be_read_is_shown(daemon: ScriptedDaemon, file: Path):
    daemon.recordings = [stand("done", text="It", error="only its first 3.0 s can be read")]
    assert "note: only its first 3.0 s can be read" in run(daemon, file).stderr


def test_the_daemon_names_the_session(daemon: ScriptedDaemon, file: Path):
    assert "--session-id" in run(daemon, file, "--session-id", "room-1").stderr
