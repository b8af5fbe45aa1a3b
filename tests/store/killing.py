"""Kill an operation of the store at random moments, again and again, and look at what is left.

Usage: killing.py OPERATION TIMES SEED FOLDER; prints one JSON object: how often it was killed in the middle, what
was found afterwards how often, and everything that should not have been found.

A child is forked for each attempt, since importing the program takes longer than anything it does here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import file_of_0001
from sqlalchemy import select, update
from stored_speech import BEGAN, figures, line

from ambientd.core.record import Box, Details, EndReason, Refinement, SessionState
from ambientd.ctl.backup import appearing
from ambientd.store import rotation, tables
from ambientd.store.audit import open_audit
from ambientd.store.backup import clear_unfinished, made
from ambientd.store.database import Database, open_database
from ambientd.store.keys import Keys
from ambientd.store.lines import Lines
from ambientd.store.restore import check, restore
from ambientd.store.retention import Retention, Terms
from ambientd.store.rows import moment_text
from ambientd.store.sessions import Sessions
from ambientd.store.vault import Place

SESSIONS: Final = 6
LINES: Final = 5
MOST: Final = 20
"""Attempts for each kill wanted: some operations end before theirs comes."""
LONGER: Final = 1.4
"""Kills come up to this many times as late as the operation usually takes."""

Ready = Callable[[], None]


@dataclass
class Findings:
    """What was seen after the kills."""

    killed: int = 0
    """Times that the operation had not ended by itself."""
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)


@dataclass(frozen=True)
class Operation:
    """Something the store does that must not be torn."""

    prepare: Callable[[Path], Awaitable[None]]
    act: Callable[[Path, Ready], Awaitable[None]]
    check: Callable[[Path, Findings], Awaitable[None]]


def said(number: int) -> list[str]:
    return [f"Session {number} says {index}." for index in range(LINES)]


def name(number: int) -> str:
    return f"s{number}"


async def fill(path: Path) -> None:
    """Open sessions with their lines shown; the last one is ephemeral."""
    async with open_database(path) as database:
        sessions, lines = Sessions(database), Lines(database)
        for number in range(SESSIONS):
            await sessions.create(
                name(number),
                connected_at=BEGAN + timedelta(hours=number),
                client="x",
                language="en",
                model="m",
                box=Box("box", "room"),
                ephemeral=number == SESSIONS - 1,
            )
            done = []
            for index, text in enumerate(said(number)):
                done.append(line(index, text))
                await lines.append_line(name(number), line(index, text), figures(done))
            await sessions.describe(name(number), Details(f"enc-{number}"))


async def finalise(sessions: Sessions, number: int) -> None:
    waits = number % 2 == 1 and number < SESSIONS - 1
    await sessions.finalise(
        name(number),
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN + timedelta(hours=number, minutes=5),
        metrics=figures([line(index, text) for index, text in enumerate(said(number))]),
        refinement=Refinement.WAITING if waits else Refinement.NONE,
    )
    if waits:
        refined = [line(index, text.upper()) for index, text in enumerate(said(number))]
        assert await sessions.refined(name(number), refined, refined[0].model)


async def end_all(path: Path, ready: Ready) -> None:
    async with open_database(path) as database:
        ready()
        for number in range(SESSIONS):
            await finalise(Sessions(database), number)


async def all_ended(path: Path, found: Findings) -> None:
    """Each session is ended or interrupted, with every line and one delivery of the text that is final."""
    async with open_database(path) as database:
        sessions = Sessions(database)
        interrupted = await sessions.recover()
        found.outcomes["ended"] += SESSIONS - 1 - len(interrupted)
        found.outcomes["interrupted"] += len(interrupted)
        found.expect(await sessions.get(name(SESSIONS - 1)) is None, "the ephemeral session is still there")
        for number in range(SESSIONS - 1):
            await is_whole(database, number, found)
            await is_delivered_once(database, name(number), found)


async def is_whole(database: Database, number: int, found: Findings) -> None:
    sessions, lines, who = Sessions(database), Lines(database), name(number)
    record = await sessions.get(who)
    if record is None:
        found.faults.append(f"{who} is gone")
        return
    live = [line(index, text) for index, text in enumerate(said(number))]
    found.expect(await lines.lines(who) == live, f"{who} has lost lines")
    found.expect(await sessions.details(who) == Details(f"enc-{number}"), f"{who} has lost its details")
    refined = [line(index, text.upper()) for index, text in enumerate(said(number))]
    done = record.refinement is Refinement.DONE
    found.expect(await lines.refined(who) == (refined if done else []), f"{who} is refined in part")
    final = " ".join(each.text for each in (refined if done else live))
    found.expect(await sessions.text(who) == final, f"{who} has another text than its lines")


async def is_delivered_once(database: Database, who: str, found: Findings) -> None:
    text = await Sessions(database).text(who)
    async with database.read() as connection:
        rows = await connection.execute(select(tables.uploads).where(tables.uploads.c.session_id == who))
        uploads = rows.mappings().all()
        found.expect(len(uploads) == 1, f"{who} has {len(uploads)} deliveries")
        for row in uploads:
            seal = await database.vault.seal(connection, who)
            digest = seal.open_bytes(row["digest"], Place("conversation_uploads", "digest", row["id"]))
            found.expect(
                digest == hashlib.sha256(text.encode()).digest(), f"{who} would deliver another text"
            )


async def write_0001(path: Path) -> None:
    file_of_0001.write(path, sessions=SESSIONS, lines=LINES)


async def migrate(path: Path, ready: Ready) -> None:
    ready()
    async with open_database(path):
        pass


async def is_migrated(path: Path, found: Findings) -> None:
    """Whatever the kill left, the next start makes it whole, and leaves no word in the clear."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as shell:
        (revision,) = shell.execute("SELECT version_num FROM alembic_version").fetchone()
    found.outcomes[f"revision {revision}"] += 1
    async with open_database(path) as database:
        for number in range(SESSIONS):
            texts = file_of_0001.texts(number, LINES)
            expected = [line(index, text) for index, text in enumerate(texts)]
            found.expect(
                await Lines(database).lines(name(number)) == expected, f"{name(number)} has lost lines"
            )
            found.expect(
                await Sessions(database).text(name(number)) == " ".join(texts), f"{name(number)}: other text"
            )
    for file in path.parent.iterdir():
        found.expect(file_of_0001.CANARY.encode() not in file.read_bytes(), f"words in {file.name}")


