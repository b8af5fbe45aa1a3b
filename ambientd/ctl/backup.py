"""``ambientctl backup``: take away a copy of everything, encrypted and checked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import click

from ambientd.client import DaemonUnreachable
from ambientd.ctl import daemon, settings
from ambientd.errors import OperatorError
from ambientd.store.alone import InUse
from ambientd.store.audit import open_audit
from ambientd.store.backups import Backups
from ambientd.store.database import open_database
from ambientd.store.envelope import sync
from ambientd.store.owner import as_owner


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@daemon.at_url
def backup(file: Path, url: str) -> None:
    """Write a backup of all sessions, deliveries and the audit to FILE.

    The daemon goes on meanwhile; where none runs, the database in the settings is read directly.  The backup is
    encrypted: the box's key opens it, and the printed recovery key.  It is opened again before it counts as one.
    """
    with appearing(file) as target:
        try:
            about = _from_daemon(url, target)
        except DaemonUnreachable:
            target.seek(0)
            target.truncate()
            path = _database()
            try:
                with as_owner(path.parent):
                    about = asyncio.run(_directly(path, target))
            except InUse as error:
                raise OperatorError(
                    f"a daemon uses the database, and does not answer at {url}",
                    hint="Give its address: --url.",
                ) from error
    click.echo(
        f"Sessions: {about['sessions']} ({about['undelivered']} not yet delivered), lines: {about['lines']},"
        f" rows of the audit: {about['audit_rows']}.  All is in {file} ({file.stat().st_size / 1e6:.1f} MB)."
    )
    if not about["recoverable"]:
        click.echo("Only this box's key opens it: print a recovery key (ambientctl key recovery).", err=True)


def _from_daemon(url: str, target: BinaryIO) -> Any:
    found = hashlib.sha256()

    def write(block: bytes) -> None:
        found.update(block)
        target.write(block)

    headers = daemon.copy(url, "/api/v1/backup", write, method="POST")
    if headers["Content-Digest"] != f"sha-256=:{base64.b64encode(found.digest()).decode()}:":
        raise OperatorError("the backup did not arrive as it was sent", hint="Try again.")
    return json.loads(headers["Ambientd-Backup"])


def _database() -> Path:
    path = settings().store.directory / "ambientd.db"
    if not path.exists():
        raise OperatorError(
            f"no daemon answers, and there is no database at {path}",
            hint="Start the daemon, or name its settings with --config.",
        )
    return path


async def _directly(path: Path, target: BinaryIO) -> dict[str, Any]:
    async with (
        open_database(path) as database,
        open_audit(database) as audit,
        Backups(database, audit).make(actor="operator", origin="ambientctl") as made,
    ):
        with made.path.open("rb") as source:
            while block := source.read(1 << 20):
                target.write(block)
        return {"recoverable": made.recoverable, **asdict(made.contents)}


@contextmanager
def appearing(file: Path) -> Iterator[BinaryIO]:
    """A file that has its name only once it is whole and on the disk; never in the place of another."""
    partial = file.with_name(file.name + ".partial")
    try:
        if file.exists():
            raise click.FileError(str(file), hint="It is there already; name another file.")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "w+b") as target:
            yield target
            sync(target)
        partial.rename(file)
    except OSError as error:
        raise click.FileError(str(file), hint=error.strerror) from error
    finally:
        partial.unlink(missing_ok=True)
