"""What SQLite and the file system report, as one error that says what a person can do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from ambientd.errors import DiskFull, StoreUnavailable

_PRIMARY: Final = 0xFF
"""An extended result code keeps its primary code in the low byte (https://sqlite.org/rescode.html)."""

CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_FULL: Final = "Free space on the disk that holds it; recording goes on by itself afterwards."
_RIGHTS: Final = (
    "Make the directory exist and writable by the user the daemon runs as, on a disk that is not read-only."
)
_HELD: Final = "Another program holds the file: close it (a sqlite3 shell, a backup)."
_DISK: Final = "The disk may be failing: look at the kernel's log (journalctl -k) and replace it."
_DAMAGED: Final = "Restart the daemon: it sets the damaged file aside and goes on with a fresh one."

_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    # The log's index could not grow: SQLite calls this an input/output error, and no disk is failing.
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_READONLY: _RIGHTS,
    sqlite3.SQLITE_CANTOPEN: _RIGHTS,
    sqlite3.SQLITE_PERM: _RIGHTS,
    sqlite3.SQLITE_AUTH: _RIGHTS,
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_BY_ERRNO: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOENT: _RIGHTS,
    errno.ENOTDIR: _RIGHTS,
    errno.EEXIST: _RIGHTS,
    errno.EISDIR: _RIGHTS,
    errno.EIO: _DISK,
}


def is_corruption(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether SQLite found the file itself damaged, as opposed to unreachable or busy."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorcode", 0) & _PRIMARY in CORRUPT


def unavailable(operation: str, path: Path, error: DBAPIError | sqlite3.Error | OSError) -> StoreUnavailable:
    """The error to raise when ``operation`` on ``path`` failed.

    SQLite's own words name tables and columns and the operating system's name paths; neither ever quotes a
    value, so they may be logged.  The statement and its parameters are left out.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError):
        said, hint = cause.strerror or type(cause).__name__, _BY_ERRNO.get(cause.errno or 0, "")
    else:
        code = getattr(cause, "sqlite_errorcode", 0)
        said, hint = str(cause), _BY_CODE.get(code, _BY_CODE.get(code & _PRIMARY, ""))
    kind = DiskFull if hint == _FULL else StoreUnavailable
    return kind(f"{operation} {path}: {said}.", hint=hint)
