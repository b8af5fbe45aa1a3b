"""What an operator does with the box's key while the daemon is stopped: look, change, print, bring back.

    Rule 1  Both keys are in the file before anything is wrapped with the new one, and until nothing is with the old.
    Rule 2  All data keys change hands in one transaction; which key is in force is told by the database alone.
    Rule 3  So a rotation that is cut off anywhere is finished, or undone, by the next start: see ``unlocking``.

With the daemon stopped, since a change of key under live sessions would need both keys in every reader's hands, for
something that takes a second once a year.
"""

from __future__ import annotations

import base64
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.errors import OperatorError, StoreUnavailable
from ambientd.store import audit, copies, recovery, secrets_of_box, tables
from ambientd.store.alone import alone
from ambientd.store.database import open_database
from ambientd.store.facts import fact, remember
from ambientd.store.faults import unavailable
from ambientd.store.keys import CREDENTIAL, NEW_CREDENTIAL, Keys
from ambientd.store.rows import moment_text
from ambientd.store.soundness import SIDECARS
from ambientd.store.unlocking import unlock
from ambientd.store.vault import KEY_BYTES, Vault, key_id

PUBLIC: Final = "recovery_public"
LOCKED: Final = "recovery_locked"
"""Facts: the public half of the recovery key, and the box's key locked to it, as base64."""

