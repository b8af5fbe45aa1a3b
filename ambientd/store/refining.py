"""What the second hearing of a session changes, within the transaction of whoever brings its outcome.

The text that is final and the text that is delivered change together, or not at all: the centre and the box never hold
two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.record import Refinement, SessionState, full_text
from ambientd.core.transcript import Line
from ambientd.store import outbox, tables
from ambientd.store.lines import read_lines
from ambientd.store.rows import full_text_row, line_row
from ambientd.store.vault import seal_of


async def take(connection: AsyncConnection, session_id: str, lines: Sequence[Line], model: str) -> bool:
    """Make these lines the final ones; whether they were taken: see ``Sessions.refined``."""
    text = full_text(line.text for line in lines)
    if not text.strip():
        # It heard nothing where there had been words: those are the better record.
        await give_up(connection, session_id, Refinement.FAILED)
        return False
    if not await _settle(connection, session_id, Refinement.DONE):
        return False
    if not await outbox.release(connection, session_id, text=text, at=datetime.now(UTC)):
        await mark(connection, session_id, refinement=Refinement.SKIPPED)
        return False
    seal = await seal_of(connection, session_id)
    for line in lines:
        row = line_row(seal, session_id, replace(line, model=model), tables.refined_chunks)
        await connection.execute(insert(tables.refined_chunks).values(row))
    await mark(connection, session_id, transcript_length=len(text), **full_text_row(seal, session_id, text))
    return True


async def give_up(connection: AsyncConnection, session_id: str, why: Refinement) -> bool:
    """Leave the live lines as the final ones; whether the session was still waiting."""
    if not await _settle(connection, session_id, why):
        return False
    live = full_text(line.text for line in await read_lines(connection, session_id))
    await outbox.release(connection, session_id, text=live, at=datetime.now(UTC))
    return True


async def mark(connection: AsyncConnection, session_id: str, **columns: Any) -> None:
    """Set columns of a session."""
    await connection.execute(
        update(tables.sessions).where(tables.sessions.c.session_id == session_id).values(**columns)
    )


async def _settle(connection: AsyncConnection, session_id: str, outcome: Refinement) -> bool:
    """Whether the session was waiting for its second hearing; then it no longer is."""
    settled = await connection.execute(
        update(tables.sessions)
        .where(
            tables.sessions.c.session_id == session_id,
            tables.sessions.c.refinement == Refinement.WAITING,
            tables.sessions.c.state != SessionState.OPEN,
        )
        .values(refinement=outcome)
    )
    return settled.rowcount == 1
