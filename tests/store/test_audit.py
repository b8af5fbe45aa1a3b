"""The audit only grows, and whoever changes it is found out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from stored_speech import BEGAN, begin, figures

from ambientd.core.record import EndReason, SessionState
from ambientd.errors import StoreUnavailable
from ambientd.store import audit as auditing
from ambientd.store.audit import Audit, forget, open_audit, record
from ambientd.store.chain import Verdict
from ambientd.store.database import Database, open_database
from ambientd.store.refusals import SessionExists
from ambientd.store.sessions import Sessions

NEVER = datetime(2000, 1, 1, tzinfo=UTC)


async def fill(database: Database, rows: int = 5) -> Audit:
    audit = Audit(database)
    for index in range(rows):
        await audit.record(
            actor="client", action="transcript.read", object=f"visit-{index}", origin="192.0.2.7"
        )
    return audit


def tamper(path: Path, *statements: str) -> None:
    """What somebody does who can write to the file and knows SQLite."""
    with closing(sqlite3.connect(path)) as shell:
        triggers = shell.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            shell.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            shell.execute(statement)
        for _, made in triggers:
            shell.execute(made)
        shell.commit()


class TestChain:
    async def test_rows_are_numbered_and_follow_each_other(self, database: Database) -> None:
        audit = await fill(database)
        rows = await audit.entries()
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
        assert (rows[2].actor, rows[2].action, rows[2].object) == ("client", "transcript.read", "visit-2")
        assert (rows[2].origin, rows[2].outcome) == ("192.0.2.7", "ok")
        verdict = await audit.verify()
        assert (verdict.rows, verdict.broken_at) == (5, None)
        assert verdict.end.hash == rows[-1].hash

    async def test_the_hash_is_what_the_documentation_says(self, database: Database) -> None:
        """Anybody can follow the chain with SHA-256 and JSON alone."""
        audit = await fill(database, 3)
        before = bytes(32)
        for row in await audit.entries():
            fields = [row.number, row.at, row.actor, row.action, row.object, row.origin, row.outcome]
            before = hashlib.sha256(before + json.dumps(fields, separators=(",", ":")).encode()).digest()
            assert row.hash == before

    async def test_an_empty_audit_is_whole(self, database: Database) -> None:
        assert (await Audit(database).verify()).broken_at is None

    async def test_pages_of_rows(self, database: Database) -> None:
        audit = await fill(database)
        assert [row.number for row in await audit.entries(after=2, limit=2)] == [3, 4]

    @pytest.mark.parametrize(
        ("statement", "broken_at"),
        [
            ("UPDATE audit_log SET object = 'visit-9' WHERE number = 3", 3),
            ("UPDATE audit_log SET at = '2020-01-01T00:00:00.000000Z' WHERE number = 1", 1),
            ("UPDATE audit_log SET outcome = 'refused' WHERE number = 5", 5),
            ("UPDATE audit_log SET hash = zeroblob(32) WHERE number = 2", 2),
            ("DELETE FROM audit_log WHERE number = 1", 1),
            ("DELETE FROM audit_log WHERE number = 4", 4),
            ("DELETE FROM audit_log WHERE number = 5", 5),
            ("DELETE FROM audit_log", 1),
        ],
    )
    async def test_the_first_broken_link_is_named(self, path: Path, statement: str, broken_at: int) -> None:
        async with open_database(path) as database:
            await fill(database)
        tamper(path, statement)
        async with open_database(path) as database:
            verdict = await Audit(database).verify()
        assert verdict.broken_at == broken_at
        assert verdict.rows == broken_at - 1
        assert verdict.why

    async def test_a_chain_made_anew_does_not_end_as_the_log_tells(self, path: Path) -> None:
        """The head in the file can be forged too, but not the one in the log: the hashes differ."""
        async with open_database(path) as database:
            told = (await fill(database)).head
            before = await told()
        tamper(path, "DELETE FROM audit_log", "DELETE FROM box_facts WHERE name LIKE 'audit%'")
        async with open_database(path) as database:
            audit = await fill(database)
            assert (await audit.verify()).broken_at is None
            assert (await audit.head()).number == before.number
            assert (await audit.head()).hash != before.hash

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_log SET outcome = 'refused' WHERE number = 2",
            "DELETE FROM audit_log WHERE number = 5",
            "DELETE FROM audit_log",
            "INSERT OR REPLACE INTO audit_log VALUES (3, '2026', 'a', 'b', NULL, NULL, 'ok', x'00')",
            "INSERT INTO audit_log VALUES (0, '2026', 'a', 'b', NULL, NULL, 'ok', x'00')",
        ],
    )
    async def test_rows_are_neither_changed_nor_deleted_nor_put_in_between(
        self, database: Database, statement: str
    ) -> None:
        audit = await fill(database)
        with pytest.raises(IntegrityError, match="the audit"):
            async with database.write() as connection:
                await connection.execute(text(statement))
        assert await audit.verify() == Verdict(5, (await audit.verify()).anchor, await audit.head())

    @pytest.mark.parametrize("field", ["actor", "action", "object", "origin", "outcome"])
    async def test_a_field_holds_an_id_and_never_a_sentence(self, database: Database, field: str) -> None:
        fields = {"actor": "client", "action": "transcript.read", field: "It hurts here."}
        await Audit(database).record(**fields)
        (row,) = await Audit(database).entries()
        assert getattr(row, field) == "(withheld)"

    async def test_a_deed_rolled_back_leaves_no_row(self, database: Database) -> None:
        async def fail(connection: AsyncConnection) -> None:
            await record(connection, actor="box", action="session.deleted", object="s")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await database.transact(fail)
        assert await Audit(database).entries() == []


class TestForgetting:
    async def test_old_rows_go_from_the_front_and_the_chain_holds(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        audit = await fill(database, 3)
        cut = datetime.now(UTC)
        await asyncio.sleep(0.001)
        for index in range(2):
            await audit.record(actor="box", action="young", object=f"v-{index}")
        kept = (await audit.entries())[2].hash
        assert await database.transact(lambda connection: forget(connection, cut)) == 3
        verdict = await audit.verify()
        assert (verdict.rows, verdict.broken_at) == (2, None)
        assert (verdict.anchor.number, verdict.anchor.hash) == (3, kept)
        assert [row.number for row in await audit.entries()] == [4, 5]

    async def test_numbers_go_on_after_everything_has_gone(self, database: Database) -> None:
        audit = await fill(database, 3)
        later = datetime.now(UTC) + timedelta(days=1)
        assert await database.transact(lambda connection: forget(connection, later)) == 3
        assert (await audit.verify()).broken_at is None
        await fill(database, 1)
        assert [row.number for row in await audit.entries()] == [4]
        assert (await audit.verify()).broken_at is None

    async def test_nothing_old_nothing_done(self, database: Database) -> None:
        audit = await fill(database, 3)
        assert await database.transact(lambda connection: forget(connection, NEVER)) == 0
        assert (await audit.verify()).anchor.number == 0


class TestOwing:
    async def test_what_is_noted_is_stored_at_an_orderly_stop(self, database: Database) -> None:
        async with open_audit(database) as audit:
            for index in range(100):
                audit.note(actor="client", action="session.resumed", object=f"s-{index}")
        assert [row.object for row in await audit.entries()] == [f"s-{index}" for index in range(100)]

    async def test_what_is_noted_is_stored_in_a_moment(self, database: Database) -> None:
        async with open_audit(database) as audit:
            audit.note(actor="client", action="session.resumed", object="s")
            async with asyncio.timeout(5):
                while audit.owed:
                    await asyncio.sleep(0.005)
            assert len(await audit.entries()) == 1

    async def test_a_disk_that_takes_nothing_delays_rows_and_stops_no_reader(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auditing, "AGAIN", 0.01)
        refuse = True
        transact = database.transact

        async def flaky(work):
            if refuse:
                raise StoreUnavailable("full")
            return await transact(work)

        monkeypatch.setattr(database, "transact", flaky)
        async with open_audit(database) as audit:
            for index in range(3):
                await audit.record(actor="client", action="transcript.read", object=f"s-{index}")
            assert audit.owed == 3
            refuse = False
            async with asyncio.timeout(5):
                while audit.owed:
                    await asyncio.sleep(0.005)
            assert [row.object for row in await audit.entries()] == ["s-0", "s-1", "s-2"]
            assert (await audit.verify()).broken_at is None

    async def test_reading_stops_when_too_much_is_owed(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auditing, "MOST_OWED", 1)

        async def full(work):
            raise StoreUnavailable("full")

        audit = Audit(database)
        monkeypatch.setattr(database, "transact", full)
        await audit.record(actor="client", action="transcript.read")
        with pytest.raises(StoreUnavailable, match="nothing is given out"):
            await audit.record(actor="client", action="transcript.read")

    async def test_many_at_once_are_each_stored_once(self, database: Database) -> None:
        async with open_audit(database) as audit, asyncio.TaskGroup() as tasks:
            for index in range(20):
                tasks.create_task(audit.record(actor="client", action="read", object=f"r-{index}"))
                audit.note(actor="client", action="noted", object=f"n-{index}")
        assert len({row.object for row in await audit.entries()}) == 40
        assert (await audit.verify()).rows == 40


class TestSessions:
    async def test_a_session_leaves_its_rows_in_its_own_transactions(self, database: Database) -> None:
        sessions = Sessions(database)
        for name in ("crashed", "ended"):
            await begin(sessions, name)
        await sessions.finalise(
            "ended", state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([])
        )
        await sessions.recover()
        told = [(row.action, row.object, row.outcome) for row in await Audit(database).entries()]
        assert told == [
            ("session.opened", "crashed", "ok"),
            ("session.opened", "ended", "ok"),
            ("session.ended", "ended", "client"),
            ("session.interrupted", "crashed", "crash"),
        ]

    async def test_a_session_refused_leaves_none(self, database: Database) -> None:
        await begin(Sessions(database), "s")
        with pytest.raises(SessionExists):
            await begin(Sessions(database), "s")
        assert len(await Audit(database).entries()) == 1
