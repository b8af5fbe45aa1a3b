"""Whether the file can be trusted, and where it goes when it cannot.

A damaged file is set aside, never deleted: most of its text can usually be recovered by hand (``.recover`` in
the ``sqlite3`` shell).  Recording goes on in a fresh file, since a box that refuses to start loses the next
consultation as well.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ambientd.store.faults import is_corruption, unavailable

log = logging.getLogger(__name__)

SIDECARS = ("-wal", "-shm")


def stamp() -> str:
    """Now, UTC, as it stands in file names."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def damage(path: Path) -> str | None:
    """What is wrong inside the file, in SQLite's words; ``None`` when nothing is.

    Opened read-only: the last writer to close would fold the write-ahead log into a file that may be
    damaged, and with it what could have been recovered.

    Raises:
        StoreUnavailable: the file cannot be read at all, which says nothing about its contents.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if is_corruption(error):
            return str(error)
        raise unavailable("check", path, error) from error
    return None if verdict == "ok" else " ".join(str(verdict).split())


def set_aside(path: Path, found: str) -> Path:
    """Rename a damaged file and its companions to ``NAME.corrupt.TIME``, and say so loudly.

    Raises:
        StoreUnavailable: the directory does not allow it.
    """
    aside = path.with_name(f"{path.name}.corrupt.{stamp()}")
    try:
        # The companions first: a fresh file must never meet the write-ahead log of another.
        for suffix in (*SIDECARS, ""):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + suffix))
        sync_directory(path.parent)
    except OSError as error:
        raise unavailable("set aside", path, error) from error
    log.error(
        "the database %s is damaged (%s); it was set aside as %s and recording goes on in a fresh file. "
        "Keep that file: the sqlite3 shell's .recover may bring its text back.",
        path,
        found,
        aside,
    )
    return aside


def sync_directory(directory: Path) -> None:
    """Make names created or changed in a directory survive loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
