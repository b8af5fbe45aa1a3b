"""How sessions end, within the transaction of whoever ends them.

Rule 1  A session that has words ends together with the row of its delivery, or not at all.
        One of which a line does not open gets its row too, parked.
Rule 2  An ephemeral session ends by being destroyed.
Rule 3  While the final text may still change (a second hearing, a client that may come back) the row is held.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.audio import seconds
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, Refinement, SessionRecord, SessionState, full_text
from ambientd.core.transcript import Gap, Line
from ambientd.store import audit, outbox, tables
from ambientd.store.audit import Action
from ambientd.store.facts import remember
from ambientd.store.lines import read_gaps, read_lines, read_openable, read_text, write_metrics
from ambientd.store.refusals import SealBroken, SessionNotOpen
from ambientd.store.rows import full_text_row, moment_text
from ambientd.store.vault import seal_of, vault_of

logger = logging.getLogger(__name__)

SCRUB_DUE: Final = "scrub_due"
"""A fact: ``yes`` while what was deleted may still be readable in the log or in free pages."""


@dataclass(frozen=True, slots=True)
class Holds:
    """How long a delivery waits at most for what may still change its text."""

    refinement: timedelta = timedelta(hours=1)
    return_: timedelta = timedelta(seconds=60)
    """For the client of a session that a crash cut off."""
    review: bool = False
    """Whether it waits, besides, until a person has read the text."""


async def end(
    connection: AsyncConnection,
    session_id: str,
    *,
    state: SessionState,
    reason: EndReason,
    ended_at: datetime,
    now: datetime,
    held_until: datetime | None = None,
    review: bool = False,
    **more: Any,
) -> None:
    """End an open session and note its delivery.

    held_until: until when the delivery waits; ``None`` lets it go at once.
    review: whether it also waits until a person has read the text.
    more: further columns of ``realtime_sessions`` to set.

    Raises:
        SessionNotOpen: it has ended already or never began.
    """
    text = full_text(line.text for line in await read_lines(connection, session_id))
    vault = vault_of(connection)
    seal = await vault.seal(connection, session_id)
    ended = await connection.execute(
        update(tables.sessions)
        .where(tables.sessions.c.session_id == session_id, tables.sessions.c.state == SessionState.OPEN)
        .values(
            state=state,
            end_reason=reason,
            ended_at=moment_text(ended_at),
            **full_text_row(seal, session_id, text),
            **more,
        )
    )
    if ended.rowcount != 1:
        raise SessionNotOpen(session_id)
    interrupted = state is SessionState.INTERRUPTED
    await audit.record(
        connection,
        actor="box",
        action=Action.SESSION_INTERRUPTED if interrupted else Action.SESSION_ENDED,
        object=session_id,
        outcome=reason,
    )
    await outbox.enqueue(connection, session_id, text=text, held_until=held_until, at=now, review=review)
    vault.forget(session_id)


async def end_crashed(
    connection: AsyncConnection, record: SessionRecord, *, now: datetime, holds: Holds
) -> None:
    """End a session that a crash left open, where its stored audio ends.

    That is the last moment it is known to have lived; the box may have been off for days.
    """
    try:
        await seal_of(connection, record.session_id)
        lines = await read_lines(connection, record.session_id)
    except SealBroken as error:
        # The box must start all the same: other rooms are waiting.
        logger.error("session cannot be opened", extra={"session": record.session_id, "error": error})  # noqa: TRY400
        await _end_unreadable(connection, record, now)
        return
    metrics = _counted(record.metrics, lines, await read_gaps(connection, record.session_id))
    await end(
        connection,
        record.session_id,
        state=SessionState.INTERRUPTED,
        reason=EndReason.CRASH,
        ended_at=record.connected_at + timedelta(seconds=seconds(metrics.received_samples)),
        now=now,
        held_until=now + holds.return_,
        review=holds.review,
    )
    await write_metrics(connection, record.session_id, metrics)


async def _end_unreadable(connection: AsyncConnection, record: SessionRecord, now: datetime) -> None:
    """End a session of which not every line opens, and leave its delivery to a person.

    Whether half a conversation is better than none at the centre is not for the box to say.  The text is that of the
    lines that open, and is what goes if he lets it.
    """
    session_id = record.session_id
    lines, lost = await read_openable(connection, session_id)
    text = full_text(line.text for line in lines)
    metrics = _counted(record.metrics, lines, await read_gaps(connection, session_id))
    ended_at = record.connected_at + timedelta(seconds=seconds(metrics.received_samples))
    words: dict[str, Any] = {}
    with suppress(SealBroken):  # its very key is gone
        words = full_text_row(await seal_of(connection, session_id), session_id, text)
    await connection.execute(
        update(tables.sessions)
        .where(tables.sessions.c.session_id == session_id)
        .values(
            state=SessionState.INTERRUPTED,
            end_reason=EndReason.ERROR,
            ended_at=moment_text(ended_at),
            **words,
        )
    )
    await write_metrics(connection, session_id, metrics)
    if lost:
        reason = f"{lost} of {lost + len(lines)} lines do not open; trying again sends the others."
        await outbox.enqueue_parked(connection, session_id, text=text, reason=reason, at=now)
    await audit.record(
        connection,
        actor="box",
        action=Action.SESSION_INTERRUPTED,
        object=session_id,
        outcome="unreadable",
    )
    vault_of(connection).forget(session_id)


async def owe(connection: AsyncConnection, *, now: datetime, review: bool = False) -> None:
    """Put into the outbox what ended before this box had one, so that it is delivered too."""
    wanted = select(tables.sessions.c.session_id).where(
        tables.sessions.c.state != SessionState.OPEN,
        tables.sessions.c.ephemeral == 0,
        tables.sessions.c.transcript_length > 0,
        tables.sessions.c.session_id.not_in(select(tables.uploads.c.session_id)),
    )
    for (session_id,) in (await connection.execute(wanted)).all():
        try:
            text = await read_text(connection, session_id)
        except SealBroken as error:
            # There is nothing to send; retention keeps it for a person.
            logger.error("session cannot be opened", extra={"session": session_id, "error": error})  # noqa: TRY400
            continue
        await outbox.enqueue(connection, session_id, text=text or "", held_until=None, at=now, review=review)
        vault_of(connection).forget(session_id)


async def reopen(connection: AsyncConnection, record: SessionRecord) -> bool:
    """Undo the end of a session that a crash cut off, if nobody has tried to deliver it.

    Returns:
        Whether it is open again; otherwise nothing was changed.
    """
    if (record.state, record.reason) != (SessionState.INTERRUPTED, EndReason.CRASH):
        return False
    if not await outbox.withdraw(connection, record.session_id):
        return False
    await connection.execute(
        update(tables.sessions)
        .where(tables.sessions.c.session_id == record.session_id)
        .values(
            state=SessionState.OPEN,
            end_reason=None,
            ended_at=None,
            monotonic_end=None,
            full_text=None,
            refinement=Refinement.NONE,
        )
    )
    await audit.record(connection, actor="box", action=Action.SESSION_REOPENED, object=record.session_id)
    return True


async def destroy(
    connection: AsyncConnection,
    session_id: str,
    *,
    actor: str = "box",
    origin: str | None = None,
    why: str = "ephemeral",
) -> bool:
    """Destroy a session: its key first, then every row of it; only the audit still knows its id.

    actor, origin, why: who does it, from where, and what for, one word each.

    What is left in the file's free pages and its log goes with ``Database.scrub`` after the commit.  That it is due
    stands in the file, so that a crash before it does not make it forgotten.

    Returns:
        Whether there was such a session.
    """
    vault_of(connection).forget(session_id)
    for table in (tables.session_keys, tables.sessions):
        gone = await connection.execute(delete(table).where(table.c.session_id == session_id))
    if gone.rowcount != 1:
        return False
    await remember(connection, SCRUB_DUE, "yes")
    await audit.record(
        connection,
        actor=actor,
        action=Action.SESSION_DELETED,
        object=session_id,
        origin=origin,
        outcome=why,
    )
    return True


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
