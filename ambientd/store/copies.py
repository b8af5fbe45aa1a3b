"""Copies of the database that lie beside it: as it was before a migration or a restore, or damaged."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ambientd.store.faults import unavailable
from ambientd.store.soundness import SIDECARS, sync_directory

logger = logging.getLogger(__name__)

BACKUP, CORRUPT, REPLACED = ".backup-", ".corrupt.", ".replaced."
"""What stands between the name of the database and the rest."""

LAST: Final = (CORRUPT, REPLACED)
"""Kinds that may hold words which are nowhere else and were never delivered: only a person deletes them."""

KINDS: Final = (BACKUP, CORRUPT, REPLACED)


def beside(path: Path, *kinds: str) -> Iterator[Path]:
    """The copies of those kinds, companions included."""
    for other in sorted(path.parent.iterdir()):
        if other.name.startswith(tuple(path.name + kind for kind in kinds)):
            yield other


def damaged(path: Path) -> list[Path]:
    """The damaged files, without their companions."""
    return [copy for copy in beside(path, CORRUPT) if not copy.name.endswith(SIDECARS)]


def older_than(path: Path, before: datetime, *kinds: str) -> list[Path]:
    """The copies of those kinds that were last written before that; companions are not listed.

    Raises:
        StoreUnavailable: the directory cannot be read.
    """
    try:
        return [
            copy
            for copy in beside(path, *kinds)
            if not copy.name.endswith(SIDECARS) and datetime.fromtimestamp(copy.stat().st_mtime, UTC) < before
        ]
    except OSError as error:
        raise unavailable("look beside", path, error) from error


def forget_ephemeral(file: sqlite3.Connection) -> None:
    """Destroy what a copy holds of sessions that must leave no trace: their keys first, zeros over all of it.

    Audio that waits to be transcribed goes as well: see ``_forget_audio``.

    file: the copy, which nobody else uses; of any revision.
    """
    _forget_audio(file)
    columns = {name for _, name, *_ in file.execute("PRAGMA table_info(realtime_sessions)")}
    if "ephemeral" not in columns:
        return
    _leave_no_trace(file)
    chosen = "WHERE session_id IN (SELECT session_id FROM realtime_sessions WHERE ephemeral = 1)"
    for table in ("session_keys", "realtime_sessions"):
        file.execute(f"DELETE FROM {table} {chosen}")  # noqa: S608 - constants
    file.commit()
    file.execute("PRAGMA incremental_vacuum").fetchall()


def _forget_audio(file: sqlite3.Connection) -> None:
    """Destroy the audio a copy holds.

    A session's key stays for its text when its audio is destroyed, so in a copy the audio could still be opened.
    """
    if not file.execute("SELECT 1 FROM sqlite_schema WHERE name = 'audio_chunks'").fetchone():
        return
    _leave_no_trace(file)
    file.execute("DELETE FROM audio_chunks")
    file.execute("DELETE FROM recordings WHERE status <> 'done'")
    file.commit()
    file.execute("PRAGMA incremental_vacuum").fetchall()


def _leave_no_trace(file: sqlite3.Connection) -> None:
    # No file with the rows of before beside it; a copy that a crash spoils is made again.
    for pragma in ("journal_mode = memory", "secure_delete = on", "foreign_keys = on"):
        file.execute(f"PRAGMA {pragma}").fetchall()


def remove(copy: Path) -> None:
    """Delete a copy and its companions, and say so.

    Raises:
        StoreUnavailable: the directory does not allow it.
    """
    try:
        # The copy last: while it is there, it is listed.
        for suffix in (*SIDECARS, ""):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        sync_directory(copy.parent)
    except OSError as error:
        raise unavailable("remove", copy, error) from error
    logger.info("a copy of the database is deleted", extra={"path": copy})
