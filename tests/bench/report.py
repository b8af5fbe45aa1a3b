"""Tables of figures: on the terminal, and between their marks in docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ambientd.engine.whisper import kernels
from bench.recordings import ROOT

RESULTS: Final = ROOT / "build" / "bench" / "results"
PAGE: Final = ROOT / "docs" / "benchmarks.md"


def machine() -> str:
    """The machine these figures are of."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {names[0] if names else platform.processor()}, kernels {' '.join(kernels())}"


class Skipped(Exception):
    """A part cannot be measured here; says why, and what would mend it."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table, and what to know of it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    data: Any = field(default_factory=dict)
    """What the plots are drawn from."""


def show(console: Console, section: Section) -> None:
    """Prints a section."""
    table = Table(title=section.title, caption=section.note or None)
    for column in section.columns:
        table.add_column(column)
    for row in section.rows:
        table.add_row(*row)
    console.print(table)


def keep(section: Section) -> None:
    """Keeps a section's figures, and puts its table between its marks on the page, at the end if it has none."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{section.name}.json").write_text(json.dumps(asdict(section), indent=1))
    begin, end = f"<!-- bench {section.name} -->", f"<!-- end {section.name} -->"
    rows = [section.columns, ["---"] * len(section.columns), *section.rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    day = datetime.now(UTC).date().isoformat()
    told = f"{day}, {machine()}." + (f" {section.note}" if section.note else "")
    text = f"{begin}\n### {section.title}\n\n{told}\n\n{table}\n{end}"
    page = PAGE.read_text()
    if begin in page:
        page = page[: page.index(begin)] + text + page[page.index(end) + len(end) :]
    else:
        page = f"{page.rstrip()}\n\n{text}\n"
    PAGE.write_text(page)
