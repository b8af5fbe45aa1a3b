"""One program at a time on a database."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ambientd.errors import StoreUnavailable


class InUse(StoreUnavailable):
    """Another program works on the database."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold ``NAME.lock``: a second daemon would take the first one's open sessions for crashed ones.

    A file beside it, since closing any descriptor of the database itself would drop SQLite's own locks
    (https://sqlite.org/howtocorrupt.html section 2.2).

    Raises:
        InUse: another program holds it.
    """
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse(
                f"open {path}: another ambientd is using it.",
                hint="Stop that one first (systemctl stop ambientd), or name another file in the settings.",
            ) from error
        yield
    finally:
        os.close(descriptor)
