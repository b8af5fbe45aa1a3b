"""Root's shell works for the user the daemon runs as, who must be able to read and write what it leaves behind."""

from __future__ import annotations

import os
from pathlib import Path


def give_to_owner(path: Path) -> None:
    """Give a file that root may have made to the owner of its directory; does nothing for anybody else."""
    if os.geteuid() != 0:
        return
    owner, now = path.parent.stat(), path.stat()
    if (now.st_uid, now.st_gid) != (owner.st_uid, owner.st_gid):
        os.chown(path, owner.st_uid, owner.st_gid)
