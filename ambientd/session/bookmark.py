"""Where the recording of the room stands, on the disk: so that it goes on after a crash as it was."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from ambientd.errors import StoreUnavailable
from ambientd.session.registry import boot_id
from ambientd.session.session import Session
from ambientd.store.recording import Mark

logger = logging.getLogger(__name__)


class Diary(Protocol):
    """The part of the store that remembers what is recorded."""

    async def note(self, mark: Mark) -> None:
        """Replaces the mark."""
        ...

    async def last(self) -> Mark | None:
        """The mark, if there is one."""
        ...

    async def clear(self) -> None:
        """Nobody is recorded any more."""
        ...


class Bookmark:
    """The mark of one box."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    async def put(self, session: Session, *, paused: bool) -> None:
        """Notes how far ``session`` is, and whether it is paused.

        Raises:
            StoreUnavailable: it is not noted.
        """
        if session.terms.ephemeral:
            return  # nothing of it outlives the daemon
        await self._diary.note(
            Mark(
                session.id,
                paused,
                session.taken,
                session.terms.language,
                boot_id(),
                time.monotonic(),
                datetime.now(UTC).timestamp(),
            )
        )

    async def keep(self, session: Session, *, paused: bool) -> None:
        """As :meth:`put`; where the disk takes nothing, the session tells its listeners soon enough."""
        with suppress(StoreUnavailable):
            await self.put(session, paused=paused)

    async def remove(self) -> None:
        """Nobody is recorded any more.  A mark of what has ended, on a disk that takes nothing, does no harm."""
        with suppress(StoreUnavailable):
            await self._diary.clear()

    async def left(self, within: float) -> tuple[Mark, float] | None:
        """What was recorded when the daemon stopped, and how many seconds ago, if less than ``within``."""
        try:
            mark = await self._diary.last()
        except StoreUnavailable as error:
            logger.warning("what was recorded before is not known", extra={"error": error})
            return None
        if mark is None:
            return None
        age = mark.age(boot_id=boot_id(), monotonic=time.monotonic(), now=datetime.now(UTC).timestamp())
        if 0 <= age <= within:
            return mark, age
        logger.warning(
            "microphone session stays interrupted: it was away for too long",
            extra={"session": mark.session_id, "seconds": round(age, 1)},
        )
        await self.remove()
        return None
