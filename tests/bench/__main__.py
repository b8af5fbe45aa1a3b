"""Measures this machine: ``make bench``, or parts of it: ``make bench ONLY="offline streaming"``.

With recordings beside the project all of them are used, otherwise the sample visit.  The tables go to the terminal and
into docs/benchmarks.md, the plots into docs/images.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import click
from rich.console import Console

from bench import appliance, naming, offline, plots, quiet, report, storage, streaming

Measured = list[report.Section]

PARTS: Final[dict[str, Callable[[int, float | None], Measured]]] = {
    "offline": lambda _repeat, seconds: offline.accuracy(seconds),
    "seed": lambda _repeat, seconds: offline.against_seed(seconds),
    "quiet": lambda _repeat, seconds: quiet.silence(seconds),
    "names": lambda _repeat, seconds: naming.names_right(seconds),
    "streaming": lambda repeat, seconds: [asyncio.run(streaming.run(repeat, seconds))],
    "storage": lambda _repeat, _seconds: storage.measure(),
    "appliance": lambda _repeat, _seconds: appliance.measure(),
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--repeat", default=3, show_default=True, help="Runs of what depends on the machine's mood.")
@click.option(
    "--seconds", type=float, help="A quick look: so much of each recording, and nothing is written down."
)
def main(parts: tuple[str, ...], repeat: int, seconds: float | None) -> None:
    """Runs the named parts, or all, and keeps what they found."""
    console = Console()
    console.print(report.machine())
    for name in parts or PARTS:
        try:
            sections = PARTS[name](repeat, seconds)
        except report.Skipped as reason:
            console.print(f"left out: {reason}")
            continue
        for section in sections:
            if seconds is None:
                report.keep(section)
            report.show(console, section)
    if seconds is None:
        plots.draw()


if __name__ == "__main__":
    main()
