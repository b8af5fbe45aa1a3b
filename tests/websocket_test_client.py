"""A test client for the WebSocket protocol: plays audio to a daemon in real time and shows what comes back.

    python tests/websocket_test_client.py --audio-file conversation.wav
    python tests/websocket_test_client.py --duration 10          # synthetic audio: no words are expected
    python tests/websocket_test_client.py --interactive
    python tests/websocket_test_client.py --session-id my-test-session

It ends with the session's figures, the daemon's own and those measured here.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from ambientd.audiofile import BLOCK, AudioUnreadable, read_audio
from ambientd.client import Connection, Disconnected, connect
from ambientd.client_events import (
    Event,
    Gap,
    Other,
    Partial,
    Pong,
    ServerError,
    SessionEnded,
    SessionInfo,
    Transcript,
)
from ambientd.core.audio import BYTES_PER_SAMPLE, RATE, samples, seconds, to_pcm16
from ambientd.ctl.display import Display
from ambientd.errors import AmbientError

COMMANDS = "commands: ping, info, send FILE, end, quit"

SYNTHETIC_SECONDS = 10.0
"""Length of the synthetic audio unless ``--duration`` says otherwise."""


@dataclass(slots=True)
class Figures:
    """What is measured on this side of the connection."""

    sent_samples: int = 0
    finished_at: float = 0.0
    """When the last sample was sent and the session asked to end, on the loop's clock."""
    ended_at: float = 0.0
    lines: list[Transcript] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds from the moment the end of a line's audio was sent until the line was here."""
    partials: int = 0
    errors: int = 0
    info: SessionInfo | None = None
    """The daemon's figures, asked for just before the end."""

    def report(self) -> Iterator[str]:
        """The figures, a line each."""
        words = sum(len(line.text.split()) for line in self.lines)
        yield f"audio sent          {seconds(self.sent_samples):.1f} s, {self.sent_samples * BYTES_PER_SAMPLE} bytes"
        yield f"lines, words        {len(self.lines)}, {words}"
        if self.lines:
            yield f"confidence          {_spread([line.confidence for line in self.lines], '.2f')}"
            yield f"processing, ms      {_spread([line.processing_time_ms for line in self.lines], '.0f')}"
        if self.delays:
            yield f"delay of a line, s  {_spread(self.delays, '.1f')}"
        yield f"partials            {self.partials}"
        yield f"gaps                {len(self.gaps)}, {sum(gap.end_time - gap.start_time for gap in self.gaps):.1f} s"
        yield f"errors              {self.errors}"
        yield f"wait at the end     {max(0.0, self.ended_at - self.finished_at):.1f} s"
        if self.info is not None:
            yield "the daemon's figures just before the end:"
            yield from (f"  {name} = {value}" for name, value in self.info.metrics.items())


def _spread(values: list[float], form: str) -> str:
    return f"mean {sum(values) / len(values):{form}}, from {min(values):{form}} to {max(values):{form}}"


def synthetic(duration: float) -> Iterator[bytes]:
    """Noise with the spectrum and rhythm of speech, and pauses, but no words: 2.5 s sounding, 1.5 s silent."""
    random = np.random.default_rng(0)
    for start in range(0, samples(duration), BLOCK):
        at = np.arange(start, min(start + BLOCK, samples(duration))) / RATE
        # Syllables come about four a second; a one-pole low-pass tilts white noise as the throat does.
        loudness = 0.1 * np.sin(np.pi * 4 * at) ** 2 * (at % 4.0 < 2.5)
        noise = np.convolve(random.standard_normal(len(at) + 31), 0.8 ** np.arange(32), mode="valid")
        yield to_pcm16((loudness * noise).astype(np.float32))


