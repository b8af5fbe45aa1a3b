"""``ambientctl doctor`` with the daemon up, down, and with settings it cannot start with."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from ambientd.ctl import main
from ambientd.ctl.daemon import address


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(directory))
    monkeypatch.setenv("AMBIENTD_SERVER__PORT", "1")


def run(*arguments: str):
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_with_the_daemon_down_it_says_so_and_still_looks_at_the_rest():
    done = run("--json")
    told = json.loads(done.stdout)
    found = {each["id"]: each for each in told["checks"]}
    assert (done.exit_code, told["status"]) == (2, "critical")
    assert found["daemon.running"]["command"] == "systemctl start ambientd"
    assert {"engine.model", "store.disk", "server.port", "clock.synchronised", "systemd.unit"} <= found.keys()
    assert [each["severity"] for each in told["checks"]][:1] == ["critical"]


def test_each_finding_is_told_with_its_remedy_and_its_command():
    done = run()
    assert "No daemon answers" in done.stdout
    assert "$ systemctl start ambientd" in done.stdout
    assert "\x1b" not in done.stdout  # plain where nobody watches


def test_settings_the_daemon_would_not_start_with_are_a_finding(tmp_path, monkeypatch):
    file = tmp_path / "bad.toml"
    file.write_text('[server]\nport = "eight"\n')
    done = CliRunner().invoke(main, ["--config", str(file), "doctor", "--json"])
    found = {each["id"]: each for each in json.loads(done.stdout)["checks"]}
    assert found["settings.valid"]["severity"] == "critical"
    assert "server.port: must be a whole number" in found["settings.valid"]["reason"]


def test_the_control_socket_is_where_commands_go_by_themselves(tmp_path):
    directory = tmp_path / "state"
    with main.make_context("ambientctl", ["version"]):
        assert address() == "http://127.0.0.1:1"
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(directory / "control.sock"))
            assert address() == f"unix:{directory / 'control.sock'}"
