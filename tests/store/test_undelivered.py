"""Before a box is wiped somebody asks how many conversations would be lost with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from file_of_0001 import write
from stored_speech import BEGAN, figures, line

from ambientd.core.record import EndReason, SessionState
from ambientd.store.alone import InUse, alone
from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.store.undelivered import main, undelivered


async def keep(path: Path, name: str, *, lines: int = 1, ended: bool = True, ephemeral: bool = False) -> None:
    async with open_database(path) as database:
        sessions = Sessions(database)
        await sessions.create(
            name, connected_at=BEGAN, client="x", language="en", model="m", ephemeral=ephemeral
        )
        for index in range(lines):
            await Lines(database).append_line(name, line(index), figures([line(0)]))
        if ended:
            await sessions.finalise(
                name, state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([])
            )


def deliver(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as shell, shell:
        changed = shell.execute(
            "UPDATE conversation_uploads SET status = 'delivered' WHERE session_id = ?", (name,)
        )
        assert changed.rowcount == 1


async def test_what_nobody_has_received_counts_and_what_was_delivered_does_not(path: Path):
    for name in ("one", "two", "three"):
        await keep(path, name)
    assert undelivered(path.parent) == 3

    deliver(path, "two")
    assert undelivered(path.parent) == 2


async def test_silence_and_ephemeral_sessions_do_not_count_but_an_open_one_does(path: Path):
    await keep(path, "silent", lines=0)
    await keep(path, "gone", ephemeral=True, ended=False)
    assert undelivered(path.parent) == 0

    await keep(path, "cut-off", lines=0, ended=False)
    assert undelivered(path.parent) == 1


async def test_damaged_and_replaced_files_may_hold_the_only_copy(path: Path):
    await keep(path, "one")
    deliver(path, "one")
    path.with_name("ambientd.db.corrupt.20260115T100000Z").touch()
    path.with_name("ambientd.db.replaced.20260115T100000Z").touch()

    assert undelivered(path.parent) == 2


def test_a_box_that_was_never_used_has_nothing_to_lose(tmp_path: Path):
    assert undelivered(tmp_path) == 0
    assert undelivered(tmp_path / "absent") == 0


def test_a_file_of_the_first_revision_is_counted_as_it_is(path: Path):
    write(path, sessions=3)

    assert undelivered(path.parent) == 3
    with closing(sqlite3.connect(path)) as shell:
        assert shell.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


async def test_while_a_daemon_works_on_it_nobody_can_say(path: Path, capsys: pytest.CaptureFixture[str]):
    await keep(path, "one")
    with alone(path):
        with pytest.raises(InUse):
            undelivered(path.parent)
        assert main([str(path.parent)]) == 1
    assert "systemctl stop ambientd" in capsys.readouterr().err

    assert main([str(path.parent)]) == 0
    assert capsys.readouterr().out == "1\n"


def test_a_file_that_is_no_database_is_not_taken_for_an_empty_one(path: Path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 1000)

    assert main([str(path.parent)]) == 1
