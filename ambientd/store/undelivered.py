"""How many conversations lie in a store that nobody has received: asked before a box is wiped.

    python -m ambientd.store.undelivered DIRECTORY

prints the number; it needs no key and no settings, and leaves the store as it is.  The Debian package asks when it is
removed, since at a purge the program is gone.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from ambientd.errors import AmbientError
from ambientd.store.alone import alone
from ambientd.store.faults import unavailable
from ambientd.store.owner import as_owner

DATABASE: Final = "ambientd.db"

_SESSIONS: Final = """
    SELECT count(*) FROM realtime_sessions AS session
    WHERE (session.total_chunks > 0 OR session.state = 'open')
    AND NOT EXISTS (SELECT 1 FROM conversation_uploads AS upload
                    WHERE upload.session_id = session.session_id AND upload.status = 'delivered')
    AND NOT session.ephemeral
"""

_SESSIONS_OF_OLD: Final = "SELECT count(*) FROM realtime_sessions WHERE total_chunks > 0 OR state = 'open'"
"""Of a file from before there were deliveries."""


def undelivered(directory: Path) -> int:
    """Conversations that were not delivered, and files of which nobody can say what they hold.

    A damaged file and one that a restore replaced count one each.  Sessions without a word do not count, nor do
    ephemeral ones, which nobody was ever to receive.

    Raises:
        StoreUnavailable: a daemon uses the database, or it cannot be read.
    """
    path = directory / DATABASE
    count = sum(len(list(directory.glob(f"{DATABASE}.{kind}.*"))) for kind in ("corrupt", "replaced"))
    if not path.exists():
        return count
    with as_owner(directory), alone(path):
        try:
            # For writing, though nothing is written: a log left by a crash can be read in no other way.
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
                known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'conversation_uploads'")
                question = _SESSIONS if known.fetchone() else _SESSIONS_OF_OLD
                (sessions,) = connection.execute(question).fetchone()
        except sqlite3.Error as error:
            raise unavailable("count in", path, error) from error
    return count + int(sessions)


def main(arguments: list[str]) -> int:
    """The command; exit status 1 where nobody can say."""
    try:
        sys.stdout.write(f"{undelivered(Path(arguments[0]))}\n")
    except AmbientError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
