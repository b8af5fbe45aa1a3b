"""How a session ends: with its delivery in one transaction, or destroyed; and what may still happen after."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from stored_speech import BEGAN, figures, line

from ambientd.core.delivery import UploadStatus
from ambientd.core.record import Box, Consent, Details, EndReason, Refinement, SessionRecord, SessionState
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.endings import Holds
from ambientd.store.facts import box_id
from ambientd.store.lines import Lines
from ambientd.store.refusals import NoSuchSession, NotDelivered, SealBroken
from ambientd.store.retention import Retention, Terms, Why
from ambientd.store.sessions import Sessions

BOX = Box("box-7", "Room 3", "q8_0")
CONSENT = Consent("the patient", BEGAN, "2026-01")


async def speak(sessions: Sessions, lines: Lines, *texts: str, name: str = "s", **more: Any) -> None:
    await sessions.create(name, connected_at=BEGAN, client="x", language="auto", model="m", box=BOX, **more)
    said = [line(index, spoken) for index, spoken in enumerate(texts)]
    for index, each in enumerate(said):
        await lines.append_line(name, each, figures(said[: index + 1]))


async def finish(sessions: Sessions, name: str = "s", **more: Any) -> None:
    await sessions.finalise(
        name,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN + timedelta(minutes=5),
        metrics=figures([]),
        **more,
    )


def uploads(path: Path) -> list[tuple[Any, ...]]:
    """Session, status, size, held until, of each row."""
    with closing(sqlite3.connect(path)) as shell:
        return shell.execute(
            "SELECT session_id, status, size, held_until FROM conversation_uploads ORDER BY session_id"
        ).fetchall()


async def record_of(sessions: Sessions, name: str = "s") -> SessionRecord:
    record = await sessions.get(name)
    assert record is not None
    return record


class TestFinalise:
    async def test_the_record_tells_box_room_language_and_time(
        self, sessions: Sessions, lines: Lines
    ) -> None:
        await speak(sessions, lines, "Hola.")
        await finish(sessions, language="es", monotonic_end=312.5)
        record = await record_of(sessions)

        assert (record.box_id, record.room, record.quantisation) == ("box-7", "Room 3", "q8_0")
        assert (record.language, record.monotonic_end, record.ephemeral) == ("es", 312.5, False)

    async def test_its_delivery_is_noted_with_it(self, path: Path, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Übel?", "Yes.")
        await finish(sessions)

        assert uploads(path) == [("s", "pending", len("Übel? Yes.".encode()), None)]

    async def test_without_words_there_is_nothing_to_deliver(
        self, path: Path, sessions: Sessions, lines: Lines
    ) -> None:
        await speak(sessions, lines)
        await finish(sessions, refinement=Refinement.WAITING)

        assert uploads(path) == []
        assert (await record_of(sessions)).refinement is Refinement.NONE

    async def test_both_or_neither(
        self, path: Path, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        """If the delivery cannot be noted, the session has not ended either."""
        await speak(sessions, lines, "Yes.")
        async with database.write() as connection:
            await connection.execute(
                text(
                    "CREATE TRIGGER no_room BEFORE INSERT ON conversation_uploads "
                    "BEGIN SELECT RAISE(ROLLBACK, 'no room'); END"
                )
            )
        with pytest.raises(IntegrityError):
            await finish(sessions)

        assert uploads(path) == []
        assert (await record_of(sessions)).state is SessionState.OPEN


class TestEphemeral:
    async def test_is_destroyed_at_its_end(self, path: Path, sessions: Sessions, lines: Lines) -> None:
        """Not a row, a word or a delivery of it is left, in the file or its log."""
        await speak(sessions, lines, "Wolpertinger.", ephemeral=True)
        await sessions.describe("s", Details("enc-quartz"))
        await finish(sessions)

        assert await sessions.get("s") is None
        assert await lines.lines("s") == []
        assert uploads(path) == []
        for file in path.parent.iterdir():
            assert b"Wolpertinger" not in file.read_bytes()
            assert b"enc-quartz" not in file.read_bytes()

    async def test_is_destroyed_after_a_crash(self, path: Path, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Wolpertinger.", ephemeral=True)

        assert await sessions.recover() == []
        assert await sessions.get("s") is None
        for file in path.parent.iterdir():
            assert b"Wolpertinger" not in file.read_bytes()


class TestRefinement:
    async def test_the_delivery_waits_for_it(self, path: Path, database: Database, lines: Lines) -> None:
        sessions = Sessions(database, Holds(refinement=timedelta(minutes=10)))
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)

        assert uploads(path) == [("s", "held", 4, "2026-01-15T10:15:00.000000Z")]

    async def test_its_lines_become_the_final_ones(
        self, path: Path, sessions: Sessions, lines: Lines
    ) -> None:
        """Text, length and delivery change together; the live lines stay as they were shown."""
        await speak(sessions, lines, "It hearts.", "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)
        better = [line(0, "It hurts."), line(1, "Oh yes.")]

        assert await lines.final("s") == [line(0, "It hearts."), line(1, "Yes.")]
        assert await sessions.refined("s", better, "small-q8_0")
        record = await record_of(sessions)

        assert record.refinement is Refinement.DONE
        assert record.transcript_length == len("It hurts. Oh yes.")
        assert await sessions.text("s") == "It hurts. Oh yes."
        assert await lines.final("s") == [replace(each, model="small-q8_0") for each in better]
        assert await lines.refined("s") == await lines.final("s")
        assert await lines.lines("s") == [line(0, "It hearts."), line(1, "Yes.")]
        assert uploads(path) == [("s", "pending", len("It hurts. Oh yes."), None)]

    async def test_it_is_taken_once(self, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)

        assert await sessions.refined("s", [line(0, "Yes!")], "m")
        assert not await sessions.refined("s", [line(0, "No!")], "m")
        assert not await sessions.refined("nobody", [line(0, "No!")], "m")
        assert await sessions.text("s") == "Yes!"

    async def test_that_heard_nothing_changes_nothing(
        self, path: Path, sessions: Sessions, lines: Lines
    ) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)

        assert not await sessions.refined("s", [], "m")
        assert (await record_of(sessions)).refinement is Refinement.FAILED
        assert uploads(path) == [("s", "pending", 4, None)]

    async def test_it_comes_too_late_for_what_is_on_its_way(
        self, path: Path, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        """What the centre gets and what the box holds are the same text."""
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)
        async with database.write() as connection:
            await connection.execute(text("UPDATE conversation_uploads SET status = 'in_flight'"))

        assert not await sessions.refined("s", [line(0, "Oh no.")], "m")
        assert await sessions.text("s") == "Yes."
        assert (await record_of(sessions)).refinement is Refinement.SKIPPED
        assert [row[:3] for row in uploads(path)] == [("s", "in_flight", 4)]

    @pytest.mark.parametrize("why", [Refinement.FAILED, Refinement.SKIPPED])
    async def test_without_it_the_live_text_is_delivered(
        self, path: Path, sessions: Sessions, lines: Lines, why: Any
    ) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)

        assert await sessions.not_refined("s", why)
        assert not await sessions.not_refined("s", why)
        assert (await record_of(sessions)).refinement is why
        assert uploads(path) == [("s", "pending", 4, None)]

    async def test_a_crash_ends_the_wait(self, path: Path, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions, refinement=Refinement.WAITING)

        assert await sessions.recover() == []
        assert (await record_of(sessions)).refinement is Refinement.SKIPPED
        assert uploads(path) == [("s", "pending", 4, None)]


class TestReopen:
    async def test_a_session_a_crash_cut_off_goes_on(
        self, path: Path, sessions: Sessions, lines: Lines
    ) -> None:
        await speak(sessions, lines, "Yes.")
        await sessions.recover()
        assert [row[:2] for row in uploads(path)] == [("s", "held")]
        record = await sessions.reopen("s")

        assert record is not None
        assert (record.state, record.ended_at, record.reason) == (SessionState.OPEN, None, None)
        assert (record.total_chunks, record.transcript_length) == (1, 4)
        assert uploads(path) == []
        await lines.append_line("s", line(1, "And here."), figures([line(0), line(1)]))
        await finish(sessions)
        assert await sessions.text("s") == "Yes. And here."
        assert [row[:2] for row in uploads(path)] == [("s", "pending")]

    async def test_its_delivery_waits_for_the_client(
        self, path: Path, database: Database, lines: Lines
    ) -> None:
        sessions = Sessions(database, Holds(return_=timedelta(seconds=90)))
        await speak(sessions, lines, "Yes.")
        before = datetime.now(UTC)
        await sessions.recover()
        ((_, status, _, held_until),) = uploads(path)

        assert status == "held"
        assert before <= datetime.fromisoformat(held_until) - timedelta(seconds=90) <= datetime.now(UTC)

    async def test_not_what_is_on_its_way(self, database: Database, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Yes.")
        await sessions.recover()
        async with database.write() as connection:
            await connection.execute(
                text("UPDATE conversation_uploads SET status = 'in_flight', attempts = 1")
            )

        assert await sessions.reopen("s") is None
        assert (await record_of(sessions)).state is SessionState.INTERRUPTED

    async def test_not_what_ended_properly(self, path: Path, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions)

        assert await sessions.reopen("s") is None
        assert await sessions.reopen("nobody") is None
        assert (await record_of(sessions)).state is SessionState.ENDED
        assert len(uploads(path)) == 1


class TestDetails:
    @pytest.mark.parametrize(
        "details",
        [
            Details(),
            Details("enc-1", "pat-1", CONSENT),
            Details(consent=replace(CONSENT, withdrawn_at=BEGAN + timedelta(minutes=2))),
        ],
    )
    async def test_are_given_back(self, sessions: Sessions, lines: Lines, details: Details) -> None:
        await speak(sessions, lines)
        assert await sessions.details("s") == Details()
        await sessions.describe("s", details)

        assert await sessions.details("s") == details

    async def test_may_come_after_the_end(self, sessions: Sessions, lines: Lines) -> None:
        await speak(sessions, lines, "Yes.")
        await finish(sessions)
        await sessions.describe("s", Details("enc-1"))

        assert await sessions.details("s") == Details("enc-1")

    async def test_of_nobody(self, sessions: Sessions) -> None:
        assert await sessions.details("nobody") == Details()
        with pytest.raises(NoSuchSession):
            await sessions.describe("nobody", Details())


async def test_the_box_keeps_its_id(database: Database) -> None:
    made = await box_id(database)

    assert len(made) == 36
    assert await box_id(database) == made


class TestALineThatDoesNotOpen:
    """The file is sound, one stored line is not: what the others say is kept, and a person decides."""

    async def crashed(self, path: Path, *, broken: tuple[int, ...] = (1,), key: bool = True) -> None:
        async with open_database(path) as database:
            await speak(Sessions(database), Lines(database), "Chest pain", "since Monday", "no fever")
        with closing(sqlite3.connect(path)) as shell, shell:
            shell.executemany(
                "UPDATE realtime_transcript_chunks SET words = zeroblob(40) WHERE chunk_index = ?",
                [(index,) for index in broken],
            )
            if not key:
                shell.execute("UPDATE session_keys SET wrapped = zeroblob(61)")

    async def test_the_others_are_kept_and_parked(self, path: Path) -> None:
        await self.crashed(path)
        async with open_database(path) as database:
            assert await Sessions(database).recover() == ["s"]
            (row,) = await Outbox(database).items()
            assert (row.status, row.size) == (UploadStatus.PARKED, len("Chest pain no fever"))
            assert "1 of 3 lines" in str(row.last_error)
            record = await record_of(Sessions(database))
            assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.ERROR)
            assert await Outbox(database).due(datetime.now(UTC) + timedelta(days=9)) == []

    async def test_they_are_sent_if_he_says_so(self, path: Path) -> None:
        await self.crashed(path)
        async with open_database(path) as database:
            await Sessions(database).recover()
            outbox, now = Outbox(database), datetime.now(UTC)
            (row,) = await outbox.items()
            assert await outbox.again(row.id, now)
            parcel = await outbox.begin(row.id, most=12, now=now, by_the_centre=now)
            assert parcel is not None
            assert [parcel.words(part) for part in parcel.upload.parts] == ["Chest pain ", "no fever"]

    @pytest.mark.parametrize(("broken", "key"), [((0, 1, 2), True), ((), False)])
    async def test_where_none_opens_nothing_is_sent(
        self, path: Path, broken: tuple[int, ...], *, key: bool
    ) -> None:
        await self.crashed(path, broken=broken, key=key)
        async with open_database(path) as database:
            await Sessions(database).recover()
            outbox = Outbox(database)
            (row,) = await outbox.items()
            assert (row.status, row.size) == (UploadStatus.PARKED, 0)
            try:
                assert not await outbox.again(row.id, datetime.now(UTC))
            except SealBroken:
                assert not key
            assert [each.status for each in await outbox.items()] == [UploadStatus.PARKED]

    async def test_it_outlives_every_purge(self, path: Path) -> None:
        await self.crashed(path)
        async with open_database(path) as database:
            await Sessions(database).recover()
            retention = Retention(database, Terms(timedelta(days=1), timedelta(days=1), delivers=True))
            assert (await retention.purge(datetime.now(UTC) + timedelta(days=900))).sessions == 0
            with pytest.raises(NotDelivered):
                await retention.delete("s", force=False, actor="operator", origin="x")

    async def test_words_in_no_outbox_are_words_nobody_has(self, path: Path) -> None:
        """Whatever it was that left them without a row."""
        async with open_database(path) as database:
            await speak(Sessions(database), Lines(database), "Chest pain")
            await finish(Sessions(database))
            async with database.write() as connection:
                await connection.execute(text("DELETE FROM conversation_uploads"))
            retention = Retention(database, Terms(timedelta(days=1), timedelta(days=1), delivers=True))
            assert (await retention.plan(datetime.now(UTC))).overdue == [("s", Why.UNDELIVERED)]
            with pytest.raises(NotDelivered):
                await retention.delete("s", force=False, actor="operator", origin="x")
