"""``ambientctl transcribe``: what the user sees, on a terminal and in a pipe."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from scripted_daemon import CONNECTED, ScriptedDaemon, Socket, partial, running, transcript

from ambientd.ctl import main

PROGRAM = [sys.executable, "-c", "from ambientd.ctl import main; main()", "transcribe"]

FIRST = "Good morning, what brings you in today?"
SECOND = "I have had a cough."


async def visit(ws: Socket, daemon: ScriptedDaemon) -> None:
    """Two lines: one while the audio comes, one after its end; each open for a moment first."""
    await ws.send_json(CONNECTED)
    await ws.receive()
    await ws.send_json(partial("Good mor", 0.2, 0.9))
    await asyncio.sleep(0.1)
    await ws.send_json(transcript(0, FIRST, 0.2, 2.0, confidence=0.9))
    await ws.send_json(partial("I have", 65.0, 66.0))
    await daemon.until_end(ws)
    await ws.send_json(transcript(1, SECOND, 65.0, 67.0, confidence=0.5))
    await ws.send_json({"type": "session_ended", "message": "Session ended."})
    await ws.close()


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    with running(visit) as scripted:
        yield scripted


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """0.5 s, in stereo, at a rate and in a format that must be converted."""
    path = tmp_path / "visit.flac"
    soundfile.write(path, np.zeros((22050, 2), np.float32), 44100)
    return path


def run(daemon: ScriptedDaemon, recording: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["transcribe", str(recording), "--url", daemon.url, *options])


class TestPiped:
    def test_lines_on_stdout_figures_on_stderr(self, daemon: ScriptedDaemon, recording: Path) -> None:
        result = run(daemon, recording)

        assert result.exit_code == 0, result.output
        assert result.stdout == f"00:00  {FIRST}\n01:05  {SECOND}\n"
        assert re.fullmatch(
            r"0\.5 s of audio, 12 words, mean confidence 0\.73, lag \d\.\d s\n", result.stderr
        )

    def test_all_audio_arrives_as_pcm(self, daemon: ScriptedDaemon, recording: Path) -> None:
        run(daemon, recording)

        first_block = 8192  # taken by the script itself
        assert daemon.audio_bytes + first_block == 8000 * 2
        assert daemon.texts == [{"type": "end_session"}]

    def test_the_session_has_the_name_it_was_given(self, daemon: ScriptedDaemon, recording: Path) -> None:
        run(daemon, recording, "--session-id", "room-7")

        assert daemon.paths == ["/ws/transcribe/room-7?partials=1"]

    def test_real_time_unless_told_otherwise(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        path = tmp_path / "two_seconds.wav"
        soundfile.write(path, np.zeros(32000, np.float32), 16000)
        times = []
        for options in ([], ["--fast"]):
            began = time.monotonic()
            result = run(daemon, path, *options)
            times.append(time.monotonic() - began)
            assert result.exit_code == 0

        assert times[0] >= 2.0
        assert times[1] < 1.5
        assert ", took " in result.stderr
        assert "lag" not in result.stderr

    def test_a_gap_is_marked_in_its_place(self, daemon: ScriptedDaemon, recording: Path) -> None:
        async def script(ws: Socket, daemon: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.send_json(
                {"type": "gap", "start_time": 3.0, "end_time": 5.5, "reason": "decode_timeout"}
            )
            await daemon.until_end(ws)
            await ws.close()

        daemon.script = script
        result = run(daemon, recording)

        assert result.stdout == "00:03  [2.5 s without text: decode_timeout]\n"

    def test_what_is_not_conversation_goes_to_stderr(self, daemon: ScriptedDaemon, recording: Path) -> None:
        async def script(ws: Socket, daemon: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.send_json({"type": "announcement", "message": "Maintenance\x1b[2J soon"})
            await ws.send_json({"type": "error", "message": "Odd bytes.", "code": "odd_bytes"})
            await ws.send_json({"type": "ack", "received_samples": 5})
            await daemon.until_end(ws)
            await ws.close()

        daemon.script = script
        result = run(daemon, recording)

        assert result.stdout == ""
        assert result.stderr.startswith(
            "announcement: Maintenance [2J soon\ndaemon: Odd bytes.\n0.5 s of audio, 0 words"
        )

    def test_text_cannot_steer_the_terminal(self, daemon: ScriptedDaemon, recording: Path) -> None:
        async def script(ws: Socket, daemon: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.send_json(transcript(0, "Oh\x1b]0;owned\x07 [bold]no[/bold]", 0, 1))
            await daemon.until_end(ws)
            await ws.close()

        daemon.script = script

        assert run(daemon, recording).stdout == "00:00  Oh ]0;owned  [bold]no[/bold]\n"


class TestFormats:
    @pytest.mark.parametrize("form", ["json", "srt", "vtt"])
    def test_the_stored_transcript_alone_on_stdout(
        self, daemon: ScriptedDaemon, recording: Path, form: str
    ) -> None:
        """The lines are not mixed into the document, and not into a file of error messages either."""
        daemon.documents[form] = f"the {form} document\n"
        result = run(daemon, recording, "--format", form)

        assert result.stdout == f"the {form} document\n"
        assert FIRST not in result.stderr
        assert daemon.paths[-1] == f"/api/v1/sessions/room-1/transcript?format={form}"

    def test_output_to_a_file_and_lines_as_ever(
        self, daemon: ScriptedDaemon, recording: Path, tmp_path: Path
    ) -> None:
        daemon.documents["srt"] = "the document: ü\n"
        result = run(daemon, recording, "--format", "srt", "--output", str(tmp_path / "visit.srt"))

        assert (tmp_path / "visit.srt").read_text("utf-8") == "the document: ü\n"
        assert FIRST in result.stdout

    def test_text_to_a_file(self, daemon: ScriptedDaemon, recording: Path, tmp_path: Path) -> None:
        result = run(daemon, recording, "--output", str(tmp_path / "visit.txt"))

        assert (tmp_path / "visit.txt").read_text("utf-8") == result.stdout

    def test_an_output_that_cannot_be_is_refused_first(
        self, daemon: ScriptedDaemon, recording: Path, tmp_path: Path
    ) -> None:
        result = run(daemon, recording, "--output", str(tmp_path / "no" / "such" / "folder.txt"))

        assert result.exit_code == 2
        assert "cannot be written" in result.stderr
        assert daemon.paths == []

    def test_a_document_the_daemon_does_not_give(self, daemon: ScriptedDaemon, recording: Path) -> None:
        result = run(daemon, recording, "--format", "srt")

        assert result.exit_code == 1
        assert "HTTP status 404" in result.stderr


class TestTrouble:
    def test_no_daemon(self, recording: Path) -> None:
        result = CliRunner().invoke(main, ["transcribe", str(recording), "--url", "http://127.0.0.1:9"])

        assert result.exit_code == 1
        assert "No ambientd answers at http://127.0.0.1:9." in result.stderr
        assert "make run" in result.stderr
        assert "systemctl start ambientd" in result.stderr

    def test_no_audio(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        """A wrong file does not open a session."""
        (tmp_path / "a.wav").write_text("not audio at all")
        result = run(daemon, tmp_path / "a.wav")

        assert result.exit_code == 1
        assert "a.wav is in no audio format known here" in result.stderr
        assert daemon.paths == []

    def test_half_a_file_is_heard_and_told(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        path = tmp_path / "a.flac"
        soundfile.write(path, np.random.default_rng(0).standard_normal(160_000) * 0.1, 16000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        result = run(daemon, path, "--fast")

        assert result.exit_code == 1
        assert SECOND in result.stdout
        assert "damaged or cut off" in result.stderr
        assert re.search(r"^4\.\d s of audio", result.stderr, re.MULTILINE)

    def test_refused(self, daemon: ScriptedDaemon, recording: Path) -> None:
        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.close(code=1013, message=b"100 of 100 connections are taken")

        daemon.script = script
        result = run(daemon, recording)

        assert result.exit_code == 1
        assert (
            result.stderr
            == "error: The daemon is busy: 100 of 100 connections are taken.\nTry again later.\n"
        )

    def test_lost_in_the_middle(self, daemon: ScriptedDaemon, recording: Path, tmp_path: Path) -> None:
        """What was heard until then is printed and kept."""

        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.send_json(transcript(0, FIRST, 0, 1))
            await ws.close(code=1001)

        daemon.script = script
        result = run(daemon, recording, "--output", str(tmp_path / "out.txt"))

        assert result.exit_code == 1
        assert FIRST in result.stdout
        assert FIRST in (tmp_path / "out.txt").read_text()
        assert "going away" in result.stderr

    def test_ended_by_somebody_else(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        """A session ended over REST or by its limit is no success if the file was not over."""
        path = tmp_path / "a.wav"
        soundfile.write(path, np.zeros(16000 * 60, np.float32), 16000)

        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.receive()
            await ws.send_json({"type": "session_ended", "message": "Session ended."})
            await ws.close()

        daemon.script = script
        result = run(daemon, path)

        assert result.exit_code == 1
        assert "before the end of the file" in result.stderr


class Terminal:
    """The program on a pseudo-terminal, and all it has shown."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        for switch in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            environment.pop(switch, None)
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def read(self, *, until: str | None = None, timeout: float = 20) -> str:
        """Read on until ``until`` is shown, or until the program has ended."""
        deadline = time.monotonic() + timeout
        while until is None or until not in self.shown:
            assert time.monotonic() < deadline, f"not shown in {timeout} s: {until}; only {self.shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._master, 65536).decode()
                except OSError:  # the other end is closed
                    break
        if until is None:
            self.process.wait(timeout)
        return self.shown


