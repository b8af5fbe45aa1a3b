"""``ambientctl vocabulary``: check a list of names before the box uses it, and have it read again."""

from __future__ import annotations

from pathlib import Path

import click

from ambientd.config import load
from ambientd.core.sounds import sounds, weight
from ambientd.core.suspects import LEAST_WEIGHT
from ambientd.core.vocabulary import Vocabulary, spelling
from ambientd.ctl import daemon
from ambientd.engine import models
from ambientd.engine.ordinary import ordinary_words
from ambientd.errors import AmbientError
from ambientd.glossary import read_list


@click.group()
def vocabulary() -> None:
    """The clinic's list of names."""


@vocabulary.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Tell what is wrong with the list in FILE: what cannot be used, and what had better not be in it.

    Exit status 1 if lines cannot be used.
    """
    found = read_list(file)
    for fault in found.faults:
        click.echo(f"{file.name}:{fault.line}: the name {fault.reason}: not used")
    for line in _doubts(found, _ordinary()):
        click.echo(line)
    click.echo(f"{len(found.entries)} names, {len(found.specialities)} specialities")
    if found.faults:
        raise SystemExit(1)


@vocabulary.command()
@daemon.at_url
def reload(url: str) -> None:
    """Have the daemon read its list again, for sessions that open from now on."""
    click.echo(f"{daemon.ask(url, 'POST', '/api/v1/vocabulary/reload')['count']} names")


def _ordinary() -> frozenset[str]:
    """The words the configured model knows; none, with a remark, where it cannot be read."""
    try:
        settings = load(None)
        engine = settings.engine
        return ordinary_words(models.resolve(engine.model, engine.quantisation, *settings.models.directories))
    except AmbientError as error:
        click.echo(f"ordinary words are not checked: {error.message}", err=True)
        return frozenset()


def _doubts(found: Vocabulary, ordinary: frozenset[str]) -> list[str]:
    doubts = []
    said: dict[str, str] = {}
    for entry in found.entries:
        if spelling(entry.name) in ordinary:
            doubts.append(f"{entry.name}: an ordinary word, which the engine spells without help")
        elif weight(sounds(entry.name)) < LEAST_WEIGHT:
            doubts.append(f"{entry.name}: too short to be told from other words by its sound: no help")
        twin = said.setdefault(sounds(entry.name), entry.name)
        if twin != entry.name:
            doubts.append(f"{entry.name}: sounds exactly like {twin}: which of the two is written is chance")
    return doubts
