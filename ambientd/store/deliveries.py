"""The outbox as the uploader works it off: one step, one transaction.

Invariant: a part is marked in flight, on the disk, before the call that sends it, and its mark is changed only with
what is certain of that call.  So whatever a crash leaves in flight may or may not have arrived, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.delivery import (
    AnswersStatus,
    PartStatus,
    Upload,
    UploadStatus,
)
from ambientd.core.marks import mentions
from ambientd.store import tables
from ambientd.store.audit import record
from ambientd.store.database import Database
from ambientd.store.lines import read_text
from ambientd.store.outbox import measured, release
from ambientd.store.parcels import (
    Parcel,
    all_in_flight,
    change,
    change_part,
    cut,
    delivered_lines,
    find,
    mark_next,
    rows,
    settle,
    with_parts,
    withdrawn,
)
from ambientd.store.refusals import SealBroken
from ambientd.store.rows import SESSION, UNREAD, details_of, moment_text, session_of, upload_of
from ambientd.store.vault import seal_of

_upload = tables.uploads.c
_part = tables.parts.c

FARTHEST: Final = timedelta(hours=2)
"""No attempt is ever put off for longer: one that seems to be was put off before the clock was set back."""

FARTHEST_HOLD: Final = timedelta(days=2)
"""The same for the wait for a final text."""


class Outbox:
    """The rows of ``conversation_uploads``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def let_go(self, now: datetime) -> int:
        """Send what was held for longer than it was to be, with the session's text as it is; returns how many.

        Raises:
            StoreUnavailable: as every method here.
        """
        late = or_(
            _upload.held_until <= moment_text(now), _upload.held_until > moment_text(now + FARTHEST_HOLD)
        )

        wanted = select(_upload.id, _upload.session_id).where(_upload.status == UploadStatus.HELD, late)

        async def find_held(connection: AsyncConnection) -> list[tuple[str, str]]:
            return [(row.id, row.session_id) for row in await connection.execute(wanted)]

        found = await self._database.query(find_held)
        for upload_id, session_id in found:

            async def work(connection: AsyncConnection, session_id: str = session_id) -> None:
                await release(
                    connection, session_id, text=await read_text(connection, session_id) or "", at=now
                )

            try:
                await self._database.transact(work)
            except SealBroken as error:
                await self.park(upload_id, reason=error.message)
        return len(found)

    async def due(self, now: datetime, *, untried: bool = False, limit: int = 100) -> list[str]:
        """Ids of the rows whose time has come, those that have waited longest since then first.

        By the age of the row alone, a hundred that always fail would keep the others from their turn for ever.

        untried: only those that nobody has tried to send.
        """
        wanted = select(_upload.id).where(_is_due(now))
        if untried:
            wanted = wanted.where(_upload.attempts == 0)

        async def work(connection: AsyncConnection) -> list[str]:
            found = await connection.execute(
                wanted.order_by(_upload.next_attempt_at, _upload.created_at).limit(limit)
            )
            return [upload_id for (upload_id,) in found.all()]

        return await self._database.query(work)

    async def begin(
        self, upload_id: str, *, most: int | None, now: datetime, by_the_centre: datetime
    ) -> Parcel | None:
        """Take up a row: cut it into parts if it is new, and mark its first pending part in flight.

        A row with a part in flight gets no new mark: what became of that one is to be found out first.

        most: characters of a part; ``None`` for any number.
        by_the_centre: now, by the centre's clock as far as it is known.

        Returns:
            ``None`` if there is nothing to do: withdrawn, parked or delivered meanwhile.
        """

        async def work(connection: AsyncConnection) -> Parcel | None:
            upload = await find(connection, upload_id)
            if upload is None or upload.status not in {UploadStatus.PENDING, UploadStatus.IN_FLIGHT}:
                return None
            if upload.status is UploadStatus.PENDING and upload.unread:
                return None
            text = await read_text(connection, upload.session_id) or ""
            if all(part.status is PartStatus.PENDING for part in upload.parts):
                restored = upload.status is UploadStatus.IN_FLIGHT
                upload = await cut(connection, upload, text, most)
                if restored:
                    # In flight, and no part of it: it comes from a backup, and any part may have been sent since.
                    upload = await all_in_flight(connection, upload)
            fresh = all(part.status is not PartStatus.IN_FLIGHT for part in upload.parts)
            if fresh:
                await mark_next(connection, upload, by_the_centre)
            await change(
                connection,
                upload_id,
                status=UploadStatus.IN_FLIGHT,
                attempts=_upload.attempts + 1,
                attempted_at=moment_text(now),
                # Should this process die now, the next looks after a while and not in a tight circle.
                next_attempt_at=moment_text(now),
            )
            begun = await find(connection, upload_id)
            found = await connection.execute(
                select(*SESSION, tables.sessions.c.details)
                .join_from(tables.sessions, tables.metrics)
                .where(tables.sessions.c.session_id == upload.session_id)
            )
            row = found.mappings().one()
            seal = await seal_of(connection, upload.session_id)
            assert begun is not None  # noqa: S101 - found above, in this transaction
            put_in = mentions(await delivered_lines(connection, upload.session_id), text)
            return Parcel(begun, session_of(row), details_of(seal, row), text, fresh, put_in)

        return await self._database.transact(work)

    async def mark(self, upload_id: str, number: int, by_the_centre: datetime) -> bool:
        """Note that a part in flight is sent once more, after its loss has become certain.

        Returns:
            ``False``, and nothing noted, if it must not be: consent has been withdrawn, or the row is gone.
        """

        async def work(connection: AsyncConnection) -> bool:
            upload = await find(connection, upload_id)
            if upload is None or await withdrawn(connection, upload.session_id):
                return False
            await change_part(
                connection,
                upload_id,
                number,
                status=PartStatus.IN_FLIGHT,
                attempted_at=moment_text(by_the_centre),
            )
            return True

        return await self._database.transact(work)

    async def delivered(
        self,
        upload_id: str,
        number: int,
        *,
        receipt: tuple[str | None, str | None],
        now: datetime,
        by_the_centre: datetime,
        answers: bool,
    ) -> Upload | None:
        """Note that a part has arrived, and mark the next one in flight or the row delivered, all in one step.

        No next one is marked if consent has been withdrawn since: the row is then in flight without any part of it.

        receipt: the centre's ids of the upload and of its task.
        answers: whether answers will come from this centre.

        Returns:
            The row as it is now; ``None`` if it is gone.
        """

        async def work(connection: AsyncConnection) -> Upload | None:
            await change_part(
                connection,
                upload_id,
                number,
                status=PartStatus.DELIVERED,
                upload_id=receipt[0],
                task_id=receipt[1],
            )
            upload = await find(connection, upload_id)
            if upload is None:
                return None
            await change(connection, upload_id, last_error=None, server_errors=0)
            if all(part.status is PartStatus.DELIVERED for part in upload.parts):
                await change(
                    connection,
                    upload_id,
                    status=UploadStatus.DELIVERED,
                    delivered_at=moment_text(now),
                    next_attempt_at=None,
                    answers=AnswersStatus.WAITING if answers else AnswersStatus.NONE,
                    answers_at=moment_text(now) if answers else None,
                )
                await _told(connection, "delivery.arrived", upload.session_id)
            elif upload.status is UploadStatus.IN_FLIGHT and not await withdrawn(
                connection, upload.session_id
            ):
                await mark_next(connection, upload, by_the_centre)
            return await find(connection, upload_id)

        return await self._database.transact(work)

    async def postpone(
        self,
        upload_id: str,
        *,
        until: datetime,
        error: str,
        not_sent: int | None = None,
        server_error: bool | None = None,
    ) -> None:
        """Try again at ``until``.

        error: what went wrong, in words of ours.
        not_sent: the part that has certainly not arrived; ``None`` if that is uncertain.
        server_error: whether the centre answered 500; ``None`` if it was not asked to take anything.
        """
        counted: dict[bool | None, Any] = {None: {}, False: {"server_errors": 0}}
        counted[True] = {"server_errors": _upload.server_errors + 1}

        async def work(connection: AsyncConnection) -> None:
            await settle(connection, upload_id, not_sent)
            # Not one that somebody has parked meanwhile.
            await connection.execute(
                update(tables.uploads)
                .where(_upload.id == upload_id, _waits())
                .values(
                    status=case((_flies(upload_id), UploadStatus.IN_FLIGHT), else_=UploadStatus.PENDING),
                    next_attempt_at=moment_text(until),
                    last_error=error,
                    **counted[server_error],
                )
            )

        await self._database.transact(work)

    async def park(self, upload_id: str, *, reason: str, not_sent: int | None = None) -> bool:
        """Leave the row to a person; returns whether it was there to be parked."""

        async def work(connection: AsyncConnection) -> bool:
            await settle(connection, upload_id, not_sent)
            done = await connection.execute(
                update(tables.uploads)
                .where(
                    _upload.id == upload_id,
                    _upload.status.not_in([UploadStatus.DELIVERED, UploadStatus.PARKED]),
                )
                .values(status=UploadStatus.PARKED, last_error=reason, next_attempt_at=None, held_until=None)
            )
            if done.rowcount != 1:
                return False
            session_id = await connection.scalar(select(_upload.session_id).where(_upload.id == upload_id))
            await _told(connection, "delivery.parked", session_id)
            return True

        return await self._database.transact(work)

    async def again(self, upload_id: str, now: datetime) -> bool:
        """Let a row be tried at once, parked or not; returns whether it was there to be tried.

        What was in flight is still looked for first.
        """

        async def work(connection: AsyncConnection) -> bool:
            upload = await find(connection, upload_id)
            if upload is None or upload.status in {UploadStatus.DELIVERED, UploadStatus.HELD}:
                return False
            if upload.unread:  # being tried is not being read
                return False
            if not upload.parts:  # parked before anything was sent: its text may have been refined since
                text = await read_text(connection, upload.session_id) or ""
                if not text.strip():  # none of its lines opens: there is nothing to send
                    return False
                await change(
                    connection, upload_id, **await measured(connection, upload.session_id, upload_id, text)
                )
            await change(
                connection,
                upload_id,
                # Tried, and no part of it: it comes from a backup, and is looked for.
                status=UploadStatus.IN_FLIGHT
                if upload.attempts and not upload.parts
                else case((_flies(upload_id), UploadStatus.IN_FLIGHT), else_=UploadStatus.PENDING),
                next_attempt_at=moment_text(now),
                server_errors=0,
            )
            return True

        return await self._database.transact(work)

    async def hurry(self, now: datetime) -> None:
        """Make every row due that waits for its next attempt."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(tables.uploads).where(_waits()).values(next_attempt_at=moment_text(now))
            )

        await self._database.transact(work)

    async def claimed(self, upload_ids: Iterable[str]) -> set[str]:
        """Which of the centre's uploads are known to be of other parts."""

        async def work(connection: AsyncConnection) -> set[str]:
            found = await connection.execute(
                select(_part.upload_id).where(_part.upload_id.in_(list(upload_ids)))
            )
            return {upload_id for (upload_id,) in found.all()}

        return await self._database.query(work)

    async def next_time(self) -> datetime | None:
        """When the next row is due, is held no longer, or asks for its answers; ``None`` if none will."""

        async def work(connection: AsyncConnection) -> datetime | None:
            moments = [
                await connection.scalar(query)
                for query in (
                    select(func.min(_upload.next_attempt_at)).where(_waits()),
                    select(func.min(_upload.held_until)).where(_upload.status == UploadStatus.HELD),
                    select(func.min(_upload.answers_at)).where(_upload.answers == AnswersStatus.WAITING),
                )
            ]
            known = [each for each in moments if each is not None]
            return datetime.fromisoformat(min(known)) if known else None

        return await self._database.query(work)

    async def get(self, upload_id: str) -> Upload | None:
        """The row of that id."""
        return await self._database.query(lambda connection: find(connection, upload_id))

    async def items(
        self, *, status: UploadStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Upload]:
        """Rows with their parts, newest first."""
        wanted = rows().order_by(_upload.created_at.desc(), _upload.id).limit(limit).offset(offset)
        if status is not None:
            wanted = wanted.where(_upload.status == status)

        async def work(connection: AsyncConnection) -> list[Upload]:
            found = [upload_of(row) for row in (await connection.execute(wanted)).mappings()]
            return [await with_parts(connection, upload) for upload in found]

        return await self._database.query(work)

    async def named(self, name: str) -> list[Upload]:
        """The row of that id, or of the session of that id."""
        wanted = rows().where(or_(_upload.id == name, _upload.session_id == name))

        async def work(connection: AsyncConnection) -> list[Upload]:
            found = [upload_of(row) for row in (await connection.execute(wanted)).mappings()]
            return [await with_parts(connection, upload) for upload in found]

        return await self._database.query(work)

    async def counts(self) -> dict[UploadStatus, int]:
        """How many rows there are of each status."""

        async def work(connection: AsyncConnection) -> dict[UploadStatus, int]:
            found = await connection.execute(select(_upload.status, func.count()).group_by(_upload.status))
            counted = {UploadStatus(status): number for status, number in found.all()}
            return {status: counted.get(status, 0) for status in UploadStatus}

        return await self._database.query(work)

    async def oldest(self) -> datetime | None:
        """When the oldest row was made that is not delivered."""

        async def work(connection: AsyncConnection) -> datetime | None:
            found = await connection.scalar(
                select(func.min(_upload.created_at)).where(_upload.status != UploadStatus.DELIVERED)
            )
            return None if found is None else datetime.fromisoformat(found)

        return await self._database.query(work)


def _waits() -> ColumnElement[bool]:
    wanted = _upload.status.in_([UploadStatus.PENDING, UploadStatus.IN_FLIGHT])
    # Not what somebody is to read first; what is in flight has been on its way already.
    return and_(wanted, or_(~UNREAD, _upload.status == UploadStatus.IN_FLIGHT))


def _is_due(now: datetime) -> ColumnElement[bool]:
    when = _upload.next_attempt_at
    return and_(_waits(), or_(when <= moment_text(now), when > moment_text(now + FARTHEST), when.is_(None)))


def _flies(upload_id: str) -> ColumnElement[bool]:
    return select(_part.id).where(_part.id == upload_id, _part.status == PartStatus.IN_FLIGHT).exists()


async def _told(connection: AsyncConnection, action: str, session_id: str | None) -> None:
    await record(connection, actor="box", action=action, object=session_id, origin="sync")