class TestTerminal:
    def test_open_utterance_dim_then_line_firm(self, daemon: ScriptedDaemon, recording: Path) -> None:
        with Terminal(str(recording), "--url", daemon.url) as terminal:
            shown = terminal.read()

        assert terminal.process.returncode == 0
        assert re.search(r"\x1b\[2m(\x1b\[\w+)*Good mor", shown)
        firm = re.search(r"([^\r\n]*)Good morning, what", shown)
        assert firm is not None
        assert not firm.group(1).endswith("\x1b[2m")
        assert shown.index("Good mor\x1b") < shown.index(FIRST)
        assert "12 words" in shown

    def test_the_open_utterance_is_gone_at_the_end(self, daemon: ScriptedDaemon, recording: Path) -> None:
        """Each partial's line is erased before what replaces it is written."""
        with Terminal(str(recording), "--url", daemon.url) as terminal:
            shown = terminal.read()

        after_partial = shown[shown.rindex("I have\x1b") :]
        assert "\x1b[2K" in after_partial[: after_partial.index(SECOND)]

    def test_ctrl_c_ends_the_session_and_shows_what_came(
        self, daemon: ScriptedDaemon, tmp_path: Path
    ) -> None:
        path = tmp_path / "long.wav"
        soundfile.write(path, np.zeros(16000 * 60, np.float32), 16000)
        with Terminal(str(path), "--url", daemon.url, "--output", str(tmp_path / "out.txt")) as terminal:
            terminal.read(until="I have")
            terminal.process.send_signal(signal.SIGINT)
            shown = terminal.read()

        assert terminal.process.returncode == 130
        assert daemon.texts == [{"type": "end_session"}]
        assert SECOND in shown
        assert "12 words" in shown
        assert SECOND in (tmp_path / "out.txt").read_text()

    def test_ctrl_c_twice_does_not_wait(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        path = tmp_path / "long.wav"
        soundfile.write(path, np.zeros(16000 * 60, np.float32), 16000)

        async def script(ws: Socket, daemon: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.send_json(transcript(0, FIRST, 0, 1))
            await daemon.until_end(ws)
            await ws.receive()  # the end is never confirmed

        daemon.script = script
        with Terminal(str(path), "--url", daemon.url) as terminal:
            terminal.read(until=FIRST)
            terminal.process.send_signal(signal.SIGINT)
            terminal.read(until="Ctrl-C again")
            terminal.process.send_signal(signal.SIGINT)
            shown = terminal.read()

        assert terminal.process.returncode == 130
        assert "7 words" in shown
        assert "Traceback" not in shown

    def test_a_reader_that_goes_away_is_no_crash(self, daemon: ScriptedDaemon, tmp_path: Path) -> None:
        """As in ``ambientctl transcribe visit.flac | head -1``."""
        path = tmp_path / "long.wav"
        soundfile.write(path, np.zeros(16000 * 60, np.float32), 16000)

        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            for index in range(100):
                await ws.send_json(transcript(index, FIRST, 0, 1))
                await asyncio.sleep(0.02)

        daemon.script = script
        with subprocess.Popen(
            [*PROGRAM, str(path), "--url", daemon.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == f"00:00  {FIRST}\n".encode()
            process.stdout.close()
            errors = process.stderr.read()
            process.wait(20)

        assert b"Traceback" not in errors
