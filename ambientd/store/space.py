"""Whether there is room on the disk for another session.

A session writes less than a megabyte an hour, so what matters is that those which run can be finished: new ones are
refused while there still is room for that.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ambientd.errors import ClientError

logger = logging.getLogger(__name__)

_MEGABYTE = 1_000_000


class DiskLow(ClientError):
    """A client wants a session while the disk is nearly full."""

    def __init__(self, free: int, wanted: int) -> None:
        super().__init__(
            "disk_low",
            f"the box's disk is nearly full ({free // _MEGABYTE} MB left, {wanted // _MEGABYTE} MB wanted):"
            " no new session",
            hint="Free space on the box (ambientctl purge, old logs), then try again.",
            close_code=1013,
        )


class Disk:
    """The disk that holds the database."""

    def __init__(self, path: Path, low_water: int) -> None:
        """``path``: a file or folder on it.  ``low_water``: bytes that must be free for a new session."""
        self.low_water = low_water
        self._path = path
        self._low = False

    @property
    def free(self) -> int:
        """Bytes that the daemon's user may still write; 0 where the disk has gone."""
        try:
            found = os.statvfs(self._path)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def check(self) -> None:
        """Return if a new session may begin.

        Raises:
            DiskLow: too little is free.
        """
        free = self.free
        low = free < self.low_water
        if low != self._low:
            self._low = low
            if low:
                logger.error(
                    "the disk is nearly full: no new sessions until space is freed",
                    extra={"bytes": free, "limit": self.low_water},
                )
            else:
                logger.info("there is room on the disk again", extra={"bytes": free})
        if low:
            raise DiskLow(free, self.low_water)
