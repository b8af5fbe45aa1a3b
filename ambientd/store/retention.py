"""What is kept how long, and how it goes.

    Rule 1  A transcript goes ``days`` after it was delivered, and never before; one without words ``days`` after its
            end.  Where nothing is delivered, because there is no centre, all stay, unless the settings say that they
            go ``days`` after their end.
    Rule 2  An operator may delete any session that has ended; one that nobody has received only if he insists.
    Rule 3  First the session's key, then its rows, in one transaction with the audit's row of it.  Then the log is
            emptied and free pages are given back.  That this is still to be done stands in the file from the same
            transaction on, so that after a crash the next start does it.
    Rule 4  A copy of the file from before a migration holds sessions that have gone since: it goes when it is ``days``
            old.  One that is damaged, or that a restore replaced, may hold the only copy of what was never delivered:
            when it is as old it is named, and only an operator deletes it.
    Rule 5  Nothing goes by a clock that cannot be right (see ``clock``), nor by a date that cannot be.

One transaction a session: a purge of thousands must not keep a live line waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.record import Refinement, SessionState
from ambientd.errors import StoreUnavailable
from ambientd.store import audit, clock, copies, spool, tables
from ambientd.store.audit import Action
from ambientd.store.clock import Doubt
from ambientd.store.database import Database
from ambientd.store.endings import SCRUB_DUE, destroy
from ambientd.store.facts import fact, forget_discarded, remember
from ambientd.store.refusals import ClockDoubtful, NoSuchCopy, NoSuchSession, NotDelivered, StillOpen
from ambientd.store.rows import TRANSCRIPTION, moment, moment_text
from ambientd.store.soundness import SIDECARS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say."""

    transcripts: timedelta
    audit: timedelta
    delivers: bool
    """Whether there is a centre: then nothing goes that it has not received."""
    undelivered: bool = False
    """Without a centre: whether transcripts go all the same."""


class Why(StrEnum):
    """What decides over a session."""

    DELIVERED = "delivered"
    WORDLESS = "no_words"
    OLD = "old"
    """Goes by age, there being no centre."""
    OPEN = "open"
    REFINING = "being_refined"
    YOUNG = "young"
    UNDELIVERED = "not_delivered"
    PARKED = "parked"
    """Its delivery waits for a person."""
    MISDATED = "misdated"
    """Its date is of a clock that was wrong, so nobody knows how old it is."""
    NO_CENTRE = "no_centre"
    """There is no centre to deliver to, and the settings let nothing go undelivered."""


AGAIN: Final = 600.0
"""Seconds until a clock in doubt is looked at again."""

