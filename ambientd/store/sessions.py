"""Sessions from their first moment to their end, and what became of those that a crash cut off."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.audio import RATE, seconds
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionRecord, SessionState, full_text
from ambientd.core.transcript import Gap, Line
from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.lines import read_gaps, read_lines, write_metrics
from ambientd.store.refusals import BadCursor, SessionExists, SessionNotOpen
from ambientd.store.rows import (
    SESSION,
    full_text_of,
    full_text_row,
    metrics_row,
    moment,
    moment_text,
    session_of,
)


class Sessions:
    """Every session the box has had."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        session_id: str,
        *,
        connected_at: datetime,
        client: str,
        language: str,
        model: str,
        sample_rate: int = RATE,
        boot_id: str | None = None,
        monotonic_start: float | None = None,
    ) -> None:
        """Begin a session; returns when it is on the disk.  The fields are those of ``SessionRecord``.

        Raises:
            SessionExists: the id was used before; ids are never used twice.
            StoreUnavailable: nothing was stored.
        """

        async def begin(connection: AsyncConnection) -> None:
            await connection.execute(
                insert(tables.sessions).values(
                    session_id=session_id,
                    state=SessionState.OPEN,
                    connected_at=moment_text(connected_at),
                    client=client,
                    language=language,
                    model=model,
                    sample_rate=sample_rate,
                    boot_id=boot_id,
                    monotonic_start=monotonic_start,
                )
            )
            await connection.execute(
                insert(tables.metrics).values(session_id=session_id, **metrics_row(SessionMetrics()))
            )

        try:
            await self._database.transact(begin)
        except IntegrityError as error:
            raise SessionExists(session_id) from error

    async def finalise(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
    ) -> None:
        """End a session: its state, its full text from its lines, and its figures, in one transaction.

        A second end is refused and changes nothing: the first reason is the true one.

        Raises:
            SessionNotOpen: it has ended already or never began.
            StoreUnavailable: it is still open.
        """

        async def end(connection: AsyncConnection) -> None:
            await _end(connection, session_id, state=state, reason=reason, ended_at=ended_at)
            await write_metrics(connection, session_id, metrics)

        await self._database.transact(end)

    async def recover(self) -> list[str]:
        """End the sessions a crash left open, as ``interrupted``; to be called before any is created.

        Figures that lines and gaps can tell are counted afresh from them.  The end is put where the stored
        audio ends, the last moment the session is known to have lived; the box may have been off for days.

        Returns:
            Their ids, oldest first.

        Raises:
            StoreUnavailable: none of them was ended.
        """

        async def end_all(connection: AsyncConnection) -> list[str]:
            left_open = await connection.execute(
                _sessions().where(tables.sessions.c.state == SessionState.OPEN).order_by(*_ORDER)
            )
            ended: list[str] = []
            for record in [session_of(row) for row in left_open.mappings()]:
                session_id = record.session_id
                metrics = _counted(
                    record.metrics,
                    await read_lines(connection, session_id),
                    await read_gaps(connection, session_id),
                )
                await _end(
                    connection,
                    session_id,
                    state=SessionState.INTERRUPTED,
                    reason=EndReason.CRASH,
                    ended_at=record.connected_at + timedelta(seconds=seconds(metrics.received_samples)),
                )
                await write_metrics(connection, session_id, metrics)
                ended.append(session_id)
            return ended

        return await self._database.transact(end_all)

    async def get(self, session_id: str) -> SessionRecord | None:
        """The session of that id, if there is one.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def find(connection: AsyncConnection) -> SessionRecord | None:
            found = await connection.execute(_sessions().where(tables.sessions.c.session_id == session_id))
            row = found.mappings().one_or_none()
            return None if row is None else session_of(row)

        return await self._database.query(find)

    async def text(self, session_id: str) -> str:
        """The whole text: as it was finalised, or of the lines so far; empty if there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> str:
            found = await connection.execute(
                select(tables.sessions.c.full_text).where(tables.sessions.c.session_id == session_id)
            )
            row = found.mappings().one_or_none()
            final = None if row is None else full_text_of(row)
            if final is not None:
                return final
            return full_text(line.text for line in await read_lines(connection, session_id))

        return await self._database.query(read)

    async def list_sessions(
        self,
        limit: int,
        *,
        before: str | None = None,
        after: str | None = None,
        state: SessionState | None = None,
    ) -> list[SessionRecord]:
        """A page of sessions, newest first.

        limit: at most so many.
        before, after: a ``cursor``; the page of sessions next older, or next newer, than that one.

        Raises:
            BadCursor: ``before`` or ``after`` is not one that ``cursor`` gave.
            StoreUnavailable: the file cannot be read.
        """
        wanted = _sessions().where(*_in(state)).limit(limit)
        if before is not None:
            wanted = wanted.where(tuple_(*_ORDER) < tuple_(*_place(before)))
        if after is not None:
            wanted = wanted.where(tuple_(*_ORDER) > tuple_(*_place(after)))
        # The page next newer is counted from the cursor upwards, then turned round.
        upwards = after is not None and before is None
        wanted = wanted.order_by(*(_ORDER if upwards else [column.desc() for column in _ORDER]))

        async def read(connection: AsyncConnection) -> list[SessionRecord]:
            page = [session_of(row) for row in (await connection.execute(wanted)).mappings()]
            return page[::-1] if upwards else page

        return await self._database.query(read)

    async def count(self, state: SessionState | None = None) -> int:
        """How many sessions there are, of one state or of all.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> int:
            found = await connection.execute(
                select(func.count()).select_from(tables.sessions).where(*_in(state))
            )
            return found.scalar_one()

        return await self._database.query(read)


_ORDER = (tables.sessions.c.connected_at, tables.sessions.c.session_id)


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


def _in(state: SessionState | None) -> list[ColumnElement[bool]]:
    return [] if state is None else [tables.sessions.c.state == state]


def _sessions() -> Select[tuple[object, ...]]:
    return select(*SESSION).join_from(tables.sessions, tables.metrics)


async def _end(
    connection: AsyncConnection,
    session_id: str,
    *,
    state: SessionState,
    reason: EndReason,
    ended_at: datetime,
) -> None:
    lines = await read_lines(connection, session_id)
    ended = await connection.execute(
        update(tables.sessions)
        .where(tables.sessions.c.session_id == session_id, tables.sessions.c.state == SessionState.OPEN)
        .values(state=state, end_reason=reason, ended_at=moment_text(ended_at), **full_text_row(lines))
    )
    if ended.rowcount != 1:
        raise SessionNotOpen(session_id)


def _counted(stored: SessionMetrics, lines: list[Line], gaps: list[Gap]) -> SessionMetrics:
    """The figures of an interrupted session: lines and gaps counted, the engine's own as last stored."""
    ends = [0, *(line.end for line in lines), *(gap.end for gap in gaps)]
    metrics = SessionMetrics(
        received_samples=max(stored.received_samples, *ends),
        decoded_samples=stored.decoded_samples,
        decode_seconds=stored.decode_seconds,
    )
    for line in lines:
        metrics = metrics.with_line(line)
    return replace(metrics, gap_samples=sum(gap.end - gap.start for gap in gaps))
