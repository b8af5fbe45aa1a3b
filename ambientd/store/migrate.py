"""Bringing a file to today's tables before anything else touches it.

All revisions run in one transaction: a failure, or loss of power half-way, leaves the file as it was.  There
are no downgrades; the way back is the backup made beside the file before an older one is altered.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ambientd.errors import StoreUnavailable
from ambientd.store import pragmas
from ambientd.store.copies import forget_ephemeral
from ambientd.store.faults import unavailable
from ambientd.store.sealing import same_words
from ambientd.store.soundness import damage, sync_directory
from ambientd.store.vault import Vault

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).with_name("migrations")

_UNCHANGED: Final = "The file is as it was before: install the former version again, and report this."


UNSEALED: Final = "0001"
"""The revision whose files hold words in the clear."""


def migrate(path: Path, vault: Vault, migrations: Path = MIGRATIONS) -> None:
    """Bring a sound file, or an empty one, to the newest revision.

    vault: with the box's key; what an older file holds in the clear is sealed with it.

    Raises:
        StoreUnavailable: the file is of a newer version or of another program, cannot be written, or a
            revision failed; it is then as it was before.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["vault"] = vault
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    engine = plain_engine(path, pragmas.MIGRATION)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            foreign = current is None and bool(inspect(connection).get_table_names())
        unsealed = _backup_of(path, UNSEALED)
        if _spent(unsealed).exists():
            _shred(_spent(unsealed))
        if current == head:
            if unsealed.exists():  # a crash came between the last migration and its end
                _leave_nothing_unsealed(engine, path, unsealed, vault)
            return
        if foreign:
            raise StoreUnavailable(
                f"open {path}: it holds tables of another program.",
                hint="Name another file in the settings, or move this one away.",
            )
        backup = None
        if current is not None:
            _refuse_newer(path, current, {revision.revision for revision in script.walk_revisions()})
            backup = back_up(path, current)
        _upgrade(engine, config, path)
        log.info("the database %s was brought from revision %s to %s", path, current or "none", head)
        if backup is not None:
            _forget_older_backups(path, backup)
        if backup == unsealed:
            _leave_nothing_unsealed(engine, path, backup, vault)
    except (DBAPIError, sqlite3.Error, OSError) as error:
        raise unavailable("migrate", path, error) from error
    finally:
        engine.dispose()


def back_up(path: Path, revision: str) -> Path:
    """Copy a live file, its write-ahead log included, to ``NAME.backup-REVISION`` beside it.

    The name holds no time: a migration that fails at each of a hundred restarts leaves one backup.

    Raises:
        StoreUnavailable: the copy cannot be written, or is not sound.
    """
    backup = _backup_of(path, revision)
    partial = backup.with_name(backup.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
            # One plain file: a backup whose last commits sit in a -wal beside it is half a backup.
            copy.execute("PRAGMA journal_mode = delete")
            forget_ephemeral(copy)
        if found := damage(partial):
            raise StoreUnavailable(
                f"back up {path}: the copy is not sound ({found}).",
                hint="The disk may be failing: look at the kernel's log (journalctl -k).",
            )
        partial.replace(backup)
        sync_directory(backup.parent)
    except (sqlite3.Error, OSError) as error:
        raise unavailable("back up", path, error) from error
    return backup


def _backup_of(path: Path, revision: str) -> Path:
    return path.with_name(f"{path.name}.backup-{revision}")


def plain_engine(path: Path, promises: pragmas.Promises) -> Engine:
    """One connection at a time, for what happens before anybody else uses the file."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"isolation_level": None},
    )

    def promise(connection: DBAPIConnection, _record: Any) -> None:
        pragmas.keep(connection, promises, path)

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", promise)
    event.listen(engine, "begin", begin)
    return engine


def known_revisions() -> set[str]:
    """The revisions that this version can bring to its own."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}


def _refuse_newer(path: Path, current: str, known: set[str]) -> None:
    if current not in known:
        raise StoreUnavailable(
            f"open {path}: a newer version of ambientd wrote it (revision {current}, this one knows up to "
            f"{max(known)}).",
            hint="Install that version again, or move the file away to begin with an empty one.",
        )


def _upgrade(engine: Engine, config: Config, path: Path) -> None:
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            # Before the commit: a revision that breaks the file then has never happened.
            _require_sound(connection, path)
    except (DBAPIError, StoreUnavailable):
        raise
    except Exception as error:
        # A revision is code and fails as code does.  Its message might quote a row: only its kind is told.
        raise StoreUnavailable(f"migrate {path}: {type(error).__name__}.", hint=_UNCHANGED) from error


def _require_sound(connection: Connection, path: Path) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if verdict != "ok" or orphan is not None:
        raise StoreUnavailable(f"migrate {path}: the result is not sound.", hint=_UNCHANGED)


def _leave_nothing_unsealed(engine: Engine, path: Path, backup: Path, vault: Vault) -> None:
    """Take away the words in the clear: in the log, in the file's free pages, in the backup.

    The backup goes only when every word of it has been read back from the sealed file.
    """
    if not same_words(backup, path, vault):
        raise StoreUnavailable(
            f"migrate {path}: what was sealed does not read as it did before.",
            hint=f"Every word is in {backup}: keep it, and report this.",
        )
    empty_log(engine)
    # Under another name first: half overwritten it must not be taken for a backup.
    spent = _spent(backup)
    backup.replace(spent)
    sync_directory(spent.parent)
    _shred(spent)


def _spent(backup: Path) -> Path:
    return backup.with_name(backup.name + ".spent")


def _shred(file: Path) -> None:
    """Zeros over a file's contents, then the file away."""
    with file.open("r+b") as contents:
        contents.write(bytes(file.stat().st_size))
        contents.flush()
        os.fsync(contents.fileno())
    file.unlink()
    sync_directory(file.parent)


def empty_log(engine: Engine) -> None:
    """Give free pages back and empty the write-ahead log; nobody else may have the file open."""
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        # Each row stepped through moves one page, hence the fetches.
        for pragma in ("incremental_vacuum", "wal_checkpoint(TRUNCATE)"):
            cursor.execute(f"PRAGMA {pragma}").fetchall()
        cursor.close()


def _forget_older_backups(path: Path, kept: Path) -> None:
    # Each holds every word of its day: two of them would outlive what a purge promised.
    for other in path.parent.iterdir():
        if other.name.startswith(f"{path.name}.backup-") and other != kept:
            other.unlink()
