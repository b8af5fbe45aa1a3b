"""Which key opens a database, before anything in it is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ambientd.errors import StoreUnavailable
from ambientd.store.faults import unavailable
from ambientd.store.keys import WITH_CREDENTIAL, Keys
from ambientd.store.vault import Vault, key_id

_WRONG: Final = (
    "Put back the key this file was sealed with (box.key, or the credential ambientd-box-key), "
    "or bring it back from the recovery key: ambientctl key restore.  "
    f"In a shell a credential is not at hand: {WITH_CREDENTIAL}."
)


def unlock(path: Path) -> Vault:
    """The vault for the file: with the key that sealed it, or with the box's key if nothing in it is sealed yet.

    Raises:
        StoreUnavailable: the key is not at hand.  Nothing was changed, and no key was made.
    """
    keys = Keys(path.parent)
    current, retired = _known(path)
    if current is None:
        return Vault(keys.first())
    name, proof = current
    key = keys.all.get(name)
    if key is None or not (vault := Vault(key)).proves(proof):
        there = "the key at hand is another one" if keys.all else "the key is missing"
        raise StoreUnavailable(f"open {path}: it is sealed with key {name}, and {there}.", hint=_WRONG)
    _tidy(keys, key, retired)
    return vault


def _tidy(keys: Keys, current: bytes, retired: set[str]) -> None:
    """Finish a rotation that was cut off: before its transaction the successor goes, after it the old key."""
    kept = [key for key in keys.filed if key_id(key) not in retired]
    if keys.successor == current:
        kept.append(current)
    if keys.successor or kept != keys.filed:
        keys.keep(kept)


def _known(path: Path) -> tuple[tuple[str, bytes] | None, set[str]]:
    """Name and proof of the key in force, if there is one, and the names of those that were."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'box_keys'").fetchall():
                return None, set()
            rows = file.execute("SELECT key_id, proof, retired_at FROM box_keys").fetchall()
    except sqlite3.Error as error:
        raise unavailable("open", path, error) from error
    in_force = [(name, proof) for name, proof, retired_at in rows if retired_at is None]
    return (in_force[0] if in_force else None), {name for name, _, since in rows if since is not None}
