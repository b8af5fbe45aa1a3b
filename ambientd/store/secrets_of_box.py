"""What the box itself must keep secret and must not lose, such as the key of its certificate authority.

Facts whose value is sealed with the box's key.  They change hands with it, are in each backup, and come back with a
restore, so that tablets which trust a box trust it still after its disk was replaced.
"""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.errors import StoreUnavailable
from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.facts import fact, remember
from ambientd.store.faults import unavailable
from ambientd.store.refusals import SealBroken
from ambientd.store.vault import Vault

logger = logging.getLogger(__name__)

_MARK: Final = "sealed:"
"""Before the name of such a fact."""


class Secrets:
    """The secrets of a database's box."""

    def __init__(self, database: Database, copies: Path) -> None:
        """``copies``: a folder in which each secret is kept as well, sealed in the same way.

        A database that was damaged is replaced by an empty one, and nobody should have to visit forty tablets for it.
        """
        self._database = database
        self._copies = copies

    async def get(self, name: str) -> bytes | None:
        """What is kept under that name, if anything; from the copy if the database has none, or none that opens.

        Raises:
            SealBroken: neither opens.
            StoreUnavailable: the file cannot be read.
        """
        found = await self._database.query(lambda connection: fact(connection, _MARK + name))
        if found is not None:
            try:
                content = self._database.vault.open_secret(name, base64.b64decode(found))
            except (SealBroken, ValueError) as error:  # ValueError: it is not even base64
                copied = self._copied(name)
                if copied is None:
                    raise SealBroken(name, "box_facts") from error
                await self.keep(name, copied)
                return copied
            self._copy(name, content)
            return content
        copied = self._copied(name)
        if copied is not None:
            await self.keep(name, copied)
        return copied

    async def keep(self, name: str, content: bytes) -> None:
        """Keep it, in the place of what was there; on the disk when this returns.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        sealed = base64.b64encode(self._database.vault.close_secret(name, content)).decode()
        await self._database.transact(lambda connection: remember(connection, _MARK + name, sealed))
        self._copy(name, content)

    def _copied(self, name: str) -> bytes | None:
        try:
            return self._database.vault.open_secret(name, (self._copies / f"{name}.sealed").read_bytes())
        except (FileNotFoundError, SealBroken):  # sealed with a key that was changed since, or damaged
            return None
        except OSError as error:
            raise unavailable("read", self._copies / f"{name}.sealed", error) from error

    def _copy(self, name: str, content: bytes) -> None:
        """Bring the copy up to date; without one the box works too, so a disk that takes none is only told."""
        path = self._copies / f"{name}.sealed"
        fresh = path.with_name(path.name + ".new")
        try:
            if self._copied(name) == content:
                return
            self._copies.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._database.vault.close_secret(name, content))
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
        except (OSError, StoreUnavailable) as error:
            logger.warning("a secret of the box has no copy", extra={"error": error, "path": path})


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
        except (SealBroken, ValueError):  # ValueError: it is not even base64
            continue  # it was lost before; a change of the key is not refused for it
        await remember(connection, marked, base64.b64encode(new.close_secret(name, content)).decode())
