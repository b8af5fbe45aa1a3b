"""What is to be delivered to the centre: one row a session, written in the transaction that ends the session.

The functions work inside a caller's transaction; :class:`Outbox` is what the uploader uses.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.delivery import PartStatus, UploadStatus
from ambientd.store import tables
from ambientd.store.rows import moment_text
from ambientd.store.vault import Place, seal_of

_table = tables.uploads.c

_NAMES: Final = UUID("6f0f2f0c-5b0e-4d0c-9a55-0d7c3a1f6b42")
"""Namespace of the rows' ids, drawn once."""

UNSENT: Final = _table.status.in_([UploadStatus.HELD, UploadStatus.PENDING]) & (_table.attempts == 0)
"""The rows of which nothing has been sent for certain, and that go when their time comes."""

PUT_ASIDE: Final = (_table.status == UploadStatus.PARKED) & (_table.attempts == 0)
"""The rows that somebody parked before anything was sent: whoever lets one go again sends the final text of then."""


async def enqueue(
    connection: AsyncConnection,
    session_id: str,
    *,
    text: str,
    held_until: datetime | None,
    at: datetime,
    review: bool = False,
) -> bool:
    """Put a session's text into the outbox; returns whether there was any, and it was not there yet.

    The row's id follows from the session: when a session ends a second time, out of a backup, a centre that lets us
    name transcripts sees the same name.

    held_until: until when the text may still change; ``None`` sends it at once.  When that time has passed and
        nobody has called ``release``, the session's final text of then is sent.
    at: now.
    review: whether it also waits until a person has read it.
    """
    if not text.strip():
        return False
    if await connection.scalar(select(_table.id).where(_table.session_id == session_id)) is not None:
        return False  # what became of it was known before the session was put back
    upload_id = await _named(connection, session_id)
    await connection.execute(
        insert(tables.uploads).values(
            id=upload_id,
            session_id=session_id,
            status=UploadStatus.PENDING if held_until is None else UploadStatus.HELD,
            created_at=moment_text(at),
            held_until=None if held_until is None else moment_text(held_until),
            next_attempt_at=moment_text(at) if held_until is None else None,
            **await measured(connection, session_id, upload_id, text),
        )
    )
    if review:
        # Over an earlier one: a session that went on after a crash has more text than was read.
        await connection.execute(
            insert(tables.reviews).prefix_with("OR REPLACE").values(session_id=session_id)
        )
    return True


async def enqueue_parked(
    connection: AsyncConnection, session_id: str, *, text: str, reason: str, at: datetime
) -> None:
    """Put a session into the outbox that nobody sends before a person has looked at it; nothing if it is there.

    text: what there is of it; may be empty.
    reason: what is wrong with it, in words of ours.
    at: now.
    """
    if await connection.scalar(select(_table.id).where(_table.session_id == session_id)) is not None:
        return
    upload_id = await _named(connection, session_id)
    worded = bool(text.strip())
    await connection.execute(
        insert(tables.uploads).values(
            id=upload_id,
            session_id=session_id,
            status=UploadStatus.PARKED,
            created_at=moment_text(at),
            last_error=reason,
            **(await measured(connection, session_id, upload_id, text) if worded else {"size": 0}),
        )
    )


async def release(connection: AsyncConnection, session_id: str, *, text: str, at: datetime) -> bool:
    """Let the row go with this text, the final one; returns whether it will be what the centre gets.

    A row of which something may have been sent keeps the text it began with: the centre never gets two.  A text
    without words changes nothing either: the row goes as it is.  A parked row takes the text and stays parked.
    """
    unsent = select(_table.id).where(_table.session_id == session_id, UNSENT | PUT_ASIDE)
    upload_id = await connection.scalar(unsent)
    if upload_id is None:
        return False
    this = update(tables.uploads).where(_table.id == upload_id)
    worded = bool(text.strip())
    if worded:
        await connection.execute(this.values(await measured(connection, session_id, upload_id, text)))
    await connection.execute(
        this.where(UNSENT).values(
            status=UploadStatus.PENDING, held_until=None, next_attempt_at=moment_text(at)
        )
    )
    return worded


