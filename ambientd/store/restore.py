"""Putting a backup in the place of the database, while no daemon runs.

Rule 1  Nothing is replaced before the whole backup has been opened, authenticated and found sound.
Rule 2  What the present file has and the backup has not would be lost: it is named, and that is the end, unless the
operator insists.  What is replaced is kept beside it in any case, until an operator deletes it.
Rule 3  The replacement is one rename: power lost at any moment leaves the one file or the other, whole.
Rule 4  A delivery that the backup has as still to be made may have been made since.  It is marked as begun, so that
the centre is asked before anything is sent again.  Where the centre may have got a text that the backup has not (the
session went on, or was heard a second time) it is parked.  What the present file knows to be delivered is delivered:
see ``handover``.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ambientd.errors import OperatorError, StoreUnavailable
from ambientd.store import envelope, recovery
from ambientd.store.alone import alone
from ambientd.store.backup import COPYING, Contents, contents_of
from ambientd.store.copies import REPLACED
from ambientd.store.faults import unavailable
from ambientd.store.handover import prepare
from ambientd.store.keys import Keys
from ambientd.store.migrate import known_revisions
from ambientd.store.soundness import MARK, SIDECARS, damage, stamp, sync_directory

MOST_NAMED: Final = 10
"""Sessions named one by one in a refusal."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place."""

    header: envelope.Header
    contents: Contents
    replaced: Path | None
    """Where the file of before is now."""
    losses: list[str]
    """What it had and the backup has not, a sentence each."""


class WouldLose(OperatorError):
    """The present file holds what the backup lacks."""

    def __init__(self, path: Path, losses: list[str]) -> None:
        super().__init__(
            f"{path} holds what the backup lacks:\n" + "\n".join(f"  {loss}" for loss in losses),
            hint="Make a backup of it first.  To restore all the same: --force; the file is kept beside the new one.",
        )
        self.losses = losses


def check(
    database: Path, source: Path | BinaryIO, *, printed: str | None = None
) -> tuple[envelope.Header, Contents]:
    """Open a backup to its end, and look at what is inside; nothing is replaced.

    Raises:
        OperatorError: it cannot be opened, and why.
    """
    with _opened(database, source, printed) as (header, fresh, _):
        return header, contents_of(fresh)


def restore(
    database: Path, source: Path | BinaryIO, *, printed: str | None = None, force: bool = False
) -> Restored:
    """Put the backup in ``source`` in the place of ``database``; the daemon must be stopped.

    source: its name, or the file itself, opened by somebody with more rights.
    printed: the recovery key as printed, where the box's key is gone.  The key comes back with it.

    Raises:
        WouldLose: something would be lost, and ``force`` is not given.
        OperatorError: the backup cannot be opened, or the daemon is running.  Nothing was changed.
    """
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(database), _opened(database, source, printed) as (header, fresh, key):
            harm = damage(database) if _is_there(database) else None
            losses = _losses(database, fresh, harm) if _is_there(database) else []
            if losses and not force:
                raise WouldLose(database, losses)
            prepare(fresh, database if _is_there(database) and harm is None else None)
            contents = contents_of(fresh)
            if key is not None:
                keys = Keys(database.parent)
                keys.keep([*keys.filed, key])
            return Restored(header, contents, _replace(database, fresh, sound=harm is None), losses)
    except (sqlite3.Error, OSError) as error:
        raise unavailable("restore", database, error) from error


@contextmanager
def _opened(
    database: Path, source: Path | BinaryIO, printed: str | None
) -> Iterator[tuple[envelope.Header, Path, bytes | None]]:
    """The database inside a backup, sound, beside the present one; and the box's key where it has to come back."""
    fresh = database.with_name(f"{database.name}{COPYING}{stamp()}.restored")
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            header, front = envelope.header_of(file)
            keys = Keys(database.parent)
            private = None if printed is None else recovery.parse(printed)
            # With the box's key at hand nobody has to fetch the other from the safe.
            by = None if header.key_id in keys.all else private
            key = envelope.key_for(header, keys.all, by)
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                for chunk in envelope.opened(file, front, key):
                    target.write(chunk)
                envelope.sync(target)
        _require_usable(fresh, str(source if isinstance(source, Path) else source.name))
        yield header, fresh, None if by is None else _box_key(fresh, by)
    except FileNotFoundError as error:
        raise OperatorError(f"there is no backup at {source}") from error
    finally:
        for suffix in ("", "-journal", *SIDECARS):
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def _require_usable(fresh: Path, source: str) -> None:
    if found := damage(fresh):
        raise StoreUnavailable(f"restore {source}: what is inside is not sound ({found}).")
    with _reading(fresh) as file:
        ((revision,),) = file.execute("SELECT version_num FROM alembic_version").fetchall()
    if revision not in known_revisions():
        raise StoreUnavailable(
            f"restore {source}: a newer version of ambientd made it (revision {revision}).",
            hint="Install that version, then restore.",
        )


