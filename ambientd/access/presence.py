"""Who is connected at this moment, so that whoever loses the right to be loses the connection too.

Rule 1  A connection is known from the moment its caller was recognised, before anything can wait: there is no gap in
which a revoked one slips through.
Rule 2  What records is let go last: a lock, or the end of a log-in by time, takes away what is read and leaves the
recording; a revocation and a log-out take all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ambientd.core.access import Principal

logger = logging.getLogger(__name__)

Goodbye = Callable[[], Coroutine[Any, Any, None]]

PATIENCE: Final = 5.0
"""Seconds a connection has to be closed politely; then it is cut."""


class Presence:
    """One connection of somebody's."""

    def __init__(self, principal: Principal, cut: Callable[[], None], *, records: bool) -> None:
        self.principal = principal
        self.records = records
        """Whether it carries a recording."""
        self.gone = False
        """Whether its caller has lost the right to it."""
        self.goodbye: Goodbye | None = None
        """How to close it politely, once it can be."""
        self.cut = cut


class Presences:
    """All connections but those from the box itself."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._here: set[Presence] = set()

    def __len__(self) -> int:
        return len(self._here)

    @contextmanager
    def enter(
        self, principal: Principal, cut: Callable[[], None], *, records: bool = False
    ) -> Iterator[Presence]:
        """A connection for as long as the block lasts.  ``cut``: breaks it at once."""
        presence = Presence(principal, cut, records=records)
        self._here.add(presence)
        try:
            yield presence
        finally:
            self._here.discard(presence)

    def dismiss(self, which: Callable[[Presence], bool], *, but: Presence | None = None) -> int:
        """Closes the connections that meet a condition; gives how many."""
        found = [each for each in self._here if each is not but and not each.gone and which(each)]
        for presence in found:
            presence.gone = True
            self._tasks.create_task(_part(presence), name="goodbye")
        return len(found)


async def _part(presence: Presence) -> None:
    if presence.goodbye is None:
        presence.cut()
        return
    try:
        async with asyncio.timeout(PATIENCE):
            await presence.goodbye()
    except (TimeoutError, ConnectionResetError):
        presence.cut()
    # One connection that cannot be closed politely must not keep the others open.
    except Exception as error:
        logger.exception("a connection was cut", extra={"error": type(error).__name__})
        presence.cut()
