"""What the microphone recorded when the daemon was last heard of: so that it goes on after a crash, or stays paused.

One short text among the box's facts, written anew every few seconds while somebody is recorded.  It lies there in the
clear, so it holds no words: what was asked for this session alone, its prompt and vocabulary, is not in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from ambientd.store.database import Database
from ambientd.store.facts import fact, forget_fact, remember

RECORDING: Final = "recording"


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment of a recording."""

    session_id: str
    paused: bool
    received: int
    """Samples of the session by then."""
    language: str
    """In which it was to be heard."""
    boot_id: str | None
    """The kernel's id of the boot in which it was made ..."""
    monotonic: float
    """... and seconds on the monotonic clock of that boot ..."""
    at: float
    """... and seconds since 1970 by the box's clock, which may be wrong."""

    def age(self, *, boot_id: str | None, monotonic: float, now: float) -> float:
        """Seconds since it was made; below 0 where the clock was set back in between."""
        return monotonic - self.monotonic if boot_id == self.boot_id else now - self.at


class Recordings:
    """The mark of a box."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, mark: Mark) -> None:
        """Replace the mark; returns when it is on the disk.

        Raises:
            StoreUnavailable: the old one stands.
        """
        text = json.dumps(asdict(mark))
        await self._database.transact(lambda connection: remember(connection, RECORDING, text))

    async def last(self) -> Mark | None:
        """The mark, if the daemon stopped while somebody was recorded.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        text = await self._database.query(lambda connection: fact(connection, RECORDING))
        try:
            return None if text is None else Mark(**json.loads(text))
        except (ValueError, TypeError):  # of another version: the box starts all the same
            return None

    async def clear(self) -> None:
        """Nobody is recorded any more.

        Raises:
            StoreUnavailable: the mark stands.
        """
        await self._database.transact(lambda connection: forget_fact(connection, RECORDING))
