"""``ambientctl export``: a stored conversation, taken out of the box."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

import click

from ambientd.client import Refused, fetch_transcript
from ambientd.ctl import daemon
from ambientd.errors import ClientError

_UNKNOWN: Final = 404
"""HTTP's "Not Found"."""


@click.command()
@click.argument("session")
@daemon.at_url
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "srt", "vtt", "fhir"]),
    default="text",
    show_default=True,
    help="fhir is an R4 bundle with the transcript as a DocumentReference.",
)
@click.option(
    "--tier",
    type=click.Choice(["final", "live", "refined"]),
    default="final",
    show_default=True,
    help="The best text there is, what was shown live, or what the second hearing made of it.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, readable by you alone; it appears when it is whole.",
)
def export(session: str, url: str, form: str, tier: str, output: Path | None) -> None:
    """Write the transcript of the stored session SESSION."""
    try:
        document = asyncio.run(fetch_transcript(session, form, url=url, tier=tier))
    except Refused as error:
        if error.code != _UNKNOWN:
            raise
        raise ClientError(
            "no_such_session",
            "The daemon has no session of this id, or none with such a text.",
            hint="Look at the list: curl localhost:8000/api/v1/sessions",
        ) from error
    if output is None:
        click.echo(document, nl=not document.endswith("\n"))
        return
    try:
        _write(output, document)
    except OSError as error:
        raise click.FileError(str(output), hint=error.strerror) from error


def _write(output: Path, document: str) -> None:
    """Whole or not at all, mode 0600: ``mkstemp`` makes it so, and renaming keeps it."""
    descriptor, name = tempfile.mkstemp(dir=output.absolute().parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
