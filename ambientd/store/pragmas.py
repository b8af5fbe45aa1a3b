"""The promises each connection makes to the file, set and then read back.

SQLite answers a pragma it cannot keep with silence: a file system without shared memory leaves the journal in
``delete`` mode and says nothing.  Reading back is the only way to know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy.engine.interfaces import DBAPIConnection

from ambientd.errors import StoreUnavailable

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a statement waits for another program's lock.  Only a shell or a backup can hold one, since there
is one daemon per file; systemd gives a stop 20 s, and one wait must fit well inside."""

JOURNAL_SIZE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes the write-ahead log may keep on disk after a checkpoint: twice the 4 MB at which SQLite checkpoints
by itself (https://sqlite.org/pragma.html#pragma_wal_autocheckpoint), so that only an unusual burst is cut."""

Promises = tuple[tuple[str, int | str], ...]

DURABLE: Final[Promises] = (
    # First, since any of the others may meet a lock.
    ("busy_timeout", BUSY_TIMEOUT_MS),
    # INCREMENTAL (2).  Only before the first page is written, hence before the journal mode.  A purge gives
    # its pages back in steps; FULL would move pages about at every commit.
    ("auto_vacuum", 2),
    ("journal_mode", "wal"),
    # FULL (2).  In WAL mode NORMAL may roll back commits on loss of power: a line somebody has read would go.
    # Source: https://sqlite.org/pragma.html#pragma_synchronous
    ("synchronous", 2),
    # Deleted text is overwritten with zeros, not merely unlinked.
    ("secure_delete", 1),
    # A sort that does not fit its cache would otherwise spill words into a file under /var/tmp.
    ("temp_store", 2),
    ("journal_size_limit", JOURNAL_SIZE_LIMIT),
)

WRITER: Final[Promises] = (*DURABLE, ("foreign_keys", 1))
READER: Final[Promises] = (*WRITER, ("query_only", 1))
MIGRATION: Final[Promises] = (*DURABLE, ("foreign_keys", 0))
"""Altering a table rebuilds it; with foreign keys on, dropping the old copy would delete its children.
Source: https://sqlite.org/lang_altertable.html#otheralter"""


def keep(connection: DBAPIConnection, promises: Promises, path: Path) -> None:
    """Make a fresh connection keep each promise, and read it back.

    Raises:
        StoreUnavailable: a promise is not kept; the file must not be trusted with a consultation.
    """
    cursor = connection.cursor()

    def found(name: str) -> object:
        cursor.execute(f"PRAGMA {name}")
        row = cursor.fetchone()
        return None if row is None else row[0]

    try:
        for name, value in promises:
            # Only where it differs: setting what is in the file already takes the write lock all the same,
            # and a reader doing so would wait for the writer.
            if found(name) != value:
                cursor.execute(f"PRAGMA {name} = {value}")
        for name, value in promises:
            if (kept := found(name)) != value:
                raise StoreUnavailable(
                    f"set up {path}: SQLite keeps {name} at {kept!r} where {value!r} is needed.",
                    hint="Put the database on a local disk (ext4, xfs, btrfs) and let only ambientd make it.",
                )
    finally:
        cursor.close()
