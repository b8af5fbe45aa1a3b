"""A clock that may be wrong destroys nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from stored_speech import BEGAN
from test_retention import NOW, TERMS, hold, names

from ambientd.store import retention as module
from ambientd.store.audit import Audit
from ambientd.store.clock import FARTHEST, Doubt
from ambientd.store.database import Database
from ambientd.store.refusals import ClockDoubtful
from ambientd.store.retention import Retention, Why, purging

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("clock", "doubt"),
    [
        (NOW + 365 * DAY, Doubt.AHEAD),
        (NOW + FARTHEST + DAY, Doubt.AHEAD),
        (NOW - 2 * DAY, Doubt.BEHIND),
        (datetime(1970, 1, 1, tzinfo=UTC), Doubt.UNSET),
    ],
)
async def test_nothing_goes_by_it(database: Database, clock: datetime, doubt: Doubt) -> None:
    retention = Retention(database, TERMS)
    await retention.purge(NOW)
    await hold(database, "s", delivered=NOW - 31 * DAY)
    before = len(await Audit(database).entries())
    with pytest.raises(ClockDoubtful, match=doubt):
        await retention.purge(clock)
    assert retention.doubt is doubt
    assert (await retention.plan(clock)).doubt is doubt
    assert await names(database) == {"s"}
    assert len(await Audit(database).entries()) == before
    assert (await retention.purge(NOW)).sessions == 1
    assert retention.doubt is None


async def test_the_mark_goes_with_the_clock(database: Database) -> None:
    retention = Retention(database, TERMS)
    for days in (0, 34, 68, 67.5):  # an hour back is a time server's doing
        await retention.purge(NOW + timedelta(days=days))
    with pytest.raises(ClockDoubtful):
        await retention.purge(NOW + 60 * DAY)


async def test_a_person_knows_better(database: Database) -> None:
    await hold(database, "s", delivered=NOW)
    retention = Retention(database, TERMS)
    await retention.purge(NOW)
    assert (await retention.purge(NOW + 100 * DAY, clock_is_right=True)).sessions == 1
    actions = [(row.actor, row.action) for row in await Audit(database).entries()]
    assert ("box", "clock.vouched") in actions
    await retention.purge(NOW + 101 * DAY)


async def test_a_mark_of_a_wrong_clock_can_be_put_back(database: Database) -> None:
    retention = Retention(database, TERMS)
    await retention.purge(NOW + 365 * DAY)
    with pytest.raises(ClockDoubtful):
        await retention.purge(NOW)
    await retention.purge(NOW, clock_is_right=True)
    assert (await retention.purge(NOW + DAY)).sessions == 0


@pytest.mark.parametrize("delivered", [datetime(1970, 1, 2, tzinfo=UTC), BEGAN - 2 * DAY])
async def test_what_is_dated_wrongly_stays(database: Database, delivered: datetime) -> None:
    await hold(database, "s", delivered=delivered)
    retention = Retention(database, TERMS)
    assert (await retention.purge(NOW)).sessions == 0
    assert (await retention.plan(NOW)).overdue == [("s", Why.MISDATED)]


async def test_rows_of_the_audit_from_1970_go_with_the_next_that_has_a_date(database: Database) -> None:
    await hold(database, "s")
    async with database.write() as connection:
        await connection.execute(text("DROP TRIGGER audit_log_is_not_changed"))
        await connection.execute(text("UPDATE audit_log SET at = '1970-01-01T00:00:00.000000Z'"))
    rows = len(await Audit(database).entries())
    retention = Retention(database, TERMS)
    assert (await retention.purge(datetime.now(UTC))).audit_rows == 0
    await Audit(database).record(actor="box", action="x")
    later = datetime.now(UTC) + 91 * DAY
    # The one that vouches for the clock is of today, too.
    assert (await retention.purge(later, clock_is_right=True)).audit_rows == rows + 2


async def test_it_is_looked_at_again_when_nobody_wakes_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The time server answers minutes after the start, and the box is off at half past two."""
    monkeypatch.setattr(module, "AGAIN", 0.02)
    await hold(database, "s", delivered=BEGAN)
    retention, wake = Retention(database, TERMS), asyncio.Event()
    await retention.purge(BEGAN)  # the mark: far behind the real time
    wake.set()
    async with purging(retention, wake):
        async with asyncio.timeout(5):
            while retention.doubt is None:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert await names(database) == {"s"}
        assert caplog.text.count("nothing is purged") == 1
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM box_facts WHERE name = 'clock_seen'"))
        async with asyncio.timeout(5):
            while await names(database):
                await asyncio.sleep(0.01)
