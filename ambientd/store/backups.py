"""Backups of an open database, one at a time, each on record in its audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from ambientd.store.audit import Action, Audit
from ambientd.store.backup import Backup, made
from ambientd.store.database import Database, settled


class Backups:
    """Made over the daemon's database; live sessions go on meanwhile."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def make(self, *, actor: str, origin: str) -> AsyncIterator[Backup]:
        """A backup beside the database, for as long as the block lasts.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        stack = ExitStack()
        async with self._turn:
            try:
                making = asyncio.to_thread(stack.enter_context, made(self._database.path))
                backup = await settled(asyncio.create_task(making))
                await self._audit.record(
                    actor=actor, action=Action.BACKUP_MADE, object=backup.name, origin=origin
                )
                yield backup
            finally:
                await settled(asyncio.create_task(asyncio.to_thread(stack.close)))
