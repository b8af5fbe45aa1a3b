"""The store and the sync: what a line costs in time and bytes, and how they do when much has gathered.

On the disk under ``build/``, with every promise of the store kept: each commit is on the disk before it counts.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from boxes import Box, say
from central.server import running
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from stored_speech import BEGAN, THIRTY_WORDS, begin, figures, line

from ambientd.core.record import EndReason, SessionState
from ambientd.core.transcript import Line
from ambientd.store import tables
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.listing import cursor
from ambientd.store.rows import full_text_row, moment_text
from ambientd.store.search import search
from ambientd.store.sessions import Sessions
from ambientd.store.vault import Seal, vault_of
from bench.report import Section

LINES: Final = 2_000
"""Committed one by one for the latencies and the size."""
VISIT: Final = 60
"""Lines of an ordinary visit: ten minutes."""
VISITS: Final = 60
"""Visits finalised for the latency."""
MANY: Final = 10_000
"""Sessions in the list."""
WEEK: Final = 200
"""Conversations waiting for the centre to be there again."""
TEXT: Final = 10_000
"""Characters of each of these, about: a visit of ten minutes."""
GIGABYTE: Final = 1 << 30

COLUMNS: Final = ["what", "p50", "p99", "unit"]


def measure() -> list[Section]:
    """The table of all of it."""
    rows: list[list[str]] = []
    with _folder() as folder:
        rows += asyncio.run(_writes(folder))
    with _folder() as folder:
        rows += asyncio.run(_lists(folder))
    for kind in ("ambientai", "ingest"):
        with _folder() as folder:
            rows.append(asyncio.run(_deliveries(folder, kind)))
    with _folder() as folder:
        rows += _start_up(folder)
    note = f"Lines of 30 words, {len(THIRTY_WORDS)} bytes, with a time for each; full text and figures counted in."
    return [Section("storage", "The store", COLUMNS, rows, note)]


@contextmanager
def _folder() -> Iterator[Path]:
    under = Path("build").absolute()
    under.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-store-", dir=under))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _row(what: str, seconds: Sequence[float]) -> list[str]:
    return [what, f"{1000 * _at(seconds, 0.5):.2f}", f"{1000 * _at(seconds, 0.99):.2f}", "ms"]


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def _timed(work: Callable[[], Any], took: list[float]) -> Any:
    began = time.perf_counter()
    result = await work()
    took.append(time.perf_counter() - began)
    return result


async def _say(database: Database, name: str, count: int, took: list[float]) -> list[Line]:
    """A session with so many lines, each committed by itself."""
    await begin(Sessions(database), name)
    lines = Lines(database)
    said: list[Line] = []
    for index in range(count):
        said.append(line(index))
        metrics = figures(said[-1:])
        await _timed(lambda: lines.append_line(name, said[-1], metrics), took)  # noqa: B023 - called at once
    return said


async def _end(database: Database, name: str, said: list[Line]) -> None:
    await Sessions(database).finalise(
        name,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN + timedelta(minutes=10),
        metrics=figures(said),
    )


async def _writes(folder: Path) -> list[list[str]]:
    """Latency of a commit and of an end, and what a line takes on the disk."""
    committed: list[float] = []
    ended: list[float] = []
    path = folder / "ambientd.db"
    async with open_database(path) as database:
        await _say(database, "warm", 50, [])
        for number in range(VISITS):
            said = await _say(database, f"visit-{number}", VISIT, committed if len(committed) < LINES else [])
            await _timed(lambda: _end(database, f"visit-{number}", said), ended)  # noqa: B023 - called at once
    stored = VISITS * VISIT + 50
    return [
        _row("a line committed", committed),
        _row(f"a session of {VISIT} lines finalised, its delivery with it", ended),
        [
            "a line on the disk, encryption and full text included",
            f"{path.stat().st_size / stored:.0f}",
            "",
            "bytes",
        ],
    ]


async def _lists(folder: Path) -> list[list[str]]:
    """Pages out of many sessions, first and middle, and words looked for in all of them."""
    first: list[float] = []
    middle: list[float] = []
    searched: list[float] = []
    async with open_database(folder / "ambientd.db") as database:
        said = await _say(database, "visit", 3, [])
        await _end(database, "visit", said)
        await database.transact(_many)
        sessions = Sessions(database)
        half = (await sessions.list_sessions(MANY // 2))[-1]
        for _ in range(50):
            await _timed(lambda: sessions.list_sessions(50), first)
            await _timed(lambda: sessions.list_sessions(50, before=cursor(half)), middle)
        for number in range(5):
            await _timed(lambda: search(database, [f"nowhere{number}"], limit=20), searched)  # noqa: B023
    return [
        _row(f"the newest 50 of {MANY:,} sessions listed", first),
        _row("50 from the middle", middle),
        _row(f"a word looked for in all {MANY:,} and not found ({TEXT / 1000:g} kB of text each)", searched),
    ]


async def _many(connection: AsyncConnection) -> None:
    """Sessions with texts of their own, each under its own key, without the lines."""
    chance = Random(1)  # noqa: S311 - dice
    vocabulary = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(5_000)
    ]
    vault = vault_of(connection)
    template = (await connection.execute(select(tables.sessions))).mappings().one()
    figures_of_it = (await connection.execute(select(tables.metrics))).mappings().one()
    for number in range(1, MANY):
        name = f"visit-{number}"
        key, row = vault.new_key(name)
        text = " ".join(chance.choices(vocabulary, k=TEXT // 7))
        moment = moment_text(BEGAN + timedelta(minutes=number))
        sealed = full_text_row(Seal(name, key), name, text)
        changed = {"session_id": name, "connected_at": moment, **sealed}
        await connection.execute(insert(tables.sessions).values({**template, **changed}))
        await connection.execute(insert(tables.metrics).values({**figures_of_it, "session_id": name}))
        await connection.execute(insert(tables.session_keys).values(row))


async def _deliveries(folder: Path, kind: str) -> list[str]:
    """How many conversations a minute one box delivers, one after the other, to a centre on the same machine."""
    async with running(folder / "centre.db") as centre, open_database(folder / "ambientd.db") as database:
        for number in range(WEEK):
            await say(database, f"visit-{number}", f"{number} " + THIRTY_WORDS * (TEXT // len(THIRTY_WORDS)))
        box = Box(database, centre, kind, folder)
        began = time.perf_counter()
        await box.until_done(within=120, request_timeout=10.0, connect_timeout=10.0)
        took = time.perf_counter() - began
        assert len(await box.received()) == WEEK
    what = f"conversations of {TEXT / 1000:g} kB delivered, profile {kind}, each journalled before and after"
    return [what, f"{60 * WEEK / took:,.0f}", "", "a minute"]


def _multiply(path: Path, first: int, last: int) -> None:
    """Copies of the one session under other names and times: what is sealed stays sealed, and is not read here."""
    others = {
        "session_id": "'visit-' || n",
        "connected_at": "strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2026-01-15', '+' || n || ' minutes')",
    }
    with sqlite3.connect(path, timeout=30) as file:
        for table in ("realtime_sessions", "realtime_session_metrics", "realtime_transcript_chunks"):
            names = [name for (_, name, *_) in file.execute(f"PRAGMA table_info({table})")]
            chosen = [others.get(name, name) for name in names]
            file.execute(
                f"WITH RECURSIVE counted(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM counted WHERE n < {last})"  # noqa: S608
                f" INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(chosen)} FROM counted, {table}"
                " WHERE session_id = 'visit'"
            )
    file.close()


def _start_up(folder: Path) -> list[list[str]]:
    """From nothing to an open store, with a gigabyte in it: after a clean stop, and after SIGKILL."""
    path = folder / "ambientd.db"

    async def begin_with_one() -> None:
        async with open_database(path) as database:
            await _end(database, "visit", await _say(database, "visit", 200, []))

    asyncio.run(begin_with_one())
    batch, made = 500, 0
    while path.stat().st_size < GIGABYTE:
        _multiply(path, made, made + batch - 1)
        made += batch
    clean = [_opened(path, kill=False) for _ in range(3)]
    _opened(path, kill=True)
    unclean = _opened(path, kill=False)
    size = path.stat().st_size / GIGABYTE
    return [
        [
            f"start-up of the store with {size:.2f} GB in it, after a clean stop",
            f"{_at(clean, 0.5):.2f}",
            "",
            "s",
        ],
        ["… after SIGKILL", f"{unclean:.2f}", "", "s"],
    ]


_OPEN: Final = """
import asyncio, os, signal, sys, time
from pathlib import Path
from ambientd.store.database import open_database
from ambientd.store.sessions import Sessions
async def main():
    began = time.perf_counter()
    async with open_database(Path(sys.argv[1])) as database:
        await Sessions(database).recover()
        print(time.perf_counter() - began, flush=True)
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def _opened(path: Path, *, kill: bool) -> float:
    """Seconds that a process of its own takes to open the store."""
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, path, "kill" if kill else "stop"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return float(done.stdout)