async def replace(connection: AsyncConnection, session_id: str, *, text: str) -> bool:
    """Put another text into the row; ``False``, and nothing changed, once anything of the old one may have been sent.

    A session without a row has nothing to send: that is well too.  The row goes, or waits, as before.
    """
    if not await replaceable(connection, session_id):
        return False
    upload_id = await connection.scalar(select(_table.id).where(_table.session_id == session_id))
    if upload_id is not None:
        await connection.execute(
            update(tables.uploads)
            .where(_table.id == upload_id)
            .values(await measured(connection, session_id, upload_id, text))
        )
    return True


async def replaceable(connection: AsyncConnection, session_id: str) -> bool:
    """Whether ``replace`` would do it."""
    found = await connection.execute(
        select(_table.id, _table.status, (UNSENT | PUT_ASIDE).label("untouched")).where(
            _table.session_id == session_id
        )
    )
    row = found.one_or_none()
    if row is None or row.untouched:
        return True
    part = tables.parts.c
    fates = (await connection.execute(select(part.status).where(part.id == row.id))).scalars().all()
    # Parts that all wait have certainly not arrived, and are cut afresh at the next attempt.
    waits = row.status in {UploadStatus.PENDING, UploadStatus.PARKED} and bool(fates)
    return waits and all(fate == PartStatus.PENDING for fate in fates)


async def reviewed(connection: AsyncConnection, session_id: str, *, at: datetime) -> None:
    """Note that a person has read the text: its row waits for that no more."""
    await connection.execute(
        insert(tables.reviews)
        .prefix_with("OR REPLACE")
        .values(session_id=session_id, reviewed_at=moment_text(at))
    )


async def withdraw(connection: AsyncConnection, session_id: str) -> bool:
    """Take the row out because its session goes on; returns whether it did.

    ``False``, and nothing changed, once something may have been sent.  A session without a row, having had no
    words, can go on too.
    """
    await connection.execute(delete(tables.uploads).where(_table.session_id == session_id, UNSENT))
    left = await connection.scalar(select(_table.id).where(_table.session_id == session_id))
    return left is None


async def was_sent(connection: AsyncConnection, session_id: str) -> bool:
    """Whether something of a session is at the centre, or may be."""
    found = await connection.scalar(
        select(_table.id).where(
            _table.session_id == session_id,
            (_table.attempts > 0) | _table.status.in_([UploadStatus.IN_FLIGHT, UploadStatus.DELIVERED]),
        )
    )
    return found is not None


async def _named(connection: AsyncConnection, session_id: str) -> str:
    column = tables.sessions.c
    found = await connection.execute(
        select(column.box_id, column.connected_at).where(column.session_id == session_id)
    )
    # The beginning too: an id may be used again once its session is purged.
    box_id, began = found.one()
    return str(uuid5(_NAMES, f"{box_id or ''}/{session_id}/{began}"))


async def park(connection: AsyncConnection, session_id: str, *, reason: str) -> bool:
    """Leave what is yet to be sent of a session to a person; returns whether there was something.

    Marked as tried: when it is released, it is looked for before it is sent.
    """
    done = await connection.execute(
        update(tables.uploads)
        .where(_table.session_id == session_id, UNSENT)
        .values(
            status=UploadStatus.PARKED,
            attempts=1,
            attempted_at=_table.created_at,
            held_until=None,
            next_attempt_at=None,
            last_error=reason,
        )
    )
    return done.rowcount == 1


async def measured(connection: AsyncConnection, session_id: str, upload_id: str, text: str) -> dict[str, Any]:
    """The columns that tell the text without its words."""
    raw = text.encode()
    place = Place(tables.uploads.name, "digest", upload_id)
    return {"digest": await sealed_digest(connection, session_id, place, raw), "size": len(raw)}


async def sealed_digest(connection: AsyncConnection, session_id: str, place: Place, raw: bytes) -> bytes:
    """The SHA-256 of a text as it is kept: of a short one the digest alone could be guessed from."""
    seal = await seal_of(connection, session_id)
    return seal.close_bytes(hashlib.sha256(raw).digest(), place)
