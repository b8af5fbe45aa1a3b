"""Root's shell works for the user the daemon runs as, and with that user's rights.

Whoever has taken over the daemon can put a link where a file of the store is expected; root, following it, would write,
or give away, any file of the machine.  With the rights of that user a link leads nowhere it could not go itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ambientd.store.keys import carry_credentials


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """Work with the rights of the directory's owner for as long as the block lasts; does nothing unless run by root.

    The effective ids alone are changed, which takes every right over files away: what root has opened before stays
    open, and a backup can be given its name afterwards, in a directory that the owner cannot write to.

    Raises:
        StoreUnavailable: a key is there but cannot be read.
    """
    owner = _owner(directory.absolute()) if os.geteuid() == 0 else None
    if owner is None:
        yield
        return
    # Credentials belong to root's own unit: they are read while they can be.
    carry_credentials()
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _owner(directory: Path) -> os.stat_result | None:
    """Who could put something else at this place; ``None`` if only root could.

    A directory of root's below one of somebody else's may be a link that this somebody has made.
    """
    try:
        if (found := directory.stat()).st_uid != 0:
            return found
    except FileNotFoundError:
        pass
    for above in (directory, *directory.parents):
        try:
            if (found := above.lstat()).st_uid != 0:
                return found
        except FileNotFoundError:
            continue
    return None