async def rotate(path: Path, ready: Ready) -> None:
    ready()
    await rotation.rotate(path)


async def fill_and_print(path: Path) -> None:
    await fill(path)
    printed = await rotation.print_recovery(path)
    path.with_name("printed").write_text(printed)
    path.with_name("before").write_bytes(Keys(path.parent).filed[0])


async def is_rotated(path: Path, found: Findings) -> None:
    """One key is in force, alone in its file; it opens everything, and what was printed brings it back."""
    async with open_database(path) as database:
        await Sessions(database).recover()
        for number in range(SESSIONS - 1):
            await is_whole(database, number, found)
    keys = Keys(path.parent)
    found.expect(len(keys.filed) == 1, f"{len(keys.filed)} keys in the file")
    found.expect(keys.successor is None, "a successor in the file")
    changed = keys.filed[0] != path.with_name("before").read_bytes()
    found.outcomes["new key" if changed else "old key"] += 1
    with closing(sqlite3.connect(path)) as shell:
        names = shell.execute("SELECT DISTINCT key_id FROM session_keys").fetchall()
        in_force = shell.execute("SELECT key_id FROM box_keys WHERE retired_at IS NULL").fetchall()
    found.expect(names == in_force, "session keys under several box keys")
    keys.file.unlink()
    await rotation.restore(path, path.with_name("printed").read_text())
    found.expect(Keys(path.parent).filed == keys.filed, "the recovery key brought back another key")


