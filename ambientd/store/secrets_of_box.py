"""What the box itself must keep secret and must not lose, such as the key of its certificate authority.

Facts whose value is sealed with the box's key.  They change hands with it, are in each backup, and come back with a
restore, so that tablets which trust a box trust it still after its disk was replaced.
"""

from __future__ import annotations

import base64
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.facts import fact, remember
from ambientd.store.refusals import SealBroken
from ambientd.store.vault import Vault

_MARK: Final = "sealed:"
"""Before the name of such a fact."""


class Secrets:
    """The secrets of a database's box."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> bytes | None:
        """What is kept under that name, if anything.

        Raises:
            StoreUnavailable: the file cannot be read, or the value was altered.
        """
        found = await self._database.query(lambda connection: fact(connection, _MARK + name))
        return None if found is None else self._database.vault.open_secret(name, base64.b64decode(found))

    async def keep(self, name: str, content: bytes) -> None:
        """Keep it, in the place of what was there; on the disk when this returns.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        sealed = base64.b64encode(self._database.vault.close_secret(name, content)).decode()
        await self._database.transact(lambda connection: remember(connection, _MARK + name, sealed))


async def rewrap(connection: AsyncConnection, old: Vault, new: Vault) -> None:
    """Seal all secrets with another key, within the transaction that puts it in force."""
    column = tables.facts.c
    found = await connection.execute(
        select(column.name, column.value).where(column.name.startswith(_MARK, autoescape=True))
    )
    for marked, value in found.all():
        name = marked.removeprefix(_MARK)
        try:
            content = old.open_secret(name, base64.b64decode(value))
        except SealBroken:
            continue  # it was lost before; a change of the key is not refused for it
        await remember(connection, marked, base64.b64encode(new.close_secret(name, content)).decode())
