"""``ambientctl key``: the key that guards what is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click

from ambientd.ctl import settings
from ambientd.store import rotation
from ambientd.store.keys import FILE, IN_CLEAR
from ambientd.store.owner import as_owner

_ORIGINS: Final = {
    "credential": "supplied as a credential",
    "file": "in the file box.key",
    "missing": "not at hand: ambientctl key restore",
}


@click.group()
def key() -> None:
    """Look at the box's key, change it, print its recovery key, bring it back."""


@key.command()
def status() -> None:
    """Show which key is in force, where it is, and whether it could be brought back."""
    with as_owner((path := _path()).parent):
        found = rotation.status(path)
    click.echo(f"key        {found.key_id}, since {found.created_at}, {_ORIGINS[found.origin]}")
    click.echo(f"guards     {found.sessions} sessions; keys before it: {found.retired}")
    if found.recoverable:
        click.echo("recovery   printed")
    else:
        click.echo("recovery   never printed: without the key all words are lost (ambientctl key recovery)")


@key.command()
@click.option("--force", is_flag=True, help="Even if only the old key opens backups or files set aside.")
def rotate(*, force: bool) -> None:
    """Put a new key in force and destroy the old one; the daemon must be stopped."""
    path = _path()
    with as_owner(path.parent):
        count = asyncio.run(rotation.rotate(path, force=force))
        recoverable = rotation.status(path).recoverable
    click.echo(f"A new key is in force, for {count} sessions; the old one is destroyed.")
    if recoverable:
        click.echo(
            "Backups made since the recovery key was printed need it now; older ones cannot be read any more."
        )
    else:
        click.echo("Backups made before cannot be read any more: no recovery key was ever printed.")


@key.command()
def recovery() -> None:
    """Print a recovery key, once; the daemon must be stopped.  One printed before is void."""
    with as_owner((path := _path()).parent):
        printed = asyncio.run(rotation.print_recovery(path))
    click.echo("Put this in a safe place away from the box.  It is not kept, and not shown again:\n")
    groups = printed.split("-")
    for row in (groups[:7], groups[7:]):
        click.echo("    " + "-".join(row))
    click.echo("\nIt opens everything the box has stored, also after the box's key has been changed.")


@key.command()
def restore() -> None:
    """Bring the box's key back from the printed recovery key; the daemon must be stopped."""
    click.echo(IN_CLEAR.format(_path().with_name(FILE)), err=True)
    # Asked for and not an argument: those are shown by ps and kept by shells.
    typed = click.prompt("Recovery key", hide_input=True)
    with as_owner((path := _path()).parent):
        name = asyncio.run(rotation.restore(path, typed))
    click.echo(f"The key {name} is back.")


def _path() -> Path:
    return settings().store.directory / "ambientd.db"