DELIVERED: Final = (0, 1, 2)
LATER: Final = timedelta(days=400)


async def fill_and_deliver(path: Path) -> None:
    """All sessions ended; some of them delivered long ago, the ephemeral one destroyed."""
    await fill(path)
    async with open_database(path) as database:
        for number in range(SESSIONS):
            await finalise(Sessions(database), number)
        async with database.write() as connection:
            await connection.execute(
                update(tables.uploads)
                .where(tables.uploads.c.session_id.in_([name(number) for number in DELIVERED]))
                .values(status="delivered", delivered_at=moment_text(BEGAN))
            )
        await database.scrub()
    with closing(sqlite3.connect(path)) as shell:
        wrapped = dict(shell.execute("SELECT session_id, hex(wrapped) FROM session_keys"))
    path.with_name("wrapped").write_text(json.dumps(wrapped))


def retention(database: Database) -> Retention:
    return Retention(database, Terms(timedelta(days=30), timedelta(days=90), delivers=True))


async def purge(path: Path, ready: Ready) -> None:
    async with open_database(path) as database:
        ready()
        await retention(database).purge(BEGAN + LATER)


async def is_purged(path: Path, found: Findings) -> None:
    """Each session is whole or gone; what is not delivered is whole; the next start ends what was begun."""
    async with open_database(path) as database:
        left = {each.session_id for each in await Sessions(database).list_sessions(100)}
        for number in range(SESSIONS - 1):
            if name(number) in left or number not in DELIVERED:
                await is_whole(database, number, found)
        found.outcomes["gone"] += SESSIONS - 1 - len(left)
        found.outcomes["whole"] += len(left)
        with closing(sqlite3.connect(path)) as shell:
            for table in ("session_keys", "realtime_transcript_chunks", "realtime_session_metrics"):
                rows = {row[0] for row in shell.execute(f"SELECT session_id FROM {table}")}  # noqa: S608
                found.expect(rows == left, f"{table} has rows of others")
        found.expect((await retention(database).purge(BEGAN + LATER)).scrubbed, "not scrubbed")
    wrapped = json.loads(path.with_name("wrapped").read_text())
    for file in path.parent.glob("ambientd.db*"):
        contents = file.read_bytes()
        for number in range(SESSIONS - 1):
            there = bytes.fromhex(wrapped[name(number)]) in contents
            found.expect(not there or number not in DELIVERED, f"a destroyed key is in {file.name}")


async def back_up(path: Path, ready: Ready) -> None:
    ready()
    with appearing(path.with_name("taken")) as target, made(path) as backup:
        target.write(backup.path.read_bytes())


async def is_backed_up(path: Path, found: Findings) -> None:
    """The file is as it was; the backup is whole or is not there; what is half-done is known by its name."""
    for file in clear_unfinished(path):
        found.outcomes[f"cleared {file.suffix}"] += 1
    path.with_name("taken.partial").unlink(missing_ok=True)
    names = {file.name.removeprefix(path.name) for file in path.parent.iterdir()}
    found.expect(names <= {"", "-wal", "-shm", ".closed", ".lock", "box.key", "taken"}, f"there are {names}")
    if path.with_name("taken").exists():
        _, contents = check(path, path.with_name("taken"))
        kept = SESSIONS - 1  # nothing of the ephemeral one
        found.expect((contents.sessions, contents.lines) == (kept, kept * LINES), "a torn backup")
        found.outcomes["made"] += 1
    async with open_database(path) as database:
        await Sessions(database).recover()
        for number in range(SESSIONS - 1):
            await is_whole(database, number, found)


