"""Append lines for ever, and print the number of each once its commit has returned.

Usage: append_until_killed.py FILE SESSION_ID
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from stored_speech import begin, figures, line

from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions


async def main(path: Path, session_id: str) -> None:
    async with open_database(path) as database:
        sessions, lines = Sessions(database), Lines(database)
        for left_open in await sessions.recover():
            print("recovered", left_open, flush=True)  # noqa: T201 - the test reads it
        await begin(sessions, session_id)
        said = []
        for index in count():
            said.append(line(index))
            await lines.append_line(session_id, line(index), figures(said))
            print("stored", index, flush=True)  # noqa: T201 - the test reads it


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
