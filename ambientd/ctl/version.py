"""``ambientctl version``."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from ambientd import __version__
from ambientd.ctl.options import as_json, tell

STANDS_ON = ("pywhispercpp", "onnxruntime", "aiohttp", "SQLAlchemy")
"""The packages a fault report needs the versions of."""


@click.command()
@as_json
def version(*, as_json: bool) -> None:
    """Print the versions of ambientd and of what it stands on."""
    packages = {package: metadata.version(package) for package in STANDS_ON}
    if as_json:
        tell(
            {
                "ambientd": __version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
                "packages": packages,
            }
        )
        return
    click.echo(f"ambientd {__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.machine()}")
    for package, number in packages.items():
        click.echo(f"{package} {number}")
