"""Whether the file can be trusted, and where it goes when it cannot.

A damaged file is set aside, never deleted: most of its text can usually be recovered by hand (``.recover`` in
the ``sqlite3`` shell).  Recording goes on in a fresh file, since a box that refuses to start loses the next
consultation as well.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ambientd.store.faults import is_corruption, unavailable

log = logging.getLogger(__name__)

SIDECARS = ("-wal", "-shm")

MARK: Final = ".closed"
"""Stands behind the database's name in the name of the note that it was closed in order."""

SMALL: Final = 64 * 1024 * 1024
"""Bytes up to which a file is checked at each start: a tenth of a second."""

CHECK_AGAIN: Final = 7 * 24 * 3600.0
"""Seconds after which a large file is checked although it was closed in order."""


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


def needs_check(path: Path) -> bool:
    """Whether the file is to be checked before it is used.

    A check reads every page, seconds for each gigabyte on a slow disk.  A small file is checked at each start; a large
    one only after a stop that was not clean, or when the last check is old: disks also lose pages that nobody writes.
    """
    try:
        said = json.loads(path.with_name(path.name + MARK).read_text())
    except (OSError, ValueError):
        said = None  # none, or nothing to rely on
    if path.stat().st_size <= SMALL or any(
        path.with_name(path.name + suffix).exists() for suffix in SIDECARS
    ):
        return True
    return not (
        isinstance(said, dict)
        and said.get("file") == _appearance(path)
        and isinstance(checked := said.get("checked"), int | float)
        and 0 <= time.time() - checked < CHECK_AGAIN
    )


def take_mark(path: Path) -> None:
    """Take the mark of the last stop away, before anything is written: a crash from now on must not find it.

    Raises:
        OSError: the directory does not allow it.
    """
    path.with_name(path.name + MARK).unlink(missing_ok=True)
    sync_directory(path.parent)


def mark_closed(path: Path, checked: float) -> None:
    """Note beside the file that it was closed in order, as it is now.

    checked: when it was last checked, seconds since the epoch.
    """
    if any(path.with_name(path.name + suffix).exists() for suffix in SIDECARS):
        return  # its log could not be folded into it
    mark = path.with_name(path.name + MARK)
    fresh = mark.with_name(mark.name + ".new")
    try:
        fresh.write_text(json.dumps({"file": _appearance(path), "checked": checked}))
        fresh.chmod(0o600)
        fresh.replace(mark)
    except OSError as error:
        # Only the next start takes longer.
        log.warning("the orderly stop of %s could not be noted", path, extra={"error": error})


def last_check(path: Path) -> float:
    """When the file was last checked, by the mark of the last stop; 0 if there is none."""
    try:
        return float(json.loads(path.with_name(path.name + MARK).read_text())["checked"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _appearance(path: Path) -> list[int]:
    """What changes when anybody writes to a file."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns]


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
        aside.touch()  # it is kept from now on, not from its last change
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
