"""``ambientctl version``."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from ambientd import __version__

STANDS_ON = ("pywhispercpp", "onnxruntime", "aiohttp", "SQLAlchemy")
"""The packages a fault report needs the versions of."""


@click.command()
def version() -> None:
    """Print the versions of ambientd and of what it stands on."""
    click.echo(f"ambientd {__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.machine()}")
    for package in STANDS_ON:
        click.echo(f"{package} {metadata.version(package)}")
