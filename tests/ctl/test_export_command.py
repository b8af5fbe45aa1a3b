"""``ambientctl export``: what is written, where, and for whose eyes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scripted_daemon import ScriptedDaemon, Socket, running

from ambientd.ctl import main


async def silent(_socket: Socket, _daemon: ScriptedDaemon) -> None:
    """Nobody connects."""


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    with running(silent) as scripted:
        yield scripted


def run(daemon: ScriptedDaemon, *options: str) -> Result:
    return CliRunner().invoke(main, ["export", "visit 1", "--url", daemon.url, *options])


@pytest.mark.parametrize("form", ["text", "json", "srt", "vtt", "fhir"])
def test_the_document_goes_to_standard_output_as_it_came(daemon: ScriptedDaemon, form: str):
    daemon.documents[form] = "Grüße.\n"
    result = run(daemon, "--format", form)

    assert (result.exit_code, result.stdout) == (0, "Grüße.\n")
    assert daemon.paths == [f"/api/v1/sessions/visit%201/transcript?format={form}"]


def test_what_was_shown_live_can_be_had_too(daemon: ScriptedDaemon):
    daemon.documents["text"] = "said\n"

    assert run(daemon, "--tier", "live").exit_code == 0
    assert daemon.paths[0].endswith("?format=text&tier=live")


def test_a_file_is_for_its_owner_alone_and_replaced_whole(daemon: ScriptedDaemon, tmp_path: Path):
    daemon.documents["text"] = "said\r\n"
    target = tmp_path / "visit.txt"
    target.write_text("older")
    target.chmod(0o644)
    result = run(daemon, "--output", str(target))

    assert result.exit_code == 0
    assert target.read_bytes() == b"said\r\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_an_unknown_session_is_said_and_nothing_written(daemon: ScriptedDaemon, tmp_path: Path):
    result = run(daemon, "--output", str(tmp_path / "none"))

    assert result.exit_code == 1
    assert "no session of this id" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(daemon: ScriptedDaemon, tmp_path: Path):
    daemon.documents["text"] = "said\n"
    result = run(daemon, "--output", str(tmp_path / "no" / "where"))

    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr
