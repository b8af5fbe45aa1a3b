"""Whether the writing thread works: busy is alive, hanging is not."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from test_database import held

from ambientd.store.database import Database, open_database
from ambientd.store.pulse import WriterPulse, pulse_of


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


def hang(database: Database, leave: threading.Event) -> None:
    """The writing thread waits inside a call, as on a disk that stands still."""
    connection: Any = database._writing
    connection._tx.put_nowait((None, lambda: leave.wait(20)))


async def test_a_writer_at_rest_answers(tmp_path: Path) -> None:
    async with open_database(tmp_path / "ambientd.db") as database:
        pulse = WriterPulse(database, patience=0.5)
        for _ in range(20):
            assert pulse.alive()
            await asyncio.sleep(0.05)


async def test_a_writer_in_a_long_transaction_is_alive(tmp_path: Path) -> None:
    """A purge of a year holds the only writing connection for as long as it takes."""
    async with open_database(tmp_path / "ambientd.db") as database:
        pulse = WriterPulse(database, patience=0.2)
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE trial (x)"))
            for _ in range(10):
                assert pulse.alive()
                await asyncio.sleep(0.05)
            await connection.execute(text("INSERT INTO trial VALUES (1)"))
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM trial"))).scalar_one() == 1


async def test_a_file_that_another_program_holds_is_no_dead_writer(tmp_path: Path) -> None:
    path = tmp_path / "ambientd.db"
    async with open_database(path) as database:
        with held(path):
            pulse = WriterPulse(database, patience=0.2)
            for _ in range(10):
                assert pulse.alive()
                await asyncio.sleep(0.05)


async def test_a_writer_that_hangs_is_dead_after_the_patience_and_alive_when_it_comes_back(
    tmp_path: Path,
) -> None:
    leave = threading.Event()
    async with open_database(tmp_path / "ambientd.db") as database:
        pulse = WriterPulse(database, patience=0.2)
        assert pulse.alive()
        await asyncio.sleep(0.1)
        hang(database, leave)
        began = time.monotonic()
        await until(lambda: not pulse.alive())
        assert 0.15 < time.monotonic() - began < 1
        leave.set()
        await until(pulse.alive)


async def test_leaving_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    leave = threading.Event()
    async with open_database(tmp_path / "ambientd.db") as database:
        hang(database, leave)
        began = time.monotonic()
        with pulse_of(database) as pulse:
            assert pulse.alive()
        assert time.monotonic() - began < 1
        leave.set()


@pytest.mark.parametrize("error", ["disk I/O error", "database is locked"])
async def test_an_error_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    async with open_database(tmp_path / "ambientd.db") as database:

        async def fail(_statement: str) -> None:
            raise sqlite3.OperationalError(error)

        monkeypatch.setattr(database._writing, "execute_fetchall", fail)
        pulse = WriterPulse(database, patience=0.1)
        for _ in range(5):
            assert pulse.alive()
            await asyncio.sleep(0.05)


async def test_a_connection_closed_under_its_users_is_a_dead_writer(tmp_path: Path) -> None:
    async with open_database(tmp_path / "ambientd.db") as database:
        pulse = WriterPulse(database, patience=0.2)
        assert pulse.alive()
        await database._writing.close()
        await until(lambda: not pulse.alive())
