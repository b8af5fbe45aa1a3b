"""The steps of a delivery, each one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.delivery import PartStatus, UploadStatus
from ambientd.core.record import EndReason, SessionState
from ambientd.store import outbox, tables
from ambientd.store.database import Database
from ambientd.store.deliveries import FARTHEST, Outbox
from ambientd.store.lines import Lines
from ambientd.store.refusals import SealBroken
from ambientd.store.sessions import Sessions

NOW = BEGAN + timedelta(minutes=5)


async def ended(database: Database, session_id: str, *texts: str) -> str:
    """A session's row in the outbox."""
    sessions, lines = Sessions(database), Lines(database)
    await begin(sessions, session_id)
    for index, text in enumerate(texts):
        await lines.append_line(session_id, line(index, text), figures([]))
    await sessions.finalise(
        session_id,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN,
        metrics=figures([]),
    )
    return (await Outbox(database).named(session_id))[0].id


async def begun(database: Database, row: str, most: int | None = None, now: datetime = NOW):
    return await Outbox(database).begin(row, most=most, now=now, by_the_centre=now)


async def test_a_row_is_cut_where_turns_begin_and_its_first_part_marked(database: Database) -> None:
    row = await ended(database, "s", "Good morning.", "Where does it hurt?", "Here.")
    parcel = await begun(database, row, most=20)

    assert parcel is not None
    assert [parcel.words(part) for part in parcel.upload.parts] == [
        "Good morning. ",
        "Where does it hurt? ",
        "Here.",
    ]
    assert [part.status for part in parcel.upload.parts] == [
        PartStatus.IN_FLIGHT,
        PartStatus.PENDING,
        PartStatus.PENDING,
    ]
    assert (parcel.upload.status, parcel.upload.attempts, parcel.fresh) == (UploadStatus.IN_FLIGHT, 1, True)


async def test_a_part_in_flight_is_taken_up_as_it_is(database: Database) -> None:
    """Its mark is of the first time, and it is cut as it was then."""
    row = await ended(database, "s", "Good morning.", "Where does it hurt?")
    await begun(database, row, most=20)
    again = await begun(database, row, most=None, now=NOW + timedelta(hours=1))

    assert again is not None
    assert not again.fresh
    assert len(again.upload.parts) == 2
    assert again.upload.parts[0].attempted_at == NOW


async def test_one_part_after_the_other_is_noted(database: Database) -> None:
    row = await ended(database, "s", "Good morning.", "Where does it hurt?")
    deliveries = Outbox(database)
    await begun(database, row, most=20)
    first = await deliveries.delivered(row, 0, receipt=("u0", "t0"), now=NOW, by_the_centre=NOW, answers=True)
    second = await deliveries.delivered(
        row, 1, receipt=("u1", None), now=NOW, by_the_centre=NOW, answers=True
    )

    assert first is not None
    assert second is not None
    assert [part.status for part in first.parts] == [PartStatus.DELIVERED, PartStatus.IN_FLIGHT]
    assert (second.status, second.delivered_at, second.answers) == (UploadStatus.DELIVERED, NOW, "waiting")
    assert await deliveries.claimed(["u0", "u1", "u2"]) == {"u0", "u1"}
    assert await begun(database, row) is None


async def test_a_row_put_off_by_a_clock_that_was_wrong_is_due(database: Database) -> None:
    """A clock set back a year must not silence a row for a year."""
    row = await ended(database, "s", "Good morning.")
    deliveries = Outbox(database)
    await begun(database, row)
    await deliveries.postpone(row, until=NOW + timedelta(minutes=10), error="later.", not_sent=0)
    assert await deliveries.due(NOW) == []
    assert await deliveries.due(NOW + timedelta(minutes=11)) == [row]
    await deliveries.postpone(row, until=NOW + FARTHEST + timedelta(days=365), error="later.")

    assert await deliveries.due(NOW) == [row]


async def test_those_that_waited_longest_are_due_first(database: Database) -> None:
    first, second = await ended(database, "a", "Good morning."), await ended(database, "b", "Good day.")
    deliveries = Outbox(database)
    await begun(database, first)
    await deliveries.postpone(first, until=BEGAN + timedelta(minutes=1), error="later.", not_sent=0)

    assert await deliveries.due(NOW) == [second, first]
    assert await deliveries.due(NOW, untried=True) == [second]


async def test_what_was_held_goes_with_the_text_of_then(database: Database) -> None:
    row = await ended(database, "s", "Good morning.")
    deliveries = Outbox(database)

    async def hold(connection: outbox.AsyncConnection) -> None:
        await connection.execute(
            update(tables.uploads).values(status="held", held_until="2026-01-15T10:06:00.000000Z")
        )

    await database.transact(hold)
    assert await deliveries.let_go(NOW) == 0
    assert await deliveries.next_time() == BEGAN + timedelta(minutes=6)
    assert await deliveries.let_go(NOW + timedelta(minutes=1)) == 1
    assert await deliveries.due(NOW + timedelta(minutes=1)) == [row]


async def test_a_session_whose_key_is_gone_holds_up_nobody(database: Database) -> None:
    row = await ended(database, "s", "Good morning.")
    other = await ended(database, "t", "Good day.")

    async def lose(connection: outbox.AsyncConnection) -> None:
        await connection.execute(tables.session_keys.delete().where(tables.session_keys.c.session_id == "s"))

    await database.transact(lose)
    database.vault.forget("s")
    with pytest.raises(SealBroken):
        await begun(database, row)
    assert await begun(database, other) is not None


async def test_counts_and_the_oldest(database: Database) -> None:
    deliveries = Outbox(database)
    assert await deliveries.oldest() is None
    row = await ended(database, "s", "Good morning.")
    await ended(database, "t", "Good day.")
    await deliveries.park(row, reason="parked by hand.")
    counts = await deliveries.counts()

    assert (counts[UploadStatus.PARKED], counts[UploadStatus.PENDING]) == (1, 1)
    assert await deliveries.oldest() == BEGAN
    assert [item.session_id for item in await deliveries.items(status=UploadStatus.PARKED)] == ["s"]
    assert await deliveries.again(row, NOW)
    assert set(await deliveries.due(NOW)) == {row, (await deliveries.named("t"))[0].id}
