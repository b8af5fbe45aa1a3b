"""What is kept how long: nothing goes before it is delivered, and what goes is gone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.record import EndReason, Refinement, SessionState
from ambientd.store import tables
from ambientd.store.audit import Audit
from ambientd.store.copies import older_than
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.refusals import NoSuchCopy, NoSuchSession, NotDelivered, StillOpen
from ambientd.store.retention import Retention, Terms, Why, purging
from ambientd.store.rows import moment_text
from ambientd.store.sessions import Sessions
from ambientd.store.soundness import set_aside

DAY = timedelta(days=1)
TERMS = Terms(transcripts=30 * DAY, audit=90 * DAY, delivers=True)
NOW = BEGAN + 40 * DAY


async def hold(
    database: Database,
    name: str,
    *,
    delivered: datetime | None = None,
    status: str = "pending",
    words: bool = True,
) -> None:
    """An ended session of ``BEGAN``, delivered or not."""
    sessions = Sessions(database)
    await begin(sessions, name)
    if words:
        await Lines(database).append_line(name, line(0, f"Wolpertinger {name}"), figures([line(0)]))
    await sessions.finalise(
        name, state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([line(0)])
    )
    if delivered:
        status = "delivered"
    async with database.write() as connection:
        await connection.execute(
            update(tables.uploads)
            .where(tables.uploads.c.session_id == name)
            .values(status=status, delivered_at=moment_text(delivered) if delivered else None)
        )


async def names(database: Database) -> set[str]:
    return {record.session_id for record in await Sessions(database).list_sessions(1000)}


class TestRules:
    @pytest.mark.parametrize("status", ["held", "pending", "in_flight", "parked"])
    async def test_what_is_not_delivered_stays_for_ever(self, database: Database, status: str) -> None:
        await hold(database, "old", status=status)
        retention = Retention(database, TERMS)
        done = await retention.purge(BEGAN + 10_000 * DAY)
        assert done.sessions == 0
        assert await names(database) == {"old"}
        plan = await retention.plan(BEGAN + 10_000 * DAY)
        assert plan.overdue == [("old", Why.PARKED if status == "parked" else Why.UNDELIVERED)]

    async def test_days_count_from_the_delivery(self, database: Database) -> None:
        await hold(database, "early", delivered=NOW - 30 * DAY)
        await hold(database, "late", delivered=NOW - 30 * DAY + timedelta(seconds=1))
        assert (await Retention(database, TERMS).purge(NOW)).sessions == 1
        assert await names(database) == {"late"}

    async def test_one_without_words_goes_by_its_end(self, database: Database) -> None:
        await hold(database, "mute", words=False)
        retention = Retention(database, TERMS)
        assert (await retention.purge(BEGAN + 29 * DAY)).sessions == 0
        assert (await retention.purge(BEGAN + 30 * DAY)).sessions == 1

    @pytest.mark.parametrize(("undelivered", "stays"), [(False, {"s"}), (True, set())])
    async def test_without_a_centre_the_settings_decide(
        self,
        database: Database,
        undelivered: bool,  # noqa: FBT001
        stays: set[str],
    ) -> None:
        await hold(database, "s")
        terms = Terms(30 * DAY, 90 * DAY, delivers=False, undelivered=undelivered)
        await Retention(database, terms).purge(NOW)
        assert await names(database) == stays

    async def test_the_settings_let_nothing_go_undelivered_while_there_is_a_centre(
        self, database: Database
    ) -> None:
        await hold(database, "s")
        await Retention(database, Terms(30 * DAY, 90 * DAY, delivers=True, undelivered=True)).purge(NOW)
        assert await names(database) == {"s"}

    async def test_what_is_open_or_still_being_heard_stays(self, database: Database) -> None:
        await begin(Sessions(database), "open")
        await hold(database, "waiting", delivered=BEGAN)
        async with database.write() as connection:
            await connection.execute(
                update(tables.sessions)
                .where(tables.sessions.c.session_id == "waiting")
                .values(refinement=Refinement.WAITING)
            )
        plan = await Retention(database, TERMS).plan(NOW)
        assert plan.goes == []
        assert plan.stays == {Why.OPEN: 1, Why.REFINING: 1}

    async def test_a_dry_run_changes_nothing_and_tells_all(self, database: Database, path: Path) -> None:
        await hold(database, "gone", delivered=BEGAN)
        await hold(database, "young", delivered=NOW)
        await hold(database, "held")
        plan = await Retention(database, TERMS).plan(NOW)
        assert plan.goes == [("gone", Why.DELIVERED)]
        assert plan.stays == {Why.YOUNG: 1, Why.UNDELIVERED: 1}
        assert await names(database) == {"gone", "young", "held"}


class TestPurge:
    async def test_nothing_of_it_is_left_in_any_file(self, database: Database, path: Path) -> None:
        await hold(database, "patient-seven", delivered=BEGAN)
        await hold(database, "other")
        assert b"patient-seven" in path.with_name(path.name + "-wal").read_bytes()
        async with database.write() as connection:
            # Nor in the audit, whose ids would be found: it has its own time.
            await connection.execute(text("DROP TRIGGER audit_log_is_not_deleted"))
        done = await Retention(database, TERMS).purge(NOW)
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM audit_log"))
        await database.scrub()
        assert done.scrubbed
        for file in path.parent.iterdir():
            assert b"patient-seven" not in file.read_bytes()
        async with database.read() as connection:
            assert (await connection.execute(text("PRAGMA freelist_count"))).scalar_one() == 0
            for table in tables.metadata.sorted_tables:
                if "session_id" in table.c:
                    found = await connection.execute(
                        table.select().where(table.c.session_id == "patient-seven")
                    )
                    assert found.first() is None

    async def test_the_audit_tells_who_let_it_go_and_why(self, database: Database) -> None:
        await hold(database, "s", delivered=BEGAN)
        await Retention(database, TERMS).purge(NOW)
        row = (await Audit(database).entries())[-1]
        assert (row.actor, row.action, row.object) == ("box", "session.deleted", "s")
        assert (row.origin, row.outcome) == ("schedule", "delivered")

    async def test_old_rows_of_the_audit_go_and_that_is_on_record(self, database: Database) -> None:
        await hold(database, "s", delivered=NOW)
        audit = Audit(database)
        before = len(await audit.entries())
        done = await Retention(database, TERMS).purge(datetime.now(UTC) + 91 * DAY)
        assert done.audit_rows >= before
        assert (await audit.entries())[0].action == "audit.purged"
        assert (await audit.verify()).broken_at is None

    async def test_a_client_that_came_back_meanwhile_keeps_its_session(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The plan is made once; each session is judged again in the transaction that destroys it."""
        await hold(database, "back", delivered=BEGAN)
        retention = Retention(database, TERMS)
        plan = await retention.plan(NOW)
        async with database.write() as connection:
            await connection.execute(update(tables.uploads).values(status="pending", delivered_at=None))

        async def old_plan(now: datetime):
            return plan

        monkeypatch.setattr(retention, "plan", old_plan)
        assert (await retention.purge(NOW)).sessions == 0
        assert await names(database) == {"back"}

    async def test_what_a_crash_left_readable_goes_at_the_next_start(self, path: Path) -> None:
        """The transaction is on the disk, the log was not emptied: the next purge does it, with nothing to destroy."""
        async with open_database(path) as database:
            await hold(database, "patient-seven", delivered=BEGAN)
            scrub = database.scrub
            database.scrub = never  # type: ignore[method-assign]
            with pytest.raises(Unplugged):
                await Retention(database, TERMS).purge(NOW)
            database.scrub = scrub  # type: ignore[method-assign]
            log = path.with_name(path.name + "-wal")
            assert b"patient-seven" in log.read_bytes()
            assert (await Retention(database, TERMS).purge(NOW)).scrubbed
            assert b"patient-seven" not in log.read_bytes()

    async def test_a_reader_delays_the_scrubbing_and_not_the_purge(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ambientd.store.database.SCRUB_PAUSE", 0.01)
        await hold(database, "s", delivered=BEGAN)
        retention = Retention(database, TERMS)
        async with database.read() as connection:
            await connection.execute(text("SELECT count(*) FROM realtime_sessions"))
            done = await retention.purge(NOW)
            assert (done.sessions, done.scrubbed) == (1, False)
        assert await retention.scrub()

    async def test_it_runs_when_it_is_woken(self, database: Database) -> None:
        await hold(database, "s", delivered=BEGAN)
        wake = asyncio.Event()
        async with purging(Retention(database, TERMS), wake):
            await asyncio.sleep(0.05)
            assert await names(database) == {"s"}
            wake.set()
            async with asyncio.timeout(5):
                while await names(database):
                    await asyncio.sleep(0.01)

    async def test_one_that_fails_is_told_and_the_next_one_runs(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        await hold(database, "s", delivered=BEGAN)
        retention, wake = Retention(database, TERMS), asyncio.Event()
        wake.set()
        with monkeypatch.context() as broken:
            broken.setattr(database, "scrub", never)
            async with purging(retention, wake):
                async with asyncio.timeout(5):
                    while "failed unexpectedly" not in caplog.text:
                        await asyncio.sleep(0.01)
                assert retention.last is None
                broken.undo()
                wake.set()
                async with asyncio.timeout(5):
                    while retention.last is None:
                        await asyncio.sleep(0.01)
        (told,) = [record for record in caplog.records if "unexpectedly" in record.message]
        assert told.exc_info is not None
        assert told.exc_info[0] is Unplugged


class TestDelete:
    async def test_one_session_on_demand(self, database: Database) -> None:
        await hold(database, "s", delivered=NOW)
        assert await Retention(database, TERMS).delete("s", force=False, actor="operator", origin="127.0.0.1")
        assert await names(database) == set()
        row = (await Audit(database).entries())[-1]
        assert (row.actor, row.origin, row.outcome) == ("operator", "127.0.0.1", "wanted")

    async def test_the_only_copy_goes_only_if_he_insists(self, database: Database) -> None:
        await hold(database, "s")
        retention = Retention(database, TERMS)
        with pytest.raises(NotDelivered, match="only copy"):
            await retention.delete("s", force=False, actor="operator", origin="x")
        assert await names(database) == {"s"}
        await retention.delete("s", force=True, actor="operator", origin="x")
        assert await names(database) == set()

    async def test_an_open_session_is_ended_first(self, database: Database) -> None:
        await begin(Sessions(database), "s")
        with pytest.raises(StillOpen):
            await Retention(database, TERMS).delete("s", force=True, actor="operator", origin="x")

    async def test_none_of_that_id(self, database: Database) -> None:
        with pytest.raises(NoSuchSession):
            await Retention(database, TERMS).delete("s", force=True, actor="operator", origin="x")


OLD_COPIES = (
    "ambientd.db.corrupt.20250101T000000Z",
    "ambientd.db.corrupt.20250101T000000Z-wal",
    "ambientd.db.replaced.20250101T000000Z",
)


class TestCopies:
    def lay(self, path: Path) -> dict[str, float]:
        old, young = (datetime.now(UTC) - 31 * DAY).timestamp(), (datetime.now(UTC) - 29 * DAY).timestamp()
        ages = {
            "ambientd.db.backup-0001": old,
            **dict.fromkeys(OLD_COPIES, old),
            "ambientd.db.backup-0002": young,
            "ambientd.db.corrupt.20260101T000000Z": young,
            "another.db.backup-0001": old,
            "my-notes": old,
        }
        for name, age in ages.items():
            path.with_name(name).write_bytes(b"x")
            os.utime(path.with_name(name), (age, age))
        return ages

    async def test_an_old_backup_goes_and_nothing_that_may_be_the_only_copy(
        self, database: Database, path: Path
    ) -> None:
        ages = self.lay(path)
        retention = Retention(database, TERMS)
        plan = await retention.plan(datetime.now(UTC))
        assert [copy.name for copy in plan.overdue_copies] == [OLD_COPIES[0], OLD_COPIES[2]]
        done = await retention.purge(datetime.now(UTC))
        gone = {name for name in ages if not path.with_name(name).exists()}
        assert gone == {"ambientd.db.backup-0001"} == {copy.name for copy in done.copies}
        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("PRAGMA quick_check").fetchone() == ("ok",)

    async def test_a_person_deletes_one_with_its_log_and_that_is_on_record(
        self, database: Database, path: Path
    ) -> None:
        ages = self.lay(path)
        await Retention(database, TERMS).delete_copy(OLD_COPIES[0], actor="operator", origin="127.0.0.1")
        gone = {name for name in ages if not path.with_name(name).exists()}
        assert gone == set(OLD_COPIES[:2])
        row = (await Audit(database).entries())[-1]
        assert (row.actor, row.action, row.object) == ("operator", "copy.deleted", OLD_COPIES[0])

    @pytest.mark.parametrize(
        "name", ["ambientd.db", "my-notes", "box.key", OLD_COPIES[1], "../x", "another.db.backup-0001"]
    )
    async def test_nothing_else_is_deleted_by_name(self, database: Database, path: Path, name: str) -> None:
        self.lay(path)
        with pytest.raises(NoSuchCopy):
            await Retention(database, TERMS).delete_copy(name, actor="operator", origin="x")

    def test_a_damaged_file_is_as_old_as_its_being_set_aside(self, tmp_path: Path) -> None:
        """Nobody has written to it for a year; that is no reason to call it overdue the next day."""
        file = tmp_path / "ambientd.db"
        file.write_bytes(b"x")
        os.utime(file, (1, 1))
        aside = set_aside(file, "torn")
        assert older_than(file, datetime.now(UTC) - DAY, ".corrupt.") == []
        assert older_than(file, datetime.now(UTC) + DAY, ".corrupt.") == [aside]


class Unplugged(Exception):
    pass


async def never() -> bool:
    raise Unplugged
