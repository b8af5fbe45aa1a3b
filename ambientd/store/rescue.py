"""What a fresh file takes over from the damaged one before it: who the box is, and how its key can be brought back."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ambientd.store.faults import unavailable
from ambientd.store.vault import Vault

log = logging.getLogger(__name__)

IDENTITY: Final = ("box_id",)
RECOVERY: Final = ("recovery_public", "recovery_locked")
"""Names of facts.  The second are about one key, and taken over only with it."""


def rescue(damaged: Path, fresh: Path, vault: Vault) -> None:
    """Copy these facts, as far as they can still be read.

    Without them the centre would take the box for another, and the printed recovery key would open nothing stored from
    now on.  The audit is not taken over: a chain with a damaged beginning proves nothing.

    Raises:
        StoreUnavailable: the fresh file cannot be written.
    """
    try:
        with closing(sqlite3.connect(f"{damaged.as_uri()}?mode=ro", uri=True)) as file:
            facts = dict(file.execute("SELECT name, value FROM box_facts"))
            in_force = file.execute("SELECT key_id FROM box_keys WHERE retired_at IS NULL").fetchall()
    except sqlite3.Error:
        log.warning("nothing could be taken over from the damaged file: the box gets a new id")
        return
    names = [*IDENTITY, *(RECOVERY if in_force == [(vault.key_id,)] else ())]
    known = [(name, facts[name]) for name in names if isinstance(facts.get(name), str)]
    try:
        with closing(sqlite3.connect(fresh)) as file:
            file.executemany("INSERT OR IGNORE INTO box_facts (name, value) VALUES (?, ?)", known)
            file.commit()
    except sqlite3.Error as error:
        raise unavailable("write to", fresh, error) from error
