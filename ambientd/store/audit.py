"""Who did what to which session, when and from where: rows that are only ever added, each sealed to the one before.

    Rule 1  Ids only.  Every field is one word, as in the log: what has a space in it may be speech, and is withheld.
    Rule 2  A row is written in the transaction of what it tells wherever there is one, so that neither exists
            without the other: a session that ended has its row, and a purge that was rolled back has none.
    Rule 3  What only reads has no transaction.  Its row is stored before the answer is given.  When the disk does not
            take it, the row is owed: it is kept in memory and stored as soon as the disk does, and the reader gets
            the answer.  A full disk must not keep a clinician from a record.  Beyond ``MOST_OWED`` the reading stops.
    Rule 4  A live session never waits for its audit: what concerns it is in its own transactions, or noted.

Triggers refuse to change a row, to put one among the others and to delete one that the anchor does not cover.  Whoever
can write to the file can take them away; what he cannot do is to change a row so that the chain still holds, short of
making all later hashes anew, and the log, which is another file, tells the newest one at each start and stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.errors import StoreUnavailable
from ambientd.store import tables
from ambientd.store.chain import ANCHOR, HEAD, Entry, Link, Verdict, follow, link, sealed
from ambientd.store.clock import BORN
from ambientd.store.database import Database, settled
from ambientd.store.facts import remember
from ambientd.store.rows import moment_text

logger = logging.getLogger(__name__)

MOST_OWED: Final = 10_000
"""Rows kept in memory while the disk takes none: some megabytes."""

AGAIN: Final = 5.0
"""Seconds between two attempts to store what is owed."""

WITHHELD: Final = "(withheld)"

LONGEST: Final = 128
"""Characters of a field: the name of a session has at most 64."""


class Action(StrEnum):
    """What the store and the door record; a part that does something else names it where it does."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_STOPPED = "daemon.stopped"
    SESSION_OPENED = "session.opened"
    SESSION_RESUMED = "session.resumed"
    SESSION_ENDED = "session.ended"
    SESSION_REOPENED = "session.reopened"
    SESSION_INTERRUPTED = "session.interrupted"
    SESSION_DELETED = "session.deleted"
    DETAILS_READ = "details.read"
    DETAILS_CHANGED = "details.changed"
    TRANSCRIPT_READ = "transcript.read"
    TRANSCRIPT_EXPORTED = "transcript.exported"
    TRANSCRIPT_CORRECTED = "transcript.corrected"
    TRANSCRIPT_REVIEWED = "transcript.reviewed"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_PURGED = "audit.purged"
    BACKUP_MADE = "backup.made"
    BACKUP_RESTORED = "backup.restored"
    CLOCK_VOUCHED = "clock.vouched"
    COPY_DELETED = "copy.deleted"
    STORE_QUARANTINED = "store.quarantined"


async def record(
    connection: AsyncConnection,
    *,
    actor: str,
    action: str,
    object: str | None = None,  # noqa: A002 - the word of the trade
    origin: str | None = None,
    outcome: str = "ok",
) -> None:
    """Add a row within a write transaction; it exists once that is committed.

    actor: ``box``, ``operator`` or ``client``.
    object: the id of what it was done to.
    origin: an address, or the part of the box that did it.
    """
    await _add(connection, _entry(actor, action, object, origin, outcome))


async def forget(connection: AsyncConnection, before: datetime) -> int:
    """Take away the rows older than that, within a write transaction; gives how many.

    Only from the front, up to the first row that is younger, so that what stays is one chain.
    """
    numbers, at = tables.audit.c.number, tables.audit.c.at
    kept = await connection.scalar(select(func.min(numbers)).where(at >= moment_text(before)))
    # A row that a clock without a battery dated goes with the next one that has a date.
    old = select(func.max(numbers)).where(at < moment_text(before), at >= moment_text(BORN))
    last = await connection.scalar(old if kept is None else old.where(numbers < kept))
    if last is None:
        return 0
    seal = await connection.scalar(select(tables.audit.c.hash).where(tables.audit.c.number == last))
    if seal is None:
        return 0
    # First: the trigger lets go of nothing that the anchor does not cover.
    await remember(connection, ANCHOR, str(Link(last, seal)))
    gone = await connection.execute(delete(tables.audit).where(tables.audit.c.number <= last))
    return gone.rowcount


