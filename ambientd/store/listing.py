"""The list of sessions, newest first, a page at a time; it reads no word, and opens no key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.delivery import UploadStatus
from ambientd.core.record import Progress, Refinement, SessionRecord, SessionState
from ambientd.store import tables
from ambientd.store.refusals import BadCursor
from ambientd.store.rows import DELIVERY, OWNER, PROGRESS, SESSION, moment, moment_text, session_of

ORDER = (tables.sessions.c.connected_at, tables.sessions.c.session_id)
"""Oldest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions; ``None`` does not ask."""

    state: SessionState | None = None
    room: str | None = None
    refinement: Refinement | None = None
    delivery: UploadStatus | None = None
    owner: str | None = None
    """Id of the principal that opened them."""
    progress: tuple[Progress, ...] | None = None
    """Any of these."""

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        column = tables.sessions.c
        asked = (
            (column.state, self.state),
            (column.room, self.room),
            (column.refinement, self.refinement),
            (DELIVERY.element, self.delivery),
            (OWNER.element, self.owner),
        )
        found = [place == value for place, value in asked if value is not None]
        if self.progress is not None:
            found.append(PROGRESS.element.in_(self.progress))
        return found


def sessions() -> Select[tuple[object, ...]]:
    """All sessions, as ``session_of`` reads them."""
    return select(*SESSION).join_from(tables.sessions, tables.metrics)


async def page(
    connection: AsyncConnection, wanted: Wanted, limit: int, before: str | None, after: str | None
) -> list[SessionRecord]:
    """A page of the list, within a transaction: see ``Sessions.list_sessions``."""
    query = sessions().where(*wanted.conditions).limit(limit)
    if before is not None:
        query = query.where(tuple_(*ORDER) < tuple_(*_place(before)))
    if after is not None:
        query = query.where(tuple_(*ORDER) > tuple_(*_place(after)))
    # The page next newer is counted from the cursor upwards, then turned round.
    upwards = after is not None and before is None
    query = query.order_by(*(ORDER if upwards else [column.desc() for column in ORDER]))
    found = [session_of(row) for row in (await connection.execute(query)).mappings()]
    return found[::-1] if upwards else found


async def count(connection: AsyncConnection, wanted: Wanted) -> int:
    """How many there are, within a transaction."""
    query = select(func.count()).select_from(tables.sessions).where(*wanted.conditions)
    return (await connection.execute(query)).scalar_one()


def cursor(record: SessionRecord) -> str:
    """The place of a session in the list, for ``list_sessions``; it stays good when the session is purged."""
    return f"{moment_text(record.connected_at)}~{record.session_id}"


def _place(cursor: str) -> tuple[str, str]:
    connected_at, tilde, session_id = cursor.partition("~")
    try:
        if tilde and moment_text(moment(connected_at)) == connected_at:
            return connected_at, session_id
    except ValueError as error:
        raise BadCursor from error
    raise BadCursor
