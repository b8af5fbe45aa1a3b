"""Whether the thread that writes still works.

All that is stored goes through one thread.  If it hangs, or is gone, sessions wait for their lines for ever: nothing
fails, nothing is shown, and only somebody who asks from outside finds out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ambientd.errors import StoreUnavailable
from ambientd.store.database import Database

PATIENCE: Final = 30.0
"""Seconds that an answer may take: more than any one statement or commit of ours on a disk that still works."""


class WriterPulse:
    """Asks the writing thread for a sign of life, one question at a time."""

    def __init__(self, database: Database, *, patience: float = PATIENCE) -> None:
        self._database = database
        self._patience = patience
        self._unanswered: float | None = None
        """Since when no answer has come to a question, by the monotonic clock."""
        self._question: asyncio.Task[None] | None = None

    def alive(self) -> bool:
        """Whether the last question has been answered, or may still be; asks the next one."""
        now = time.monotonic()
        if self._unanswered is None:
            self._unanswered = now
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask(), name="pulse of the store")
        return now - self._unanswered < self._patience

    def give_up(self) -> None:
        """Waits for no answer any more."""
        if self._question is not None:
            self._question.cancel()

    async def _ask(self) -> None:
        try:
            # An error is an answer: what is wrong with the file is for others to tell.
            with suppress(StoreUnavailable):
                await self._database.answers()
        except ValueError:  # aiosqlite's word for a connection that is closed, and still in use
            return
        self._unanswered = None


@contextmanager
def pulse_of(database: Database, *, patience: float = PATIENCE) -> Iterator[WriterPulse]:
    """The writer's pulse; leaving the block gives up the question that may still be out."""
    pulse = WriterPulse(database, patience=patience)
    try:
        yield pulse
    finally:
        pulse.give_up()
