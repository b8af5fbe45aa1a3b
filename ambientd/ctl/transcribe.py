"""``ambientctl transcribe``: play a recording to the daemon and read the conversation as it is spoken."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from ambientd.audiofile import read_audio
from ambientd.client import Disconnected, fetch_transcript
from ambientd.client_events import Connected, Event, Gap, Other, Partial, ServerError, Transcript
from ambientd.client_lasting import Lasting, lasting
from ambientd.core.audio import seconds
from ambientd.ctl import daemon
from ambientd.ctl.display import Display, plain
from ambientd.ctl.offline import transcribe_offline
from ambientd.errors import AmbientError

_INTERRUPTED: Final = 130
"""Exit status after Ctrl-C.  Source: the shells' 128 plus the number of the signal, SIGINT being 2."""


_TICK_SECONDS: Final = 0.25
"""Between two updates of the position shown while nobody speaks."""


@dataclass(slots=True)
class _Hearing:
    """What has come of playing one file so far."""

    session_id: str = ""
    """Empty until the daemon has opened the session."""
    lines: list[Transcript | Gap] = field(default_factory=list)
    sent_samples: int = 0
    began: float = 0.0
    """Seconds on the loop's clock, as the next two."""
    sent: float | None = None
    """When the last sample was sent; ``None`` before."""
    ended: float = 0.0
    complete: bool = False
    """The whole file was sent."""
    interrupted: bool = False
    """The user pressed Ctrl-C."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@daemon.at_url
@click.option("--session-id", help="Name the session: 1 to 64 of the characters A-Z a-z 0-9 . _ -")
@click.option(
    "--realtime/--fast",
    default=True,
    show_default=True,
    help="Play at the speed of speech, or as fast as the daemon listens.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "srt", "vtt"]),
    default="text",
    show_default=True,
    help="What to write: the lines as they come, or the finished transcript in this format.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write to this file; the lines are still shown.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Send the file whole, to be heard at leisure and more exactly: when lanes are idle, in the background.",
)
def transcribe(
    file: Path,
    url: str,
    session_id: str | None,
    *,
    realtime: bool,
    form: str,
    output: Path | None,
    offline: bool,
) -> None:
    """Play FILE to the running daemon and print the conversation as it is spoken.

    FILE is any WAV, FLAC, MP3 or Ogg recording, at any rate, with any number of channels.  Ctrl-C ends the
    session properly; what was heard until then is printed and stored.
    """
    if output is not None and not os.access(output.absolute().parent, os.W_OK):
        raise click.BadParameter(f"{output} cannot be written.", param_hint="--output")
    if offline:
        transcribe_offline(file, form, output, url, session_id=session_id)
        return
    hearing = _Hearing()
    fault: AmbientError | None = None
    try:
        document_on_stdout = form != "text" and output is None
        with closing(read_audio(file)) as blocks, Display(on_stderr=document_on_stdout) as display:
            asyncio.run(_hear(hearing, blocks, display, url=url, session_id=session_id, realtime=realtime))
    except AmbientError as error:
        fault = error
    except asyncio.CancelledError:  # Ctrl-C for the second time
        hearing.interrupted = True
    if hearing.session_id:
        try:
            _write(hearing, form, output, url)
        except AmbientError as error:
            fault = fault or error
        click.echo(_summary(hearing, realtime=realtime), err=True)
    if fault is not None:
        raise fault
    if hearing.interrupted:
        sys.exit(_INTERRUPTED)
    if not hearing.complete:
        raise Disconnected(1000, "The daemon ended the session before the end of the file.")


async def _hear(
    hearing: _Hearing,
    blocks: Iterator[bytes],
    display: Display,
    *,
    url: str,
    session_id: str | None,
    realtime: bool,
) -> None:
    """Play ``blocks`` and collect in ``hearing`` what comes back, until the session has ended.

    Raises:
        AmbientError: the daemon, the connection or the file failed; ``hearing`` holds what came before.
        asyncio.CancelledError: Ctrl-C for the second time.
    """
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()
    async with lasting(url, session_id=session_id, partials=True) as connection:
        hearing.session_id = connection.opened.session_id
        hearing.began = loop.time()
        playing = asyncio.create_task(connection.play(blocks, realtime=realtime))
        ending = asyncio.create_task(_end_after(playing, connection, hearing))
        ticking = asyncio.create_task(_tick(connection, display))

        def interrupt() -> None:
            if hearing.interrupted and this is not None:
                this.cancel()
                return
            hearing.interrupted = True
            playing.cancel()
            display.note("Ending the session; the last lines follow.  Ctrl-C again stops at once.")

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            async for event in connection:
                _show(event, hearing, display)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            for task in (playing, ending, ticking):
                task.cancel()
            await asyncio.wait({playing, ending, ticking})
            hearing.sent_samples = connection.sent_samples
            hearing.ended = loop.time()
        for task in (playing, ending, ticking):
            # A connection closed under the sender was closed by the session's end, or reading has raised why.
            if not task.cancelled() and not isinstance(task.exception(), Disconnected):
                task.result()


async def _end_after(playing: asyncio.Task[None], connection: Lasting, hearing: _Hearing) -> None:
    """End the session once the file is played, or as far as it could be."""
    await asyncio.wait({playing})
    hearing.sent = asyncio.get_running_loop().time()
    hearing.complete = not playing.cancelled() and playing.exception() is None
    await connection.end()


async def _tick(connection: Lasting, display: Display) -> None:
    while True:
        display.listen(seconds(connection.sent_samples))
        await asyncio.sleep(_TICK_SECONDS)


def _show(event: Event, hearing: _Hearing, display: Display) -> None:
    match event:
        case Transcript() | Gap():
            hearing.lines.append(event)
            display.commit(event)
        case Partial():
            display.open(event)
        case Connected():
            display.note("the connection was lost; the session goes on")
        case ServerError(message=message):
            display.note(f"daemon: {message}")
        case Other(raw={"message": str(message)}):
            display.note(f"announcement: {message}")


def _write(hearing: _Hearing, form: str, output: Path | None, url: str) -> None:
    """Write what was asked for beyond the lines shown."""
    if form == "text":
        document = "".join(f"{plain(line)}\n" for line in hearing.lines)
    else:
        document = asyncio.run(fetch_transcript(hearing.session_id, form, url=url))
    if output is not None:
        try:
            output.write_text(document, encoding="utf-8")
        except OSError as error:
            raise click.FileError(str(output), hint=error.strerror) from error
    elif form != "text":
        click.echo(document, nl=not document.endswith("\n"))


def _summary(hearing: _Hearing, *, realtime: bool) -> str:
    """One line of figures; none of the words."""
    spoken = [
        (len(line.text.split()), line.confidence) for line in hearing.lines if isinstance(line, Transcript)
    ]
    words = sum(count for count, _ in spoken)
    figures = [f"{seconds(hearing.sent_samples):.1f} s of audio", f"{words} word{'s' * (words != 1)}"]
    if words:
        figures.append(f"mean confidence {sum(count * sure for count, sure in spoken) / words:.2f}")
    if not realtime:
        figures.append(f"took {hearing.ended - hearing.began:.1f} s")
    elif hearing.sent is not None:
        figures.append(f"lag {hearing.ended - hearing.sent:.1f} s")
    return ", ".join(figures)
