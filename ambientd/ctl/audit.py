"""``ambientctl audit``: take the audit away, and see whether it was tampered with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from ambientd.ctl import daemon


@click.group()
def audit() -> None:
    """Export the audit, and verify that no row was changed or taken out."""


@audit.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ndjson"]),
    default="ndjson",
    show_default=True,
    help="A table for a spreadsheet, or one JSON object a line.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of showing."
)
@daemon.at_url
def export(form: str, output: Path | None, url: str) -> None:
    """Write all rows, oldest first: who did what to which session, when and from where."""
    with _opened(output) as file:
        daemon.copy(url, "/api/v1/audit", file.write, query={"format": form})


@audit.command()
@daemon.at_url
def verify(url: str) -> None:
    """Follow the chain of hashes; the exit status is 1 if a link is broken."""
    found = daemon.ask(url, "GET", "/api/v1/audit/verify")
    if found["broken_at"] is not None:
        click.echo(f"broken at row {found['broken_at']}: {found['why']}", err=True)
        click.echo(f"{found['rows']} rows before it are as they were written.", err=True)
        sys.exit(1)
    click.echo(f"{found['rows']} rows, unbroken from row {found['anchor']['number'] + 1}.")
    click.echo(f"The last is row {found['end']['number']}, hash {found['end']['hash']}.")


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        with output.open("xb") as file:
            yield file
    except FileExistsError as error:
        raise click.FileError(str(output), hint="It is there already; name another file.") from error