GOING: Final = frozenset({Why.DELIVERED, Why.WORDLESS, Why.OLD})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a purge would do now."""

    goes: list[tuple[str, Why]]
    """Sessions, oldest first."""
    stays: Counter[Why]
    overdue: list[tuple[str, Why]]
    """Sessions old enough that stay all the same: somebody may want to know."""
    copies: list[Path]
    """Files beside the database that go."""
    overdue_copies: list[Path]
    """Files beside the database that are old enough, and wait for a person."""
    doubt: Doubt | None = None
    """What is wrong with the clock: then nothing goes at all."""


@dataclass(slots=True)
class Done:
    """What a purge has done."""

    sessions: int = 0
    audit_rows: int = 0
    copies: list[Path] = field(default_factory=list)
    scrubbed: bool = True
    """Whether nothing of it is left in the file and its log; otherwise the next purge tries again."""


class Retention:
    """Lets go of what has been kept long enough."""

    def __init__(self, database: Database, terms: Terms) -> None:
        self._database = database
        self.terms = terms
        """What the settings say; the next purge goes by them."""
        self.purged = 0
        """Sessions that have gone since the start."""
        self.last: datetime | None = None
        """When the last purge since the start was done."""
        self.doubt: Doubt | None = None
        """What was wrong with the clock when it was last to purge."""

    @property
    def quarantined(self) -> int:
        """Damaged files that lie beside the database and wait for a person."""
        return len(copies.damaged(self._database.path))

    async def plan(self, now: datetime) -> Plan:
        """What ``purge`` would do now, and why the rest stays.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        rows = await self._database.query(_all)
        goes: list[tuple[str, Why]] = []
        overdue: list[tuple[str, Why]] = []
        stays: Counter[Why] = Counter()
        for row in rows:
            why = self._judge(row, now)
            name = row[tables.sessions.c.session_id]
            if why in GOING:
                goes.append((name, why))
                continue
            stays[why] += 1
            if why in {Why.UNDELIVERED, Why.PARKED, Why.MISDATED, Why.NO_CENTRE} and self._is_old(
                _ended(row), now
            ):
                overdue.append((name, why))
        path, before = self._database.path, now - self.terms.transcripts
        old = await asyncio.to_thread(copies.older_than, path, before, copies.BACKUP)
        waiting = await asyncio.to_thread(copies.older_than, path, before, *copies.LAST)
        doubted = await self._database.query(lambda connection: clock.doubt(connection, now))
        return Plan(goes, stays, overdue, old, waiting, doubted)

    async def purge(
        self, now: datetime, *, actor: str = "box", origin: str = "schedule", clock_is_right: bool = False
    ) -> Done:
        """Let go of what has been kept long enough.

        clock_is_right: a person says that it is ``now``, whatever speaks against it.

        Raises:
            ClockDoubtful: it cannot be, or it is not certain, that it is ``now``; nothing has gone.
            StoreUnavailable: the file cannot be written; what had gone by then has gone.
        """
        await self._check(now, actor, origin, clock_is_right=clock_is_right)
        done = Done()
        plan = await self.plan(now)
        for name, _ in plan.goes:
            done.sessions += await self._let_go(name, now, actor=actor, origin=origin)
        done.audit_rows = await self._database.transact(lambda connection: self._forget(connection, now))
        for path in plan.copies:
            await asyncio.to_thread(copies.remove, path)
            done.copies.append(path)
        done.scrubbed = await self.scrub()
        self.last = now
        return done

    async def delete(self, session_id: str, *, force: bool, actor: str, origin: str) -> bool:
        """Let go of one session now, because somebody says so.

        force: even if nobody has received it.

        Returns:
            Whether nothing of it is left in the file and its log; otherwise the next purge tries again.

        Raises:
            NoSuchSession: there is none of that id.
            StillOpen: it has not ended.
            NotDelivered: nobody has received it, and ``force`` is not given.
            StoreUnavailable: it is still there.
        """

        async def work(connection: AsyncConnection) -> None:
            row = await _one(connection, session_id)
            if row is None:
                raise NoSuchSession
            recorded = row["transcription"] in spool.OVER
            if row[tables.sessions.c.state] == SessionState.OPEN and not recorded:
                raise StillOpen(session_id)
            if recorded and not force:
                raise NotDelivered(session_id)  # words that nobody has heard yet
            if not _is_wordless(row) and row[tables.uploads.c.status] != "delivered" and not force:
                raise NotDelivered(session_id)
            await destroy(connection, session_id, actor=actor, origin=origin, why="wanted")

        await self._database.transact(work)
        self.purged += 1
        return await self.scrub()

    async def delete_copy(self, name: str, *, actor: str, origin: str) -> None:
        """Delete a file beside the database, with its companions, because somebody says so.

        Raises:
            NoSuchCopy: there is none of that name.
            StoreUnavailable: it is still there, or part of it.
        """
        found = await asyncio.to_thread(lambda: list(copies.beside(self._database.path, *copies.KINDS)))
        copy = next((each for each in found if each.name == name), None)
        if copy is None or name.endswith(SIDECARS):
            raise NoSuchCopy
        # First: a file must not go without anybody knowing why.
        await self._database.transact(
            lambda connection: audit.record(
                connection, actor=actor, action=Action.COPY_DELETED, object=name, origin=origin
            )
        )
        await asyncio.to_thread(copies.remove, copy)

    async def scrub(self) -> bool:
        """Make unreadable what was deleted, if that is still to be done; whether it is.

        Raises:
            StoreUnavailable: the file cannot be written.
        """
        if await self._database.query(lambda connection: fact(connection, SCRUB_DUE)) != "yes":
            return True
        if not await self._database.scrub():
            return False
        # After it: a crash in between only makes the next start do it once more.
        await self._database.transact(lambda connection: remember(connection, SCRUB_DUE, "no"))
        return True

    async def keep(self, wake: asyncio.Event) -> None:
        """Purge whenever ``wake`` is set, for ever; where the clock is in doubt, when it no longer is."""
        while True:
            # A box that is off at night is woken only at its start, when the time server has not answered yet.
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), None if self.doubt is None else AGAIN)
            wake.clear()
            before = self.doubt
            try:
                done = await self.purge(datetime.now(UTC))
            except ClockDoubtful as error:
                if self.doubt is not before:
                    logger.error("nothing is purged", extra={"error": error})  # noqa: TRY400
                continue
            except StoreUnavailable as error:
                logger.error("the purge failed; the next one goes on with it", extra={"error": error})  # noqa: TRY400
                continue
            except Exception:
                # A task that ended here would end unseen, and what is to go would stay for months.
                logger.exception("the purge failed unexpectedly; the next one goes on with it")
                continue
            logger.info(
                "purged", extra={"sessions": done.sessions, "count": done.audit_rows, "status": done.scrubbed}
            )

    async def _check(self, now: datetime, actor: str, origin: str, *, clock_is_right: bool) -> None:
        async def work(connection: AsyncConnection) -> Doubt | None:
            if clock_is_right:
                await clock.believe(connection, now)
                await audit.record(connection, actor=actor, action=Action.CLOCK_VOUCHED, origin=origin)
                return None
            doubted = await clock.doubt(connection, now)
            if doubted is None:
                await clock.advance(connection, now)
            return doubted

        self.doubt = await self._database.transact(work)
        if self.doubt is not None:
            raise ClockDoubtful(self.doubt)

    async def _let_go(self, name: str, now: datetime, *, actor: str, origin: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            # Judged again: since the plan a client may have come back, or a row been released.
            row = await _one(connection, name)
            why = None if row is None else self._judge(row, now)
            if why not in GOING:
                return False
            return await destroy(connection, name, actor=actor, origin=origin, why=why)

        gone = await self._database.transact(work)
        self.purged += gone
        return gone

    async def _forget(self, connection: AsyncConnection, now: datetime) -> int:
        gone = await audit.forget(connection, now - self.terms.audit)
        await forget_discarded(connection, moment_text(now - self.terms.audit))
        if gone:
            await audit.record(
                connection, actor="box", action=Action.AUDIT_PURGED, origin="schedule", outcome=str(gone)
            )
        return gone

    def _judge(self, row: RowMapping, now: datetime) -> Why:
        state, status = row[tables.sessions.c.state], row[tables.uploads.c.status]
        if state == SessionState.OPEN:
            return Why.OPEN
        if row[tables.sessions.c.refinement] == Refinement.WAITING:
            return Why.REFINING
        if status == "delivered":
            why, since = Why.DELIVERED, moment(row[tables.uploads.c.delivered_at])
        elif _is_wordless(row):
            why, since = Why.WORDLESS, _ended(row)
        elif self.terms.delivers:
            return Why.PARKED if status == "parked" else Why.UNDELIVERED
        else:
            why, since = (Why.OLD if self.terms.undelivered else Why.NO_CENTRE), _ended(row)
        if why in GOING and since < max(
            clock.BORN, moment(row[tables.sessions.c.connected_at]) - clock.SLACK
        ):
            return Why.MISDATED
        return why if why not in GOING or self._is_old(since, now) else Why.YOUNG

    def _is_old(self, since: datetime, now: datetime) -> bool:
        return now - since >= self.terms.transcripts


@asynccontextmanager
async def purging(retention: Retention, wake: asyncio.Event) -> AsyncIterator[None]:
    """Purges whenever ``wake`` is set, for as long as the block lasts.

    One under way stops between two sessions; the next start makes good what is left of it.
    """
    task = asyncio.create_task(retention.keep(wake), name="purge")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _ended(row: RowMapping) -> datetime:
    # An open session counts from its beginning: it has not ended, so it is not asked for its end.
    return moment(row[tables.sessions.c.ended_at] or row[tables.sessions.c.connected_at])


def _is_wordless(row: RowMapping) -> bool:
    # That it is not in the outbox is not enough: words that are in no outbox are words that nobody has.
    return row[tables.uploads.c.status] is None and not row[tables.sessions.c.transcript_length]


_WANTED = select(
    tables.sessions.c.session_id,
    tables.sessions.c.state,
    tables.sessions.c.refinement,
    tables.sessions.c.transcript_length,
    tables.sessions.c.connected_at,
    tables.sessions.c.ended_at,
    tables.uploads.c.status,
    tables.uploads.c.delivered_at,
    TRANSCRIPTION,
).join_from(
    tables.sessions,
    tables.uploads,
    tables.uploads.c.session_id == tables.sessions.c.session_id,
    isouter=True,
)


async def _all(connection: AsyncConnection) -> list[RowMapping]:
    found = await connection.execute(_WANTED.order_by(tables.sessions.c.connected_at))
    return list(found.mappings())


async def _one(connection: AsyncConnection, session_id: str) -> RowMapping | None:
    found = await connection.execute(_WANTED.where(tables.sessions.c.session_id == session_id))
    return found.mappings().one_or_none()
