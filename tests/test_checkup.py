"""What is found wrong with a box by looking at it, with the daemon down."""

import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import MODELS

from ambientd import checkup
from ambientd.checkup import installed, machine, outside, stored
from ambientd.config import load
from ambientd.core.checks import Finding, Severity
from ambientd.store.audit import open_audit
from ambientd.store.database import open_database


@pytest.fixture
def settings(tmp_path: Path):
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return load(environ={"AMBIENTD_STORE__DIRECTORY": str(directory)})


@pytest.fixture
async def path(settings) -> Path:
    """A database that a daemon has made, and closed."""
    path = settings.store.directory / "ambientd.db"
    async with open_database(path) as database, open_audit(database) as audit:
        for number in range(5):
            await audit.record(actor="box", action="daemon.started", object=f"{number}")
    return path


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {each.id: each for each in findings}


async def test_a_sound_store_has_nothing_to_tell(settings, path):
    found = by_id([*stored.quick(settings), stored.chain(settings), stored.sound(settings)])
    wrong = {name: each for name, each in found.items() if each.severity in {"warning", "critical"}}
    assert wrong == {}
    assert found["audit.chain"].reason == "Unbroken over 5 rows."
    assert {"store.disk", "store.permissions", "store.key", "store.backups", "sync.outbox"} <= found.keys()


async def test_a_row_changed_in_the_audit_is_critical(settings, path):
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TRIGGER audit_log_is_not_changed")
        file.execute("UPDATE audit_log SET actor = 'nobody' WHERE number = 3")
        file.commit()
    found = stored.chain(settings)
    assert found.severity is Severity.CRITICAL
    assert "row 3" in found.reason


async def test_rows_missing_at_the_audits_end_are_missed(settings, path):
    with closing(sqlite3.connect(path)) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f"DROP TRIGGER {name}")
        file.execute("DELETE FROM audit_log WHERE number = 5")
        file.commit()
    assert "missing at the end" in stored.chain(settings).reason


async def test_a_key_that_is_gone_is_told_with_the_way_back(settings, path, monkeypatch):
    path.with_name("box.key").rename(path.with_name("elsewhere"))
    assert stored.key(path).severity is Severity.NOTE  # a shell cannot tell it from a credential
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent / "credentials"))
    found = stored.key(path)
    assert (found.severity, found.command) == (Severity.CRITICAL, "ambientctl key restore")


async def test_a_file_others_can_read_is_told_with_the_command_that_closes_it(settings, path):
    path.chmod(0o640)
    found = stored.permissions(path.parent)
    assert found.severity is Severity.WARNING
    assert found.command == f"chmod go= {path}"
    path.chmod(0o600)
    assert stored.permissions(path.parent).severity is Severity.OK


async def test_a_damaged_page_is_critical(settings, path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert stored.sound(settings).severity is Severity.CRITICAL


async def test_parked_deliveries_and_a_backup_long_ago_are_told(settings, path):
    old = (datetime.now(UTC) - timedelta(days=20)).isoformat().replace("+00:00", "Z")
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "INSERT INTO realtime_sessions (session_id, state, end_reason, connected_at, ended_at, client, language,"
            " model, sample_rate) VALUES ('s', 'ended', 'x', ?, ?, '', 'en', 'm', 16000)",
            (old, old),
        )
        file.execute(
            "INSERT INTO conversation_uploads (id, session_id, status, created_at) VALUES ('u', 's', 'parked', ?)",
            (old,),
        )
        file.commit()
    found = by_id(stored.quick(settings))
    assert "1 parked" in found["sync.outbox"].reason
    assert found["store.backups"].severity is Severity.WARNING


async def test_an_empty_place_is_no_fault(settings):
    found = by_id([*stored.quick(settings), stored.chain(settings), stored.sound(settings)])
    assert {each.severity for each in found.values()} <= {Severity.OK, Severity.NOTE}