_SUPPLY_BOTH: Final = (
    f"Make a new one (head -c 32 /dev/urandom | base64), supply it as the credential {NEW_CREDENTIAL} beside "
    f"{CREDENTIAL} (systemd-run --pty -p LoadCredential=… ambientctl key rotate), then let it take the old one's place."
)


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand with the key."""

    key_id: str
    created_at: str
    origin: str
    """``credential``, ``file``, or ``missing``."""
    recoverable: bool
    """Whether a recovery key was printed for it."""
    retired: int
    """Keys that were in force before it."""
    sessions: int
    """Sessions it guards."""


def status(path: Path) -> Status:
    """How things stand with the key of a database; only reads, so the daemon may be running.

    Raises:
        StoreUnavailable: the file, or a key beside it, cannot be read.
        OperatorError: nothing in it is sealed yet.
    """
    _require(path)
    keys = Keys(path.parent)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            known = file.execute("SELECT key_id, created_at, retired_at FROM box_keys").fetchall()
            ((sessions,),) = file.execute("SELECT count(*) FROM session_keys").fetchall()
            printed = file.execute("SELECT 1 FROM box_facts WHERE name = ?", (LOCKED,)).fetchall()
    except sqlite3.Error as error:
        raise unavailable("read the keys of", path, error) from error
    in_force = [(name, since) for name, since, retired_at in known if retired_at is None]
    if not in_force:
        raise OperatorError("nothing is sealed yet", hint="Start the daemon once: it makes the key.")
    name, since = in_force[0]
    supplied = {key_id(key) for key in keys.supplied}
    filed = {key_id(key) for key in keys.filed}
    origin = "credential" if name in supplied else "file" if name in filed else "missing"
    return Status(name, since, origin, bool(printed), len(known) - 1, sessions)


async def rotate(path: Path, *, force: bool = False) -> int:
    """Put a new key in force and destroy the old one; gives the number of sessions whose keys changed hands.

    force: even if the old key is the only one that opens something.

    Raises:
        StoreUnavailable: the daemon is running, or the file cannot be written; the old key is still in force.
        OperatorError: the key is a credential, and no new one was supplied; or ``force`` is missing.
    """
    _require(path)
    async with open_database(path) as database:
        keys = Keys(path.parent)
        old = keys.all[database.vault.key_id]
        if old not in keys.supplied and not force:  # a supplied one is kept by whoever supplies it
            printed = await database.query(lambda connection: fact(connection, PUBLIC))
            _require_another_way(path, recoverable=printed is not None)
        new = _successor(keys, old)
        count = await database.transact(lambda connection: _rewrap(connection, database.vault, new))
        # The log still holds what the old key opens.
        await database.scrub()
    unlock(path)  # which destroys the old key
    return count


async def print_recovery(path: Path) -> str:
    """A new recovery key, to be printed now: it is not kept.  One printed before opens nothing any more.

    Raises:
        StoreUnavailable: the daemon is running, or the file cannot be written.
    """
    _require(path)
    printed, public = recovery.make()
    async with open_database(path) as database:
        key = Keys(path.parent).all[database.vault.key_id]

        async def keep(connection: AsyncConnection) -> None:
            await _lock(connection, key, public)
            await audit.record(
                connection, actor="operator", action="key.recovery_printed", origin="ambientctl"
            )

        await database.transact(keep)
        await database.scrub()
    return printed


async def restore(path: Path, printed: str) -> str:
    """Bring the box's key back from the recovery key, into the file; gives its name.

    Raises:
        StoreUnavailable: the daemon is running, or a file cannot be read or written.
        OperatorError: it is not the recovery key of this database, or none was ever printed for it.
    """
    _require(path)
    private = recovery.parse(printed)
    with alone(path):
        name, locked = _locked(path)
        key = recovery.unlock(locked, private, name)
        keys = Keys(path.parent)
        if name not in keys.all:
            keys.keep([key, *keys.filed])
    async with open_database(path) as database, audit.open_audit(database) as told:
        await told.record(actor="operator", action="key.restored", object=name, origin="ambientctl")
    return name


def _require(path: Path) -> None:
    """Nobody wants a new, empty database from these."""
    if not path.is_file():
        raise OperatorError(
            f"there is no database at {path}",
            hint="Name the settings file of the service with --config, or set store.directory.",
        )


def _require_another_way(path: Path, *, recoverable: bool) -> None:
    """What only the key opens that is about to be destroyed must not be lost unawares."""
    others = sorted(
        copy.name for copy in copies.beside(path, *copies.LAST) if not copy.name.endswith(SIDECARS)
    )
    if others:
        raise OperatorError(
            f"the key to be destroyed may be the only one that opens {', '.join(others)}",
            hint="Rescue what is in there and delete it, or insist: ambientctl key rotate --force.",
        )
    if not recoverable:
        raise OperatorError(
            "no recovery key was ever printed: without the key to be destroyed, no backup made so far can be read",
            hint="Print one and make a new backup, or insist: ambientctl key rotate --force.",
        )


def _successor(keys: Keys, old: bytes) -> bytes:
    """The new key, at hand for good before it is used."""
    others = [key for key in keys.supplied if key != old]
    if others:
        return others[0]
    if old in keys.supplied:
        raise OperatorError("the box's key is a credential, which only you can change", hint=_SUPPLY_BOTH)
    new = secrets.token_bytes(KEY_BYTES)
    keys.keep(keys.filed, successor=new)
    return new


async def _rewrap(connection: AsyncConnection, old: Vault, key: bytes) -> int:
    new, now = Vault(key), moment_text(datetime.now(UTC))
    await connection.execute(
        insert(tables.box_keys).values(key_id=new.key_id, created_at=now, proof=new.proof())
    )
    await connection.execute(
        update(tables.box_keys).where(tables.box_keys.c.key_id == old.key_id).values(retired_at=now)
    )
    column = tables.session_keys.c
    found = await connection.execute(select(column.session_id, column.wrapped))
    rewrapped = [
        {"of": session_id, "to": new.wrap(session_id, old.unwrapped(session_id, wrapped))}
        for session_id, wrapped in found.all()
    ]
    if rewrapped:
        await connection.execute(
            update(tables.session_keys)
            .where(column.session_id == bindparam("of"))
            .values(wrapped=bindparam("to"), key_id=new.key_id),
            rewrapped,
        )
    await secrets_of_box.rewrap(connection, old, new)
    if (public := await fact(connection, PUBLIC)) is not None:
        await _lock(connection, key, base64.b64decode(public))
    await audit.record(
        connection, actor="operator", action="key.rotated", object=new.key_id, origin="ambientctl"
    )
    return len(rewrapped)


async def _lock(connection: AsyncConnection, key: bytes, public: bytes) -> None:
    await remember(connection, PUBLIC, base64.b64encode(public).decode())
    await remember(connection, LOCKED, base64.b64encode(recovery.lock(key, public)).decode())


def _locked(path: Path) -> tuple[str, bytes]:
    """Name of the key in force, and the key locked to the recovery key."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            in_force = file.execute("SELECT key_id FROM box_keys WHERE retired_at IS NULL").fetchall()
            locked = file.execute("SELECT value FROM box_facts WHERE name = ?", (LOCKED,)).fetchall()
    except sqlite3.Error as error:
        raise unavailable("read the keys of", path, error) from error
    if not in_force or not locked:
        raise StoreUnavailable(
            f"restore the key of {path}: no recovery key was ever printed for it.",
            hint="Only a copy of box.key, or the credential, opens it.",
        )
    return in_force[0][0], base64.b64decode(locked[0][0])