class Run:
    """One session: what is sent, what is shown, and its figures."""

    def __init__(self, connection: Connection, display: Display, *, interactive: bool) -> None:
        self._connection = connection
        self._display = display
        self._interactive = interactive
        self._clock = asyncio.get_running_loop().time
        self._began = 0.0
        self._sending: asyncio.Task[None] | None = None
        self.figures = Figures()

    async def listen(self) -> None:
        """Show and count what comes, until the session has ended."""
        try:
            async for event in self._connection:
                self._take(event)
        finally:
            self.figures.sent_samples = self._connection.sent_samples
            self.figures.ended_at = self._clock()

    async def play(self, blocks: Iterable[bytes]) -> None:
        """Play audio in real time."""
        self._began = self._clock() - seconds(self._connection.sent_samples)
        await self._connection.play(blocks)

    async def obey(self, typed: AsyncIterator[str]) -> None:
        """Do what is typed, up to the command that ends the session or the end of what is typed."""
        self._display.note(COMMANDS)
        async for line in typed:
            command, _, rest = line.strip().partition(" ")
            match command:
                case "ping":
                    await self._connection.ping()
                case "info":
                    await self._connection.session_info()
                case "send" if rest:
                    self._send(rest.strip())
                case "end":
                    break
                case "quit":
                    await self._connection.close()
                case _:
                    self._display.note(COMMANDS)

    def _send(self, file: str) -> None:
        if self._sending is not None and not self._sending.done():
            self._display.note("the file before is still playing")
            return
        try:
            self._sending = asyncio.create_task(self.play(read_audio(Path(file).expanduser())))
        except AudioUnreadable as error:
            self._display.note(str(error))
        else:
            self._sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        if not sending.cancelled():
            self._display.note(str(sending.exception() or "all sent"))

    async def end_after(self, driving: asyncio.Task[None]) -> None:
        """Once ``driving`` is over, ask for the daemon's figures and end the session."""
        await asyncio.wait({driving})
        if self._sending is not None:
            self._sending.cancel()
        self.figures.finished_at = self._clock()
        await self._connection.session_info()
        await self._connection.end()

    async def tick(self) -> None:
        """Show how far the audio is while nobody speaks."""
        while True:
            self._display.listen(seconds(self._connection.sent_samples))
            await asyncio.sleep(0.25)

    def _take(self, event: Event) -> None:
        match event:
            case Transcript():
                self.figures.lines.append(event)
                self.figures.delays.append(self._clock() - self._began - event.end_time)
                self._display.commit(event)
            case Gap():
                self.figures.gaps.append(event)
                self._display.commit(event)
            case Partial():
                self.figures.partials += 1
                self._display.open(event)
            case SessionInfo():
                self.figures.info = event
                if self._interactive:
                    self._display.note(
                        f"{event.session_id}, since {event.connected_at}: {dict(event.metrics)}"
                    )
            case Pong():
                self._display.note("pong")
            case ServerError(message=message):
                self.figures.errors += 1
                self._display.note(f"error: {message}")
            case SessionEnded(message=message):
                self._display.note(message)
            case Other(raw=raw):
                self._display.note(f"{raw.get('type')}: {raw.get('message', '')}")


async def typed_lines() -> AsyncIterator[str]:
    """What is typed on standard input, line by line."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        # os.read, because a thread that waits inside sys.stdin holds a lock the interpreter needs to exit.
        rest = b""
        while block := os.read(0, 4096):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


async def run(url: str, session_id: str | None, blocks: Iterable[bytes] | None) -> Figures:
    """One session, of ``blocks`` or, without them, of what is typed.  Ctrl-C ends it properly.

    Raises:
        AmbientError: no daemon, a lost connection, or a damaged file.
    """
    async with connect(url, session_id=session_id, partials=True) as connection:
        with Display(live=blocks is not None) as display:
            this = Run(connection, display, interactive=blocks is None)
            display.note(f"session {connection.opened.session_id}, {connection.opened.config.whisper_model}")
            driving = asyncio.create_task(this.obey(typed_lines()) if blocks is None else this.play(blocks))
            ending = asyncio.create_task(this.end_after(driving))
            ticking = asyncio.create_task(this.tick())
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, driving.cancel)
            try:
                await this.listen()
            finally:
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
                for task in (driving, ending, ticking):
                    task.cancel()
                await asyncio.wait({driving, ending, ticking})
        # A connection closed under the sender was closed by the session's end, or listening has raised why.
        for task in (driving, ending, ticking):
            if not task.cancelled() and not isinstance(task.exception(), Disconnected):
                task.result()
    return this.figures


@click.command()
@click.option(
    "--duration", type=click.FloatRange(min=0.1), help="Seconds of synthetic audio, or of the file."
)
@click.option(
    "--audio-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Play this file."
)
@click.option("--interactive", is_flag=True, help=COMMANDS)
@click.option("--session-id", help="Name the session.")
@click.option("--host", default="localhost", show_default=True)
@click.option("--port", default=8000, show_default=True)
def main(
    *,
    duration: float | None,
    audio_file: Path | None,
    interactive: bool,
    session_id: str | None,
    host: str,
    port: int,
) -> None:
    """Play audio to the daemon in real time and show the conversation and its figures."""
    if interactive and (audio_file or duration):
        raise click.UsageError("--interactive plays nothing by itself: type send FILE there.")
    try:
        blocks: Iterable[bytes] | None = None
        if audio_file is not None:
            blocks = read_audio(audio_file)
            if duration is not None:
                blocks = itertools.islice(blocks, math.ceil(samples(duration) / BLOCK))
        elif not interactive:
            click.echo("synthetic audio, noise in the rhythm of speech: no words are expected", err=True)
            blocks = synthetic(duration or SYNTHETIC_SECONDS)
        figures = asyncio.run(run(f"http://{host}:{port}", session_id, blocks))
    except AmbientError as error:
        raise click.ClickException(str(error)) from error
    for line in figures.report():
        click.echo(line, err=True)


if __name__ == "__main__":
    main()
