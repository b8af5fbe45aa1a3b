"""``status``, ``logs``, ``version`` and ``diag`` where no daemon answers."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from ambientd import __version__
from ambientd.ctl import diag, main


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))
    monkeypatch.setenv("AMBIENTD_SERVER__PORT", "1")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def run(*arguments: str):
    return CliRunner().invoke(main, arguments)


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_status_says_why_there_is_nothing_to_tell():
    done = run("status")
    assert done.exit_code == 2
    assert "No daemon answers at http://127.0.0.1:1." in done.stdout
    assert "systemctl start ambientd" in done.stdout
    told = json.loads(run("status", "--json").stdout)
    assert (told["running"], told["status"]) == (False, "critical")
    assert told["remedy"]


def test_status_tells_what_systemd_knows_of_a_daemon_that_is_down(nothing_runs):
    program(nothing_runs, "systemctl", "echo LoadState=loaded; echo ActiveState=failed; echo Result=watchdog")
    done = run("status")
    assert "It has failed (watchdog)." in done.stdout


def test_logs_say_why_there_are_none(nothing_runs):
    done = run("logs")
    assert done.exit_code == 1
    assert "journalctl is not installed" in done.stderr
    program(nothing_runs, "journalctl", "exit 0")
    assert "systemd does not run" in run("logs").stderr
    program(nothing_runs, "systemctl", "echo LoadState=not-found")
    assert "is not installed" in run("logs").stderr


def test_logs_are_those_of_the_unit(nothing_runs, capfd):
    program(nothing_runs, "journalctl", 'echo "$@"; exit 3')
    program(nothing_runs, "systemctl", "echo LoadState=loaded")
    done = run("logs", "-n", "5", "--since", "-1h", "--json")
    assert done.exit_code == 3
    assert capfd.readouterr().out.split() == (
        ["--unit", "ambientd.service", "--no-pager", "--lines", "5", "--since", "-1h", "--output", "json"]
    )


def test_versions_for_people_and_programs():
    told = json.loads(run("version", "--json").stdout)
    assert told["ambientd"] == __version__
    assert run("version").stdout.splitlines()[0] == f"ambientd {__version__}"


def test_a_diagnosis_of_a_box_that_is_down_says_what_is_missing(tmp_path):
    file = tmp_path / "d.zip"
    done = run("diag", str(file))
    assert done.exit_code == 0
    assert "not in it: status.json: DaemonUnreachable" in done.stderr
    with zipfile.ZipFile(file) as archive:
        assert {"checks.json", "settings.toml", "versions.json", "missing.json"} <= set(archive.namelist())
        assert "status.json" not in archive.namelist()
    assert run("diag", str(file)).exit_code != 0  # never in the place of another file


def test_faulty_settings_are_counted_and_not_quoted(tmp_path):
    settings = tmp_path / "bad.toml"
    settings.write_text('[sync]\nprofile = "Maria Gonzalez"\n[Gonzalez]\n')
    file = tmp_path / "d.zip"
    done = run("--config", str(settings), "diag", str(file))
    assert done.exit_code == 0
    with zipfile.ZipFile(file) as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "Gonzalez" not in text
    assert "2 settings are faulty." in text


def test_the_sessions_at_the_microphone_are_not_in_a_diagnosis():
    take = {"session_id": "maria-1", "state": "recording"}
    told = {"checks": {}, "microphone": {"state": "live", "session": take, "last": {"session_id": "maria-0"}}}
    kept = diag._impersonal(told)
    assert kept["microphone"]["state"] == "live"
    assert "maria" not in json.dumps(kept)
