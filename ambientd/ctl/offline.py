"""``ambientctl transcribe --offline``: send a recording whole, watch its progress, write what came of it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ambientd.client import cancel_recording, fetch_transcript, recording, send_recording
from ambientd.errors import AmbientError

POLL: Final = 0.5
"""Seconds between two looks at how far it is."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C.  Source: the shells' 128 plus the number of the signal, SIGINT being 2."""


class NotTranscribed(AmbientError):
    """The daemon took the recording and did not come to its end."""


def transcribe_offline(
    file: Path, form: str, output: Path | None, url: str, *, session_id: str | None = None
) -> None:
    """Sends ``file``, waits, and writes the text as ``form``; the daemon names the session.

    Raises:
        AmbientError: it was not taken, or not heard to its end; what was heard is stored.
    """
    if session_id is not None:
        raise click.UsageError("--offline does not go with --session-id: the daemon names the session.")
    outcome = asyncio.run(_follow(file, url))
    if outcome["state"] == "cancelled":
        click.echo("Broken off; what was heard by then is stored.", err=True)
        sys.exit(INTERRUPTED)
    if outcome["state"] != "done":
        raise NotTranscribed(
            f"The recording was not heard to its end ({outcome['state']}).",
            hint=str(outcome.get("error") or ""),
        )
    document = str(outcome["text"])
    if form != "text":
        document = asyncio.run(fetch_transcript(str(outcome["id"]), form, url=url))
    if output is None:
        click.echo(document, nl=not document.endswith("\n"))
    else:
        try:
            output.write_text(document if document.endswith("\n") else f"{document}\n", encoding="utf-8")
        except OSError as error:
            raise click.FileError(str(output), hint=error.strerror) from error
    if outcome["error"]:
        click.echo(f"note: {outcome['error']}", err=True)
    words = len(str(outcome["text"]).split())
    click.echo(f"{outcome['seconds_done']:.1f} s of audio, {words} words, session {outcome['id']}", err=True)


async def _follow(file: Path, url: str) -> Mapping[str, Any]:
    """What came of it; Ctrl-C breaks it off at the daemon too."""
    session_id = await send_recording(file, url=url)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            bar = shown.add_task(file.name, total=1.0)
            while (outcome := await recording(session_id, url=url))["state"] in {"queued", "running"}:
                waiting = " (waiting)" if outcome["state"] == "queued" else ""
                shown.update(bar, completed=outcome["progress"], description=f"{file.name}{waiting}")
                if stop.is_set():
                    await cancel_recording(session_id, url=url)
                    continue
                try:
                    async with asyncio.timeout(POLL):
                        await stop.wait()
                except TimeoutError:
                    continue
            return outcome
    finally:
        loop.remove_signal_handler(signal.SIGINT)
