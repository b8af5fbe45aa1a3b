"""The outbox as those see it who end, refine and resume sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from stored_speech import BEGAN, begin

from ambientd.store import outbox, tables
from ambientd.store.database import Database
from ambientd.store.deliveries import Outbox
from ambientd.store.sessions import Sessions

LATER = BEGAN + timedelta(minutes=1)


async def row(database: Database) -> dict[str, object] | None:
    async with database.read() as connection:
        found = (await connection.execute(select(tables.uploads))).mappings().one_or_none()
        return None if found is None else dict(found)


@pytest.fixture(autouse=True)
async def session(sessions: Sessions) -> None:
    await begin(sessions, "s")


async def enqueued(database: Database, text: str = "Good day. Ä", *, held: bool = False) -> bool:
    return await database.transact(
        lambda connection: outbox.enqueue(
            connection, "s", text=text, held_until=LATER if held else None, at=BEGAN
        )
    )


async def test_a_text_is_due_at_once(database: Database) -> None:
    assert await enqueued(database)
    found = await row(database)

    assert found is not None
    assert (found["session_id"], found["status"], found["size"]) == ("s", "pending", 12)
    assert found["next_attempt_at"] == found["created_at"] == "2026-01-15T10:00:00.000000Z"


@pytest.mark.parametrize("text", ["", " \n"])
async def test_no_words_make_no_row(database: Database, text: str) -> None:
    assert not await enqueued(database, text)
    assert await row(database) is None


async def test_a_rolled_back_end_leaves_no_row(database: Database) -> None:
    """The row and the end of the session are one transaction."""

    async def fail(connection: outbox.AsyncConnection) -> None:
        await outbox.enqueue(connection, "s", text="Good day.", held_until=None, at=BEGAN)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.transact(fail)
    assert await row(database) is None


async def test_a_held_row_goes_with_the_refined_text(database: Database) -> None:
    await enqueued(database, held=True)
    held = await row(database)
    released = await database.transact(
        lambda connection: outbox.release(connection, "s", text="Good day!", at=LATER)
    )
    found = await row(database)

    assert held is not None
    assert (held["status"], held["next_attempt_at"]) == ("held", None)
    assert released
    assert found is not None
    assert (found["status"], found["size"], found["held_until"]) == ("pending", 9, None)
    assert found["digest"] != held["digest"]


async def test_a_refined_text_without_words_lets_the_row_go_as_it_is(database: Database) -> None:
    """The second hearing heard nothing: what was shown is still what was said."""
    await enqueued(database, held=True)

    assert not await database.transact(lambda connection: outbox.release(connection, "s", text=" ", at=LATER))
    found = await row(database)
    assert found is not None
    assert (found["status"], found["size"]) == ("pending", 12)


async def test_a_held_row_that_is_parked_still_takes_the_refined_text(database: Database) -> None:
    """It stays with the person who parked it, and goes with the text of then."""
    await enqueued(database, held=True)
    held = await row(database)
    assert held is not None
    deliveries = Outbox(database)
    assert await deliveries.park(str(held["id"]), reason="parked by hand.")
    released = await database.transact(
        lambda connection: outbox.release(connection, "s", text="Good day!", at=LATER)
    )
    found = await row(database)

    assert released
    assert found is not None
    assert (found["status"], found["size"], found["next_attempt_at"]) == ("parked", 9, None)
    assert found["digest"] != held["digest"]
    assert not await database.transact(lambda connection: outbox.withdraw(connection, "s"))


async def attempt(connection: outbox.AsyncConnection) -> None:
    await connection.execute(tables.uploads.update().values(attempts=1, status="in_flight"))


async def test_what_may_have_been_sent_keeps_its_text(database: Database) -> None:
    await enqueued(database)
    await database.transact(attempt)
    before = await row(database)

    assert not await database.transact(
        lambda connection: outbox.release(connection, "s", text="Too late.", at=LATER)
    )
    assert not await database.transact(lambda connection: outbox.withdraw(connection, "s"))
    assert await row(database) == before


@pytest.mark.parametrize("held", [True, False])
async def test_an_unsent_row_can_be_withdrawn_and_made_again(database: Database, *, held: bool) -> None:
    await enqueued(database, held=held)

    assert await database.transact(lambda connection: outbox.withdraw(connection, "s"))
    assert await row(database) is None
    assert await enqueued(database)


async def test_a_session_without_a_row_may_go_on(database: Database) -> None:
    assert await database.transact(lambda connection: outbox.withdraw(connection, "s"))