class Audit:
    """The audit of a database.  Use :func:`open_audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owed: deque[Entry] = deque()
        self._stir = asyncio.Event()
        self._paying = asyncio.Lock()

    @property
    def owed(self) -> int:
        """Rows that wait for the disk."""
        return len(self._owed)

    async def record(
        self,
        *,
        actor: str,
        action: str,
        object: str | None = None,  # noqa: A002 - as above
        origin: str | None = None,
        outcome: str = "ok",
    ) -> None:
        """Store a row for what has no transaction of its own; returns when it is on the disk, or owed.

        Raises:
            StoreUnavailable: too many rows are owed already.
        """
        if len(self._owed) >= MOST_OWED:
            raise StoreUnavailable(
                "the audit cannot be written, and nothing is given out without it.",
                hint="Free space on the disk that holds the database; the log tells what else is wrong.",
            )
        self._owed.append(_entry(actor, action, object, origin, outcome))
        try:
            await settled(asyncio.create_task(self._pay()))
        except StoreUnavailable as error:
            logger.error("an audit row is owed", extra={"error": error})  # noqa: TRY400 - nothing to trace
            self._stir.set()

    def note(
        self,
        *,
        actor: str,
        action: str,
        object: str | None = None,  # noqa: A002 - as above
        origin: str | None = None,
        outcome: str = "ok",
    ) -> None:
        """Leave a row to be stored in a moment."""
        self._owed.append(_entry(actor, action, object, origin, outcome))
        self._stir.set()

    async def verify(self) -> Verdict:
        """Follow the chain from its beginning to its head.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(follow)

    async def entries(self, *, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """The next rows with a number above ``after``, in order.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        numbers = tables.audit.c.number
        wanted = select(tables.audit).where(numbers > after).order_by(numbers).limit(limit)

        async def read(connection: AsyncConnection) -> list[Entry]:
            return [Entry(**row) for row in (await connection.execute(wanted)).mappings()]

        return await self._database.query(read)

    async def head(self) -> Link:
        """The newest row.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: link(connection, HEAD))

    async def settle(self) -> None:
        """Store what is noted and owed, for ever."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            try:
                await settled(asyncio.create_task(self._pay()))
            except StoreUnavailable:
                await asyncio.sleep(AGAIN)
                self._stir.set()

    async def close(self) -> None:
        """Store what is still owed, or say what is lost; ``open_audit`` calls it."""
        try:
            await self._pay()
        except StoreUnavailable as error:
            logger.critical("audit rows are lost", extra={"count": len(self._owed), "error": error})

    async def _pay(self) -> None:
        # One at a time, and in a task of its own: a row whose commit succeeded must be off the list.
        async with self._paying:
            while due := list(self._owed):

                async def add(connection: AsyncConnection, due: list[Entry] = due) -> None:
                    for entry in due:
                        await _add(connection, entry)

                await self._database.transact(add)
                for _ in due:
                    self._owed.popleft()


@asynccontextmanager
async def open_audit(database: Database) -> AsyncIterator[Audit]:
    """The audit; on leaving, everything noted has been stored."""
    audit = Audit(database)
    settling = asyncio.create_task(audit.settle(), name="audit")
    try:
        yield audit
    finally:
        settling.cancel()
        await asyncio.wait({settling})
        await settled(asyncio.create_task(audit.close()))


def _entry(actor: str, action: str, what: str | None, origin: str | None, outcome: str) -> Entry:
    return Entry(
        0, moment_text(datetime.now(UTC)), _word(actor), _word(action), _id(what), _id(origin), _word(outcome)
    )


def _id(field: str | None) -> str | None:
    return _word(field) if field else None


def _word(field: str) -> str:
    # Not an error: a session must not end because of what somebody calls himself.
    return str(field) if len(field) <= LONGEST and field.isprintable() and " " not in field else WITHHELD


async def _add(connection: AsyncConnection, entry: Entry) -> None:
    head = await link(connection, HEAD)
    fields = asdict(entry) | {"number": head.number + 1}
    fields["hash"] = sealed(head.hash, Entry(**fields))
    await connection.execute(insert(tables.audit).values(fields))
    await remember(connection, HEAD, str(Link(fields["number"], fields["hash"])))
