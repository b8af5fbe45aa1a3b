"""A conversation on a terminal, or in a pipe, while it is being spoken."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ambientd.client_events import Gap, Partial, Transcript


class Display:
    """Shows committed lines firm and, on a terminal, the open utterance dim on the last line.

    ``on_stderr``: standard output is needed for something else.  Lines then go to standard error if that is
    a terminal, and nowhere if not: what collects a program's errors is a log, and no log holds what was said.

    Into a pipe lines are plain and never wrapped, and each is written out at once; with ``live=False`` so they
    are on a terminal too, which leaves it to somebody who types there.
    """

    def __init__(self, *, on_stderr: bool = False, live: bool = True) -> None:
        stream = sys.stderr if on_stderr else sys.stdout
        # Refreshed by hand: a thread of rich's own might write while audiofile keeps stderr from the decoder.
        self._live = (
            Live(
                console=Console(file=stream, highlight=False),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if live and stream.isatty()
            else None
        )
        self._piped = self._live is None and not on_stderr
        self._speaking = False

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(Text(""), refresh=True)
            self._live.stop()

    def commit(self, line: Transcript | Gap) -> None:
        """Show what will not change any more, and clear the open utterance."""
        if self._live is not None:
            style = "yellow" if isinstance(line, Gap) else ""
            self._speaking = False
            self._live.update(Text(""), refresh=True)
            self._live.console.print(_row(clock(line.start_time), said(line), style))
        elif self._piped:
            click.echo(plain(line))

    def listen(self, position: float) -> None:
        """Show how far the recording is, in seconds, unless an utterance is open."""
        if self._live is not None and not self._speaking:
            self._live.update(_row(clock(position), "…", "dim"), refresh=True)

    def open(self, utterance: Partial) -> None:
        """Show the open utterance in place of the one shown before."""
        if self._live is not None:
            self._speaking = True
            self._live.update(
                _row(clock(utterance.start_time), printable(utterance.text), "dim"), refresh=True
            )

    def note(self, text: str) -> None:
        """Say something that is not part of the conversation, on standard error."""
        if self._live is not None and sys.stderr.isatty():
            self._live.console.print(Text(printable(text), style="yellow"))
        else:
            click.echo(printable(text), err=True)


def plain(line: Transcript | Gap) -> str:
    """A line as it stands in a pipe or a file: ``00:12  text``."""
    return f"{clock(line.start_time)}  {said(line)}"


def said(line: Transcript | Gap) -> str:
    """The words of a line, or what is to be read in their place."""
    if isinstance(line, Gap):
        return f"[{line.end_time - line.start_time:.1f} s without text: {printable(line.reason)}]"
    return printable(line.text)


def clock(seconds: float) -> str:
    """Seconds as ``00:12``, from an hour on as ``1:00:12``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def printable(text: str) -> str:
    """Text that came over the network, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _row(time: str, text: str, style: str) -> Table:
    """One line whose text, where it must wrap, stays clear of the column of times."""
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(no_wrap=True, style=style or "dim")
    row.add_column(style=style)
    row.add_row(time, Text(text))
    return row
