"""``ambientctl tune``: measure what this machine does best, once, and keep it for the daemon."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import numpy as np

from ambientd.audiofile import read_audio
from ambientd.core.audio import from_pcm16
from ambientd.ctl import daemon, settings
from ambientd.engine import models
from ambientd.engine import tune as engine
from ambientd.errors import AmbientError, OperatorError
from ambientd.store.owner import as_owner

_SECONDS: Final = 4.0
"""For which one way of using the machine is tried: a dozen decodes a lane."""


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 120.0),
    default=_SECONDS,
    show_default=True,
    help="How long to try each way.",
)
@click.option(
    "--force", is_flag=True, help="Measure and keep, although sessions or other programs are running."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
@daemon.at_url
def tune(seconds: float, url: str, *, force: bool, as_json: bool) -> None:
    """Measure this machine: how many decodes at once, with how many cores each, which weights.

    Takes about half a minute on an idle machine; let nothing else run.  The daemon takes lanes and threads from it at
    its next start where the settings leave them at 0.  The weights stay your choice: the advice is only printed.
    """
    if not force and (live := _live(url)):
        raise OperatorError(
            f"{live} sessions are running: measuring would make them late, and the result wrong",
            hint="Wait for their end, or use --force.",
        )
    chosen = settings()
    name, quantisation = chosen.engine.model, chosen.engine.quantisation
    directories = chosen.models.directories
    weights: dict[str, Path] = {quantisation: models.resolve(name, quantisation, *directories)}
    for found in models.installed(*directories):
        if found.name == name and found.quantisation != quantisation:
            weights[found.quantisation] = models.resolve(name, found.quantisation, *directories)
    audio = from_pcm16(b"".join(read_audio(engine.SAMPLE)))
    result = engine.tune(
        name,
        weights,
        quantisation,
        np.ascontiguousarray(audio, np.float32),
        seconds=seconds,
        told=(lambda _: None) if as_json else _tell,
    )
    if result.disturbed and not force:
        raise OperatorError(
            "something else was using the processor, so the figures are not the machine's own: nothing is kept",
            hint="Let nothing else run and measure again, or use --force.",
        )
    try:
        with as_owner(chosen.store.directory):
            path = engine.save(result, chosen.store.directory)
    except OSError as error:
        raise OperatorError(
            f"the result cannot be kept in {chosen.store.directory}: {error.strerror}.",
            hint="Run it as the service's user, or as root.",
        ) from error
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    rooms = chosen.admission.max_utilisation * result.lanes / result.cost
    click.echo(
        f"Best: {result.lanes} lanes with {result.threads} threads each, {result.quantisation}:"
        f" about {rooms:.0f} rooms in continuous talk."
    )
    for sentence in result.advice:
        click.echo(sentence)
    if chosen.engine.lanes or chosen.engine.threads:
        click.echo("engine.lanes or engine.threads is set, and wins: set both to 0 to use this.")
    click.echo(f"Kept in {path}; the daemon takes it at its next start.")


def _tell(trial: engine.Trial) -> None:
    click.echo(
        f"{trial.quantisation:5} {trial.lanes} lanes x {trial.threads} threads:"
        f" {trial.speed:5.1f} s of speech a second, {trial.latency:.2f} s for the sample,"
        f" {trial.memory >> 20} MB a lane"
    )


def _live(url: str) -> int:
    """Sessions running on the daemon; 0 if there is none to ask."""
    try:
        return int(daemon.ask(url, "GET", "/api/v1/status")["sessions"]["live"])
    except AmbientError:
        return 0
