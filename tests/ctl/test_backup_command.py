"""``ambientctl backup``, ``restore`` and ``purge``: with a daemon, and without one."""

from __future__ import annotations

import asyncio
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ambientd import config
from ambientd.ctl import main
from ambientd.errors import StoreUnavailable
from ambientd.store.audit import Audit
from ambientd.store.database import open_database

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.layers, "SYSTEM_FILE", tmp_path / "none.toml")
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


def run(*arguments: str, typed: str | None = None):
    return CliRunner().invoke(main, list(arguments), input=typed)


def make(path: Path) -> None:
    async def once() -> None:
        async with open_database(path):
            pass

    asyncio.run(once())


def test_a_backup_through_the_daemon(operated: Any, tmp_path: Path) -> None:
    target = tmp_path / "box.backup"
    ended = run("backup", str(target), "--url", operated.url)
    assert ended.exit_code == 0, ended.output
    assert "Sessions: 0 (0 not yet delivered), lines: 0" in ended.output
    assert "print a recovery key" in ended.output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes().startswith(b"ambientd backup 1")
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob("*.copying.*"))
    again = run("backup", str(target), "--url", operated.url)
    assert again.exit_code == 1
    assert "name another file" in again.output
    exported = run("audit", "export", "--url", operated.url).output
    assert exported.count("backup.made") == 1


def test_a_backup_without_a_daemon_and_back(tmp_path: Path) -> None:
    make(tmp_path / "ambientd.db")
    target = tmp_path / "box.backup"
    assert run("backup", str(target), "--url", NOWHERE).exit_code == 0
    assert "is whole" in run("restore", "--check", str(target)).output
    (tmp_path / "ambientd.db").unlink()
    ended = run("restore", str(target))
    assert ended.exit_code == 0, ended.output
    assert "Restored: sessions 0" in ended.output

    async def told() -> list[str]:
        async with open_database(tmp_path / "ambientd.db") as database:
            return [row.action for row in await Audit(database).entries()]

    assert asyncio.run(told())[-1] == "backup.restored"


def test_a_restore_that_would_lose_something_is_refused_and_names_it(tmp_path: Path) -> None:
    make(tmp_path / "ambientd.db")
    assert run("backup", str(tmp_path / "old"), "--url", NOWHERE).exit_code == 0
    assert run("backup", str(tmp_path / "new"), "--url", NOWHERE).exit_code == 0
    ended = run("restore", str(tmp_path / "old"))
    assert ended.exit_code == 1
    assert "rows of the audit" in ended.output
    assert "--force" in ended.output
    forced = run("restore", "--force", str(tmp_path / "old"))
    assert forced.exit_code == 0, forced.output
    assert "lost:" in forced.output
    assert ".replaced." in forced.output


def test_a_restore_while_the_daemon_runs_is_refused(operated: Any, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "b"), "--url", operated.url).exit_code == 0
    ended = run("restore", str(tmp_path / "b"))
    assert ended.exit_code == 1
    assert "another ambientd is using it" in ended.output


def test_with_no_daemon_and_no_database_it_says_so(tmp_path: Path) -> None:
    ended = run("backup", str(tmp_path / "b"), "--url", NOWHERE)
    assert ended.exit_code == 1
    assert "no database" in ended.output
    assert not (tmp_path / "b").exists()


def test_purging(operated: Any) -> None:
    assert "0 sessions would go" in run("purge", "--dry-run", "--url", operated.url).output
    assert "0 sessions" in run("purge", "--url", operated.url).output
    ended = run("purge", "--session", "none", "--url", operated.url)
    assert ended.exit_code == 1
    assert "no session has this id" in ended.output
    assert run("purge", "--force", "--url", operated.url).exit_code == 2


def test_a_daemon_that_does_not_answer_there_is_not_worked_around(operated: Any, tmp_path: Path) -> None:
    ended = run("backup", str(tmp_path / "b"), "--url", NOWHERE)
    assert ended.exit_code == 1
    assert "--url" in ended.output
    assert not (tmp_path / "b").exists()


def test_on_a_new_box_with_the_printed_recovery_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "ambientd.db")
    printed = "".join(line for line in run("key", "recovery").output.splitlines() if line.startswith("    "))
    assert run("backup", str(tmp_path / "taken"), "--url", NOWHERE).exit_code == 0
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path / "new-box"))
    without = run("restore", str(tmp_path / "taken"))
    assert without.exit_code == 1
    assert "--recovery-key" in without.output
    typed = "-".join(printed.split()).replace("--", "-") + "\n"
    ended = run("restore", "--recovery-key", str(tmp_path / "taken"), typed=typed)
    assert ended.exit_code == 0, ended.output
    assert "Restored" in ended.output
    assert (tmp_path / "new-box" / "box.key").exists()
    assert f"written to {tmp_path / 'new-box' / 'box.key'}, in clear" in ended.output


def test_where_the_key_is_a_credential_it_says_how_to_supply_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "ambientd.db")
    assert run("backup", str(tmp_path / "taken"), "--url", NOWHERE).exit_code == 0
    (tmp_path / "box.key").rename(tmp_path / "ambientd-box-key")
    form = "systemd-run --pipe --wait -p LoadCredentialEncrypted=ambientd-box-key ambientctl"
    for command in (("restore", str(tmp_path / "taken")), ("backup", str(tmp_path / "b"), "--url", NOWHERE)):
        without = run(*command)
        assert without.exit_code == 1
        assert form in without.output
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    ended = run("restore", "--force", str(tmp_path / "taken"))
    assert ended.exit_code == 0, ended.output
    assert not (tmp_path / "box.key").exists()


def test_a_restore_that_cannot_be_put_on_record_is_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "ambientd.db")
    assert run("backup", str(tmp_path / "taken"), "--url", NOWHERE).exit_code == 0

    async def record(*_: object) -> None:
        raise StoreUnavailable("the disk is full.", hint="Free some.")

    monkeypatch.setattr(import_module("ambientd.ctl.restore"), "_record", record)
    ended = run("restore", "--force", str(tmp_path / "taken"))
    assert ended.exit_code == 0, ended.output
    assert "Restored: sessions 0" in ended.output
    assert "Restored, but it is not on record: the disk is full.\nFree some." in ended.output