def _box_key(fresh: Path, private: bytes) -> bytes:
    """The box's key, which the file has locked to the recovery key."""
    with _reading(fresh) as file:
        ((name,),) = file.execute("SELECT key_id FROM box_keys WHERE retired_at IS NULL").fetchall()
        ((locked,),) = file.execute("SELECT value FROM box_facts WHERE name = 'recovery_locked'").fetchall()
    return recovery.unlock(base64.b64decode(locked), private, name)


def _is_there(database: Path) -> bool:
    return database.exists() and database.stat().st_size > 0


def _losses(database: Path, fresh: Path, harm: str | None) -> list[str]:
    """What the present file has and the other has not."""
    if harm is not None:
        return [f"it is damaged ({harm}): what is in it cannot be told"]
    try:
        with _reading(database) as present, _reading(fresh) as other:
            return [*_lost_sessions(present, other), *_lost_audit(present, other)]
    except sqlite3.OperationalError as error:
        return [f"it cannot be compared ({error}): another version wrote it"]


def _lost_sessions(present: sqlite3.Connection, other: sqlite3.Connection) -> list[str]:
    lines = "SELECT session_id, total_chunks FROM realtime_sessions"
    # An ephemeral one that a crash left is not to be kept by anybody.
    had, has = dict(present.execute(f"{lines} WHERE ephemeral = 0")), dict(other.execute(lines))
    waiting = dict(
        present.execute("SELECT session_id, status FROM conversation_uploads WHERE status <> 'delivered'")
    )
    refined = "SELECT session_id FROM realtime_refined_chunks GROUP BY session_id"
    better = set(present.execute(refined)) - set(other.execute(refined))
    answered = "SELECT session_id FROM answers GROUP BY session_id"
    answers = set(present.execute(answered)) - set(other.execute(answered))
    missing = [name for name in had if name not in has]
    shorter = [name for name, count in had.items() if has.get(name, count) < count]
    losses = []
    for names, what in (
        ([name for name in missing if name in waiting], "that nobody has received"),
        ([name for name in missing if name not in waiting], "delivered or without words"),
        (shorter, "with lines that are not in the backup"),
        (sorted(name for (name,) in better if name in has), "with a refined text that is not in the backup"),
        (sorted(name for (name,) in answers if name in has), "with answers that are not in the backup"),
    ):
        if names:
            named = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
            losses.append(f"{len(names)} session{'s' * (len(names) != 1)} {what}: {named}")
    return losses


def _lost_audit(present: sqlite3.Connection, other: sqlite3.Connection) -> list[str]:
    rows = "SELECT number, hash FROM audit_log"
    lost = dict(present.execute(rows)).items() - dict(other.execute(rows)).items()
    if not lost:
        return []
    numbers = sorted(number for number, _ in lost)
    return [f"{len(numbers)} rows of the audit: {numbers[0]} to {numbers[-1]}"]


def _replace(database: Path, fresh: Path, *, sound: bool) -> Path | None:
    """Put ``fresh`` in place; gives the name under which the file of before is kept."""
    aside = None
    if _is_there(database):
        aside = database.with_name(f"{database.name}{REPLACED}{stamp()}")
        if sound:
            # Its log goes into it, so that one rename is the whole replacement; a damaged one keeps its log beside it.
            with closing(sqlite3.connect(database)) as file:
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.link(database, aside)
        aside.touch()  # it is kept from now on, not from its last change
    database.with_name(database.name + MARK).unlink(missing_ok=True)  # it is about the file of before
    for suffix in SIDECARS:
        companion = database.with_name(database.name + suffix)
        if companion.exists() and aside is not None:
            companion.rename(aside.with_name(aside.name + suffix))
        companion.unlink(missing_ok=True)
    sync_directory(database.parent)
    fresh.replace(database)
    sync_directory(database.parent)
    return aside


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
        yield file
