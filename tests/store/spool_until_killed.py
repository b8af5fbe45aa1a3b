"""Record, or transcribe, for ever, and print what is on the disk once each commit has returned.

Usage: spool_until_killed.py FILE record|transcribe
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from stored_speech import BEGAN, begin, figures, line

from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason
from ambientd.store.database import open_database
from ambientd.store.sessions import Sessions
from ambientd.store.spool import Piece, Spool

PIECES = 4


def sound(index: int) -> bytes:
    """A piece that is like no other."""
    return bytes([index % 251, 7]) * 16_000


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def record(spool: Spool, sessions: Sessions) -> None:
    await begin(sessions, "visit")
    await spool.begin("visit")
    for index in count():
        await spool.append("visit", Piece(index * 16_000, sound(index)), SessionMetrics())
        say("stored", index)


async def transcribe(spool: Spool, sessions: Sessions) -> None:
    for number in count():
        name = f"visit-{number}"
        await begin(sessions, name)
        await spool.begin(name)
        for index in range(PIECES):
            await spool.append(name, Piece(index * 16_000, sound(index)), SessionMetrics())
        await spool.close(
            name, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=SessionMetrics(), language="en"
        )
        say("waits", number)
        await spool.next()
        said = [line(index) for index in range(3)]
        await spool.complete(name, lines=said, gaps=[], metrics=figures(said), language="en")
        say("done", number)


async def main(path: Path, what: str) -> None:
    async with open_database(path) as database:
        sessions, spool = Sessions(database), Spool(database)
        await sessions.recover()
        await {"record": record, "transcribe": transcribe}[what](spool, sessions)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
