"""``ambientctl restore``: put a backup in the place of the database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

import click

from ambientd.ctl import settings
from ambientd.errors import AmbientError
from ambientd.store import restore as restoring
from ambientd.store.audit import Action, open_audit
from ambientd.store.backup import Contents
from ambientd.store.database import open_database
from ambientd.store.envelope import Header
from ambientd.store.keys import FILE, IN_CLEAR
from ambientd.store.owner import as_owner


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only open the backup to its end and tell what is inside.")
@click.option("--recovery-key", is_flag=True, help="Ask for the printed recovery key: the box's key is gone.")
@click.option("--force", is_flag=True, help="Even if the present database holds what the backup lacks.")
def restore(file: Path, *, check: bool, recovery_key: bool, force: bool) -> None:
    """Put the backup FILE in the place of the database; the daemon must be stopped.

    It is refused while something would be lost, and says what.  The file of before is kept beside the new one.
    """
    database = (settings().store.directory / "ambientd.db").absolute()
    # Asked for and not an argument: those are shown by ps and kept by shells.
    if recovery_key and not check:
        click.echo(IN_CLEAR.format(database.with_name(FILE)), err=True)
    printed = click.prompt("Recovery key", hide_input=True) if recovery_key else None
    with _opened(file) as source, as_owner(database.parent):
        if check:
            header, contents = restoring.check(database, source, printed=printed)
            click.echo(f"{file} is whole: {_told(header, contents)}.")
            return
        done = restoring.restore(database, source, printed=printed, force=force)
        unrecorded = _recorded(database, done.header.name)
    click.echo(f"Restored: {_told(done.header, done.contents)}.")
    if unrecorded is not None:
        click.echo(f"Restored, but it is not on record: {unrecorded.message}", err=True)
        if unrecorded.hint:
            click.echo(unrecorded.hint, err=True)
    for loss in done.losses:
        click.echo(f"lost: {loss}", err=True)
    if done.replaced is not None:
        name = done.replaced.name
        click.echo(
            f"The file of before is {done.replaced}; nobody but you deletes it: ambientctl purge --copy {name}"
        )


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise click.FileError(str(file), hint=error.strerror) from error


def _recorded(database: Path, name: str) -> AmbientError | None:
    """What stood in the way of the record, if anything did: the file is in place by now."""
    try:
        asyncio.run(_record(database, name))
    except AmbientError as error:
        return error
    return None


async def _record(database: Path, name: str) -> None:
    """Proves that what was put in place opens, and puts it on record."""
    async with open_database(database) as opened, open_audit(opened) as audit:
        await audit.record(actor="operator", action=Action.BACKUP_RESTORED, object=name, origin="ambientctl")


def _told(header: Header, contents: Contents) -> str:
    return (
        f"sessions {contents.sessions} ({contents.undelivered} not yet delivered), lines {contents.lines},"
        f" rows of the audit {contents.audit_rows}, as of {header.made}"
    )
