"""A backup: the file as it is at one moment, in an envelope.

    Rule 1  The copy is made with SQLite's backup API in one step, so it is one state of the file however many lines
            are stored meanwhile.  Its words are sealed as they are in the file.
    Rule 2  The copy is checked, put into the envelope, and the envelope is opened again: what comes out must be the
            copy, byte for byte.  Only then is it a backup.
    Rule 3  Of ephemeral sessions that are under way nothing goes into it, nor their keys.
    Rule 4  What is half-done has a name by which the next start knows it, and deletes it.

A backup holds the keys of the sessions that were there: a session purged later is still in it.  Backups are therefore
not to be kept longer than transcripts are.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ambientd.errors import DiskFull, StoreUnavailable
from ambientd.store import envelope
from ambientd.store.copies import forget_ephemeral
from ambientd.store.faults import unavailable
from ambientd.store.keys import Keys
from ambientd.store.rows import moment_text
from ambientd.store.soundness import damage, stamp

COPYING: Final = ".copying."
"""What stands behind the database's name in the name of a file that is not finished."""


@dataclass(frozen=True, slots=True)
class Contents:
    """How much is in a file."""

    sessions: int
    lines: int
    undelivered: int
    audit_rows: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and opened again."""

    path: Path
    name: str
    """Of its key: tells it from every other."""
    size: int
    sha256: str
    """Of the whole file."""
    contents: Contents
    recoverable: bool
    """Whether the recovery key opens it."""


@contextmanager
def made(database: Path) -> Iterator[Backup]:
    """A backup beside the database, deleted at the end of the block: it is to be taken away meanwhile.

    Runs for seconds: call it in a thread.  The database may be in use.

    Raises:
        StoreUnavailable: it cannot be made, or is not sound; there is none then.
    """
    plain, sealed = (_unfinished(database, kind) for kind in ("plain", "sealed"))
    try:
        _require_room(database)
        copy(database, plain)
        header, digest, size, sha256 = _enclose(database, plain, sealed)
        contents = contents_of(plain)
        plain.unlink()
        _require_whole(database, sealed, header, digest)
        yield Backup(sealed, header.name, size, sha256, contents, "recovery" in header.slots)
    except (sqlite3.Error, OSError) as error:
        raise unavailable("back up", database, error) from error
    finally:
        for path in (plain, sealed):
            path.unlink(missing_ok=True)


def copy(database: Path, target: Path) -> None:
    """Copy a file that may be in use, its log included, into a private one; sound, or not at all.

    Raises:
        StoreUnavailable: the copy is not sound.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    source = f"{database.as_uri()}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as file, closing(sqlite3.connect(target)) as into:
        file.backup(into)
        # One plain file: a copy whose last commits sit in a log beside it is half a copy.
        into.execute("PRAGMA journal_mode = delete")
        forget_ephemeral(into)
    if found := damage(target):
        raise StoreUnavailable(
            f"back up {database}: the copy is not sound ({found}).",
            hint="The disk may be failing: look at the kernel's log (journalctl -k).",
        )


def contents_of(path: Path) -> Contents:
    """How much is in a file; only reads."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
        counts = [
            file.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608 - constants
            for what in (
                "realtime_sessions",
                "realtime_transcript_chunks",
                "conversation_uploads WHERE status <> 'delivered'",
                "audit_log",
            )
        ]
    return Contents(*counts)


def clear_unfinished(database: Path) -> list[Path]:
    """Delete what a crash left of copies; nothing else may be making one."""
    left = sorted(database.parent.glob(f"{database.name}{COPYING}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _enclose(database: Path, plain: Path, sealed: Path) -> tuple[envelope.Header, str, int, str]:
    """Put a copy into an envelope: header, digest of what is inside, size and digest of the whole."""
    with closing(sqlite3.connect(f"{plain.as_uri()}?mode=ro", uri=True)) as file:
        facts = dict(file.execute("SELECT name, value FROM box_facts"))
        ((revision,),) = file.execute("SELECT version_num FROM alembic_version").fetchall()
        ((key_id,),) = file.execute("SELECT key_id FROM box_keys WHERE retired_at IS NULL").fetchall()
    public = facts.get("recovery_public")
    descriptor = os.open(sealed, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        digest = envelope.seal(
            plain,
            target,
            box_key=Keys(database.parent).all[key_id],
            public=base64.b64decode(public) if public else None,
            box=facts.get("box_id", ""),
            made=moment_text(datetime.now(UTC)),
            revision=revision,
        )
        envelope.sync(target)
    with sealed.open("rb") as file_again:
        sha256 = hashlib.file_digest(file_again, "sha256").hexdigest()
        file_again.seek(0)
        return envelope.header_of(file_again)[0], digest, sealed.stat().st_size, sha256


def _require_whole(database: Path, sealed: Path, header: envelope.Header, digest: str) -> None:
    key = envelope.key_for(header, Keys(database.parent).all, None)
    found = hashlib.sha256()
    with sealed.open("rb") as file:
        _, front = envelope.header_of(file)
        for chunk in envelope.opened(file, front, key):
            found.update(chunk)
    if found.hexdigest() != digest:
        raise StoreUnavailable(
            f"back up {database}: the backup does not hold what was put in.",
            hint="Memory or disk may be failing: look at the kernel's log (journalctl -k).",
        )


def _require_room(database: Path) -> None:
    """Two copies are there at once; a full disk would end the sessions that run."""
    log = database.with_name(database.name + "-wal")
    size = database.stat().st_size + (log.stat().st_size if log.exists() else 0)
    found = os.statvfs(database.parent)
    free = found.f_bavail * found.f_frsize
    if free < 2 * size:
        raise DiskFull(
            f"back up {database}: {free // 1_000_000} MB are free, and {2 * size // 1_000_000} MB are needed.",
            hint="Free space on the disk that holds it, for as long as the backup takes.",
        )


def _unfinished(database: Path, kind: str) -> Path:
    return database.with_name(f"{database.name}{COPYING}{stamp()}.{kind}")