def test_a_missing_model_is_critical_and_the_command_fetches_it(settings):
    found = installed.model(settings)
    assert (found.severity, found.command) == (Severity.CRITICAL, "ambientctl model fetch base")


def test_a_model_that_came_as_a_package_is_found(settings, tmp_path):
    if not (MODELS / "base-q8_0.json").is_file():
        pytest.skip("there is no model here (make model)")
    packaged = settings.model_copy(update={"models": settings.models.model_copy(update={"packaged": MODELS})})
    found = installed.model(packaged)
    assert (found.severity, found.reason) == (Severity.OK, "base-q8_0: its checksum is right.")


def test_without_portaudio_only_the_boxs_own_microphone_is_concerned(monkeypatch):
    monkeypatch.setattr(installed, "PORTAUDIO", "libnothing.so.9")
    found = installed.portaudio()
    assert (found.severity, found.command) == (Severity.WARNING, "apt install libportaudio2")


def test_sound_cards_are_told_from_those_that_cannot_record(tmp_path, monkeypatch):
    cards, pcm = tmp_path / "cards", tmp_path / "pcm"
    monkeypatch.setattr(machine, "CARDS", cards)
    monkeypatch.setattr(machine, "PCM", pcm)
    assert "no sound card" in machine.recorders().reason
    cards.write_text(" 0 [PCH ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel at 0xf7\n")
    pcm.write_text("00-03: HDMI 0 : HDMI 0 : playback 1\n")
    assert machine.cards() == ["HDA-Intel - HDA Intel PCH"]
    assert machine.recorders().severity is Severity.NOTE
    pcm.write_text("00-00: ALC269 Analog : ALC269 Analog : playback 1 : capture 1\n")
    assert machine.recorders().reason == "1 can record: ALC269 Analog."


def test_the_memory_of_a_crashed_daemon_is_found(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "DUMPS", tmp_path)
    assert machine.core_dumps(settings).severity is Severity.OK
    (tmp_path / "core.ambientd.997.zst").write_bytes(b"x")
    found = machine.core_dumps(settings)
    assert found.severity is Severity.WARNING
    assert "core.ambientd.997.zst" in found.reason


@pytest.mark.parametrize(
    ("state", "severity", "command"),
    [
        ({}, Severity.NOTE, ""),
        ({"LoadState": "not-found"}, Severity.NOTE, "apt install ./ambientd_*.deb"),
        ({"ActiveState": "failed", "Result": "exit-code"}, Severity.CRITICAL, "systemctl restart ambientd"),
        ({"ActiveState": "inactive"}, Severity.CRITICAL, "systemctl start ambientd"),
        ({"ActiveState": "activating"}, Severity.WARNING, "ambientctl logs"),
        (
            {"ActiveState": "active", "UnitFileState": "disabled"},
            Severity.WARNING,
            "systemctl enable ambientd",
        ),
        ({"ActiveState": "active", "NRestarts": "7"}, Severity.WARNING, "ambientctl logs"),
        ({"ActiveState": "active", "NRestarts": "0"}, Severity.OK, ""),
    ],
)
def test_what_systemd_says_becomes_a_finding(state, severity, command):
    whole = state and {"LoadState": "loaded", "UnitFileState": "enabled", **state}
    found = outside.unit(whole)
    assert (found.severity, found.command) == (severity, command)


def test_a_port_in_other_hands_is_critical(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        there = load(environ={"HOME": "/nowhere", "AMBIENTD_SERVER__PORT": str(number)})
        assert outside.port(there).severity is Severity.CRITICAL
    assert outside.port(there).severity is Severity.OK


async def test_the_daemons_look_reads_whole_files_once_in_a_while(settings, path, monkeypatch):
    times = []
    monkeypatch.setattr(checkup, "thorough", lambda _: times.append(1) or [])
    look = checkup.from_inside(settings)
    await look()
    found = await look()
    assert len(times) == 1
    assert "store.key" in by_id(list(found))