async def fill_back_up_and_go_on(path: Path) -> None:
    await fill(path)
    with made(path) as backup:
        path.with_name("taken").write_bytes(backup.path.read_bytes())
    async with open_database(path) as database:
        await Sessions(database).create(
            "later", connected_at=BEGAN + LATER, client="x", language="en", model="m"
        )


async def put_back(path: Path, ready: Ready) -> None:
    ready()
    restore(path, path.with_name("taken"), force=True)


async def is_put_back(path: Path, found: Findings) -> None:
    """The one file or the other is there, whole; if it is the other, the first one is kept beside it."""
    clear_unfinished(path)
    async with open_database(path) as database:
        old = await Sessions(database).get("later") is not None
        await Sessions(database).recover()
        for number in range(SESSIONS - 1):
            await is_whole(database, number, found)
    found.outcomes["the one of before" if old else "the one restored"] += 1
    found.expect(old or list(path.parent.glob("ambientd.db.replaced.*Z")), "the file of before is gone")


OPERATIONS: Final = {
    "finalise": Operation(fill, end_all, all_ended),
    "migrate": Operation(write_0001, migrate, is_migrated),
    "rotate": Operation(fill_and_print, rotate, is_rotated),
    "purge": Operation(fill_and_deliver, purge, is_purged),
    "backup": Operation(fill, back_up, is_backed_up),
    "restore": Operation(fill_back_up_and_go_on, put_back, is_put_back),
}


def attempt(operation: Operation, path: Path, *, kill_after: float | None) -> tuple[bool, float]:
    """Run it in a child; whether it was killed, and the seconds it ran."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_forced(operation.act(path, lambda: os.write(writing, b"!"))))
        except BaseException as error:  # noqa: BLE001 - told, then the child ends
            print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    began = time.monotonic()
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the operation failed")
    return os.WIFSIGNALED(status), time.monotonic() - began


async def _forced(work: Awaitable[None]) -> None:
    await work


def sound(path: Path, found: Findings) -> None:
    """SQLite finds nothing wrong with a copy of the file and its log, and the audit's chain holds."""
    copy = path.parent.parent / "copy"
    shutil.copytree(path.parent, copy)
    try:
        with closing(sqlite3.connect(copy / path.name)) as shell:
            found.expect(shell.execute("PRAGMA quick_check").fetchall() == [("ok",)], "quick_check")
            found.expect(not shell.execute("PRAGMA foreign_key_check").fetchall(), "foreign_key_check")
    finally:
        shutil.rmtree(copy)


async def verify(path: Path, found: Findings) -> None:
    async with open_database(path) as database, open_audit(database) as audit:
        found.expect((await audit.verify()).broken_at is None, "the audit's chain is broken")


def main(operation: Operation, times: int, seed: int, folder: Path) -> dict[str, Any]:
    chance, found = random.Random(seed), Findings()  # noqa: S311 - when to kill is no secret
    template, place = folder / "template", folder / "place"
    template.mkdir()
    asyncio.run(_forced(operation.prepare(template / "ambientd.db")))
    path = place / "ambientd.db"

    def fresh() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place)

    usual = []
    for _ in range(3):
        fresh()
        usual.append(attempt(operation, path, kill_after=None)[1])
    turn = 0
    while found.killed < times and turn < MOST * times:
        turn += 1
        fresh()
        before = len(found.faults)
        moment = chance.uniform(0, LONGER * median(usual))
        found.killed += attempt(operation, path, kill_after=moment)[0]
        sound(path, found)
        asyncio.run(_forced(operation.check(path, found)))
        asyncio.run(verify(path, found))
        if len(found.faults) > before:
            shutil.copytree(place, folder / f"fault-{turn}")
    return {
        "tried": turn,
        "killed": found.killed,
        "usual_ms": round(1000 * median(usual), 1),
        "outcomes": dict(sorted(found.outcomes.items())),
        "faults": found.faults,
    }


if __name__ == "__main__":
    result = main(OPERATIONS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    print(json.dumps(result))  # noqa: T201 - the test reads it
