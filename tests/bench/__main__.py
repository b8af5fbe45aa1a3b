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

from bench import appliance, offline, plots, report, storage, streaming

PARTS: Final[dict[str, Callable[[int], list[report.Section]]]] = {
    "offline": lambda _repeat: offline.accuracy(),
    "streaming": lambda repeat: [asyncio.run(streaming.run(repeat))],
    "storage": lambda _repeat: storage.measure(),
    "appliance": lambda _repeat: appliance.measure(),
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--repeat", default=3, show_default=True, help="Runs of what depends on the machine's mood.")
def main(parts: tuple[str, ...], repeat: int) -> None:
    """Runs the named parts, or all, and keeps what they found."""
    console = Console()
    console.print(report.machine())
    for name in parts or PARTS:
        for section in PARTS[name](repeat):
            report.keep(section)
            report.show(console, section)
    plots.draw()


if __name__ == "__main__":
    main()
