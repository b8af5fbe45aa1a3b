"""How the database, its key and its surroundings are, without opening what it keeps."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from ambientd.config import Settings
from ambientd.core import judging
from ambientd.core.checks import Finding, Severity
from ambientd.errors import AmbientError, OperatorError, StoreUnavailable
from ambientd.store import clock, copies, looking, rotation, soundness
from ambientd.store.keys import FILE

DATABASE = "ambientd.db"


def quick(settings: Settings) -> list[Finding]:
    """Everything but the chain of the audit."""
    path = settings.store.directory / DATABASE
    free = _free(settings.store.directory)
    found = [judging.disk(free, settings.store.low_water)] if free is not None else []
    if not os.access(settings.store.directory, os.R_OK | os.X_OK):
        return [*found, _closed(settings.store.directory)]
    found += [permissions(settings.store.directory), judging.damaged([c.name for c in copies.damaged(path)])]
    if not path.exists():
        return [
            *found,
            Finding(
                "store.contents",
                "Database",
                Severity.NOTE,
                f"There is none yet at {path}.",
                "The first start makes it.",
                "systemctl start ambientd",
            ),
        ]
    return [*found, key(path), *_contents(path, delivers=settings.sync.profile != "none")]


def sound(settings: Settings) -> Finding:
    """The pages of the file, each read once; for a look from outside, since the daemon checks at its start."""
    path = settings.store.directory / DATABASE
    try:
        if not path.exists():
            return Finding("store.sound", "Database sound", reason="There is none yet.")
        wrong = soundness.damage(path)
    except (StoreUnavailable, PermissionError) as error:
        return _unread("store.sound", "Database sound", error)
    if wrong is None:
        return Finding("store.sound", "Database sound", reason="SQLite finds nothing wrong in it.")
    return Finding(
        "store.sound",
        "Database sound",
        Severity.CRITICAL,
        f"The file is damaged: {wrong}.",
        "Start the daemon anew: it sets the file aside and goes on with a fresh one (docs/operations.md).",
        "systemctl restart ambientd",
    )


def chain(settings: Settings) -> Finding:
    """The audit's chain, followed to its end."""
    path = settings.store.directory / DATABASE
    try:
        if not path.exists():
            return Finding("audit.chain", "Audit chain", reason="There is no audit yet.")
        found = looking.chain(path)
    except (StoreUnavailable, PermissionError) as error:
        return _unread("audit.chain", "Audit chain", error)
    return judging.chain(found.rows, found.broken_at, found.why)


def key(path: Path) -> Finding:
    """The key that opens what is stored, and whether it could be brought back."""
    try:
        found = rotation.status(path)
    except StoreUnavailable as error:
        return _unread("store.key", "Key", error)
    except OperatorError as error:
        return Finding(
            "store.key", "Key", Severity.NOTE, f"{error.message[:1].upper()}{error.message[1:]}.", error.hint
        )
    if found.origin == "missing" and "CREDENTIALS_DIRECTORY" not in os.environ and not _filed(path):
        return Finding(
            "store.key",
            "Key",
            Severity.NOTE,
            f"Key {found.key_id} is not beside the database: if it is a credential, only the service has it.",
            "If the daemon does not start for want of it: ambientctl key restore.",
            "systemctl status ambientd",
        )
    if found.origin == "missing":
        return Finding(
            "store.key",
            "Key",
            Severity.CRITICAL,
            f"The file is sealed with key {found.key_id}, which is not at hand: nothing stored can be read.",
            "Put the key back, or bring it back from the printed recovery key.",
            "ambientctl key restore",
        )
    if not found.recoverable:
        return Finding(
            "store.key",
            "Key",
            Severity.WARNING if found.sessions else Severity.NOTE,
            "No recovery key was ever printed: with the box's key all words would be lost.",
            "Print it once, with the daemon stopped, and put it in a safe place.",
            "ambientctl key recovery",
        )
    return Finding("store.key", "Key", reason=f"Key {found.key_id} is at hand; a recovery key was printed.")


def permissions(directory: Path) -> Finding:
    """Nobody but the daemon's user may read what is stored."""
    own = directory.stat()
    wrong = []
    for path in (directory, *sorted(directory.glob(f"{DATABASE}*")), directory / FILE):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        others = 0o077 if path.name == FILE or path != directory else 0o007
        if found.st_mode & others:
            wrong.append((path, f"{path.name} is open to others ({stat.filemode(found.st_mode)})"))
        elif found.st_uid != own.st_uid:
            wrong.append((path, f"{path.name} belongs to somebody else than its directory"))
    if not wrong:
        return Finding(
            "store.permissions", "Permissions", reason="Only the daemon's user can read the store."
        )
    names = " ".join(str(path) for path, _ in wrong)
    return Finding(
        "store.permissions",
        "Permissions",
        Severity.WARNING,
        "; ".join(why for _, why in wrong) + ".",
        "Take the rights of others away.",
        f"chmod go= {names}"
        if all("open" in why for _, why in wrong)
        else f"chown --reference={directory} {names}",
    )


def _contents(path: Path, *, delivers: bool) -> list[Finding]:
    try:
        found = looking.contents(path)
    except StoreUnavailable as error:
        return [_unread("store.contents", "Database", error)]
    now = datetime.now(UTC)
    waiting = sum(found.deliveries.get(state, 0) for state in ("pending", "in_flight"))
    oldest = now - found.oldest if found.oldest is not None and delivers else None
    return [
        Finding("store.contents", "Database", reason=f"Its tables are of revision {found.revision}."),
        judging.undelivered(found.deliveries.get("parked", 0), waiting, oldest, None),
        judging.backups(found.last_backup, now, found.counts.get("realtime_sessions", 0)),
        judging.clock(clock.doubted(now, found.clock_seen)),
    ]


def _filed(path: Path) -> bool:
    return path.with_name(FILE).exists()


def _free(directory: Path) -> int | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _closed(directory: Path) -> Finding:
    if not directory.exists():
        return Finding(
            "store.contents",
            "Database",
            Severity.NOTE,
            f"{directory} is not there.",
            "The first start makes it; if it should be there, mount its disk or set store.directory.",
            "ambientd --check-config",
        )
    return Finding(
        "store.contents",
        "Database",
        Severity.NOTE,
        f"{directory} is closed to this user: database, key and audit were not looked at.",
        "Look as root.",
        "sudo ambientctl doctor",
    )


def _unread(name: str, title: str, error: AmbientError | OSError) -> Finding:
    if isinstance(error, AmbientError):
        return Finding(
            name,
            title,
            Severity.CRITICAL,
            error.message,
            error.hint or "The log tells more.",
            "ambientctl logs",
        )
    return Finding(
        name, title, Severity.NOTE, "This user may not look at it.", "Look as root.", "sudo ambientctl doctor"
    )
