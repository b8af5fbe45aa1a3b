"""What the box remembers of itself between two runs: names and short texts, never words of a conversation."""

from __future__ import annotations

import uuid
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.store import tables
from ambientd.store.database import Database

BOX_ID = "box_id"

RESTORED: Final = "restored"
"""``yes`` from when a backup was put in place until its open sessions have been ended."""

DISCARDED: Final = "discarded/"
"""Before the id of a session: when it was discarded."""

PERHAPS_DELIVERED: Final = (
    "it may have been delivered after the backup was made; release it with ambientctl sync retry if not."
)
"""Why a delivery of a backup is parked."""


async def fact(connection: AsyncConnection, name: str) -> str | None:
    """The fact of that name, within a transaction; ``None`` if there is none."""
    value: str | None = await connection.scalar(
        select(tables.facts.c.value).where(tables.facts.c.name == name)
    )
    return value


async def remember(connection: AsyncConnection, name: str, value: str) -> None:
    """Set a fact, within a transaction."""
    wanted = insert(tables.facts).values(name=name, value=value)
    await connection.execute(
        wanted.on_conflict_do_update(index_elements=[tables.facts.c.name], set_={"value": value})
    )


async def forget_fact(connection: AsyncConnection, name: str) -> None:
    """Forget a fact, within a transaction; there may be none."""
    await connection.execute(delete(tables.facts).where(tables.facts.c.name == name))


async def forget_discarded(connection: AsyncConnection, before: str) -> None:
    """Forget which sessions were discarded before that moment, within a transaction: nobody comes back to them."""
    names = tables.facts.c.name
    await connection.execute(
        delete(tables.facts).where(
            names.startswith(DISCARDED, autoescape=True), tables.facts.c.value < before
        )
    )


async def box_id(database: Database) -> str:
    """The box's own id: made up at its first start, the same ever after.

    Raises:
        StoreUnavailable: it can be neither read nor made.
    """

    async def find_or_make(connection: AsyncConnection) -> str:
        if (known := await fact(connection, BOX_ID)) is not None:
            return known
        made = str(uuid.uuid4())
        await remember(connection, BOX_ID, made)
        return made

    return await database.transact(find_or_make)
