"""Copies of the database that lie beside it: as it was before a migration or a restore, or damaged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ambientd.store.faults import unavailable
from ambientd.store.soundness import SIDECARS, sync_directory

logger = logging.getLogger(__name__)

BACKUP, CORRUPT, REPLACED = ".backup-", ".corrupt.", ".replaced."
"""What stands between the name of the database and the rest."""

KINDS: Final = (BACKUP, CORRUPT, REPLACED)


def beside(path: Path, *kinds: str) -> Iterator[Path]:
    """The copies of those kinds, companions included."""
    for other in sorted(path.parent.iterdir()):
        if other.name.startswith(tuple(path.name + kind for kind in kinds)):
            yield other


def damaged(path: Path) -> list[Path]:
    """The damaged files, without their companions."""
    return [copy for copy in beside(path, CORRUPT) if not copy.name.endswith(SIDECARS)]


def older_than(path: Path, before: datetime) -> list[Path]:
    """The copies that were last written before that.

    Raises:
        StoreUnavailable: the directory cannot be read.
    """
    try:
        return [
            copy
            for copy in beside(path, *KINDS)
            if datetime.fromtimestamp(copy.stat().st_mtime, UTC) < before
        ]
    except OSError as error:
        raise unavailable("look beside", path, error) from error


def remove(copy: Path) -> None:
    """Delete a copy, and say so; loudly if it is a damaged one, which nobody may have looked at.

    Raises:
        StoreUnavailable: the directory does not allow it.
    """
    try:
        copy.unlink(missing_ok=True)
        sync_directory(copy.parent)
    except OSError as error:
        raise unavailable("remove", copy, error) from error
    if CORRUPT in copy.name:
        logger.warning("a damaged database was kept long enough and is deleted", extra={"path": copy})
    else:
        logger.info("an old copy of the database is deleted", extra={"path": copy})
