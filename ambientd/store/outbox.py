"""What is to be delivered to the centre: one row a session, written in the transaction that ends the session.

The functions work inside a caller's transaction; :class:`Outbox` is what the uploader uses.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.delivery import UploadStatus
from ambientd.store import tables
from ambientd.store.rows import moment_text
from ambientd.store.vault import Place, seal_of

_table = tables.uploads.c

UNSENT: Final = _table.status.in_([UploadStatus.HELD, UploadStatus.PENDING]) & (_table.attempts == 0)
"""The rows of which nothing has been sent for certain."""


async def enqueue(
    connection: AsyncConnection, session_id: str, *, text: str, held_until: datetime | None, at: datetime
) -> bool:
    """Put a session's text into the outbox; returns whether there was any.

    held_until: until when the text may still change; ``None`` sends it at once.  When that time has passed and
        nobody has called ``release``, the session's final text of then is sent.
    at: now.
    """
    if not text.strip():
        return False
    upload_id = str(uuid4())
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
    return True


async def enqueue_parked(
    connection: AsyncConnection, session_id: str, *, text: str, reason: str, at: datetime
) -> None:
    """Put a session into the outbox that nobody sends before a person has looked at it.

    text: what there is of it; may be empty.
    reason: what is wrong with it, in words of ours.
    at: now.
    """
    upload_id = str(uuid4())
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
    without words changes nothing either: the row goes as it is.
    """
    upload_id = await connection.scalar(select(_table.id).where(_table.session_id == session_id, UNSENT))
    if upload_id is None:
        return False
    worded = bool(text.strip())
    told = await measured(connection, session_id, upload_id, text) if worded else {}
    await connection.execute(
        update(tables.uploads)
        .where(_table.id == upload_id)
        .values(status=UploadStatus.PENDING, held_until=None, next_attempt_at=moment_text(at), **told)
    )
    return worded


async def withdraw(connection: AsyncConnection, session_id: str) -> bool:
    """Take the row out because its session goes on; returns whether it did.

    ``False``, and nothing changed, once something may have been sent.  A session without a row, having had no
    words, can go on too.
    """
    await connection.execute(delete(tables.uploads).where(_table.session_id == session_id, UNSENT))
    left = await connection.scalar(select(_table.id).where(_table.session_id == session_id))
    return left is None


async def measured(connection: AsyncConnection, session_id: str, upload_id: str, text: str) -> dict[str, Any]:
    """The columns that tell the text without its words."""
    raw = text.encode()
    place = Place(tables.uploads.name, "digest", upload_id)
    return {"digest": await sealed_digest(connection, session_id, place, raw), "size": len(raw)}


async def sealed_digest(connection: AsyncConnection, session_id: str, place: Place, raw: bytes) -> bytes:
    """The SHA-256 of a text as it is kept: of a short one the digest alone could be guessed from."""
    seal = await seal_of(connection, session_id)
    return seal.close_bytes(hashlib.sha256(raw).digest(), place)
