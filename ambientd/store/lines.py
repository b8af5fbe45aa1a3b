"""The lines and gaps of sessions: each stored, and on the disk, before anybody is shown it."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.correction import Correction, corrected
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import Refinement, SessionState
from ambientd.core.transcript import Gap, Line
from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.refusals import LineOutOfOrder, SealBroken, SessionNotOpen
from ambientd.store.rows import (
    correction_of,
    full_text_of,
    gap_of,
    gap_row,
    line_of,
    line_row,
    metrics_row,
)
from ambientd.store.vault import seal_of


class Lines:
    """What was said in each session."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append_line(self, session_id: str, line: Line, metrics: SessionMetrics) -> None:
        """Store the next line and the figures that go with it; returns when both are on the disk.

        metrics: the session's figures with this line counted in.

        Raises:
            SessionNotOpen: the session has ended or never began.
            LineOutOfOrder: ``line.index`` is not the number of lines stored so far.
            StoreUnavailable: nothing was stored.
        """

        async def append(connection: AsyncConnection) -> None:
            await add_line(connection, session_id, line)
            await write_metrics(connection, session_id, metrics)

        await self._database.transact(append)

    async def append_gap(self, session_id: str, gap: Gap, metrics: SessionMetrics) -> None:
        """Store a gap and the figures that go with it; returns when both are on the disk.

        metrics: the session's figures with this gap counted in.

        Raises:
            SessionNotOpen: the session has ended or never began.
            StoreUnavailable: nothing was stored.
        """

        async def append(connection: AsyncConnection) -> None:
            if await _lines_if_open(connection, session_id) is None:
                raise SessionNotOpen(session_id)
            await connection.execute(insert(tables.gaps).values(gap_row(session_id, gap)))
            await write_metrics(connection, session_id, metrics)

        await self._database.transact(append)

    async def lines(self, session_id: str) -> list[Line]:
        """The lines of a session in order, probabilities to four places; none if there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: read_lines(connection, session_id))

    async def refined(self, session_id: str) -> list[Line]:
        """The lines of the second hearing in order; none if there was none, or there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> list[Line]:
            return await read_lines(connection, session_id, tables.refined_chunks)

        return await self._database.query(read)

    async def final(self, session_id: str) -> list[Line]:
        """The lines that count: refined where a second hearing is done, else live; with a person's corrections.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: read_final(connection, session_id))

    async def so_far(self, session_id: str) -> tuple[list[Line], list[Gap]]:
        """The lines and the gaps of one moment, as ``lines`` and ``gaps`` give them.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> tuple[list[Line], list[Gap]]:
            return await read_lines(connection, session_id), await read_gaps(connection, session_id)

        return await self._database.query(read)

    async def gaps(self, session_id: str) -> list[Gap]:
        """The gaps of a session by their start; none if there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: read_gaps(connection, session_id))


async def add_line(connection: AsyncConnection, session_id: str, line: Line) -> None:
    """Store the next line of an open session, within a transaction; raises as ``Lines.append_line``."""
    await _advance(connection, session_id, line)
    seal = await seal_of(connection, session_id)
    await connection.execute(insert(tables.chunks).values(line_row(seal, session_id, line)))


async def read_lines(
    connection: AsyncConnection, session_id: str, table: Table = tables.chunks
) -> list[Line]:
    """The lines of a session in order, within a transaction; of the live ``table`` or the refined."""
    found = await connection.execute(
        select(table).where(table.c.session_id == session_id).order_by(table.c.chunk_index)
    )
    rows = found.mappings().all()
    if not rows:
        return []
    seal = await seal_of(connection, session_id)
    return [line_of(seal, row, table) for row in rows]


async def read_openable(
    connection: AsyncConnection, session_id: str, table: Table = tables.chunks
) -> tuple[list[Line], int]:
    """As ``read_lines``, without the lines that do not open; and how many those are."""
    found = await connection.execute(
        select(table).where(table.c.session_id == session_id).order_by(table.c.chunk_index)
    )
    rows = found.mappings().all()
    lines: list[Line] = []
    with suppress(SealBroken):
        seal = await seal_of(connection, session_id)
        for row in rows:
            with suppress(SealBroken):
                lines.append(line_of(seal, row, table))
    return lines, len(rows) - len(lines)


async def read_final(connection: AsyncConnection, session_id: str) -> list[Line]:
    """The lines that count, within a transaction: see ``Lines.final``."""
    lines = await read_lines(connection, session_id, await final_table(connection, session_id))
    correction = await latest_correction(connection, session_id)
    return lines if correction is None else corrected(lines, correction.texts)


async def latest_correction(connection: AsyncConnection, session_id: str) -> Correction | None:
    """What differs now from the words as heard, within a transaction; ``None`` if nobody has corrected them."""
    table = tables.corrections
    found = await connection.execute(
        select(table).where(table.c.session_id == session_id).order_by(table.c.revision.desc()).limit(1)
    )
    row = found.mappings().one_or_none()
    return None if row is None else correction_of(await seal_of(connection, session_id), row)


async def final_table(connection: AsyncConnection, session_id: str) -> Table:
    """The table of the lines as heard that count, within a transaction."""
    outcome = await connection.scalar(
        select(tables.sessions.c.refinement).where(tables.sessions.c.session_id == session_id)
    )
    return tables.refined_chunks if outcome == Refinement.DONE else tables.chunks


async def read_gaps(connection: AsyncConnection, session_id: str) -> list[Gap]:
    """The gaps of a session by their start, within a transaction."""
    found = await connection.execute(
        select(tables.gaps)
        .where(tables.gaps.c.session_id == session_id)
        .order_by(tables.gaps.c.start_sample, tables.gaps.c.gap_id)
    )
    return [gap_of(row) for row in found.mappings()]


async def read_text(connection: AsyncConnection, session_id: str) -> str | None:
    """The final text of a session, within a transaction; ``None`` while it is open, or if there is none of that id.

    Raises:
        SealBroken: it does not open.
    """
    found = await connection.execute(
        select(tables.sessions.c.session_id, tables.sessions.c.full_text).where(
            tables.sessions.c.session_id == session_id
        )
    )
    row = found.mappings().one_or_none()
    return None if row is None else full_text_of(await seal_of(connection, session_id), row)


async def write_metrics(connection: AsyncConnection, session_id: str, metrics: SessionMetrics) -> None:
    """Replace the figures of a session, within a transaction."""
    await connection.execute(
        update(tables.metrics).where(tables.metrics.c.session_id == session_id).values(metrics_row(metrics))
    )


async def _advance(connection: AsyncConnection, session_id: str, line: Line) -> None:
    """Count the line in; one statement that matches only an open session whose next line this is."""
    length = len(line.text) + (1 if line.index else 0)  # the space before it in the full text
    counted = await connection.execute(
        update(tables.sessions)
        .where(
            tables.sessions.c.session_id == session_id,
            tables.sessions.c.state == SessionState.OPEN,
            tables.sessions.c.total_chunks == line.index,
        )
        .values(
            total_chunks=tables.sessions.c.total_chunks + 1,
            transcript_length=tables.sessions.c.transcript_length + length,
        )
    )
    if counted.rowcount != 1:
        expected = await _lines_if_open(connection, session_id)
        if expected is None:
            raise SessionNotOpen(session_id)
        raise LineOutOfOrder(session_id, line.index, expected)


async def _lines_if_open(connection: AsyncConnection, session_id: str) -> int | None:
    """How many lines an open session has; ``None`` when it is not open."""
    count: int | None = await connection.scalar(
        select(tables.sessions.c.total_chunks).where(
            tables.sessions.c.session_id == session_id, tables.sessions.c.state == SessionState.OPEN
        )
    )
    return count
