"""``ambientctl setup``: the code with which the first account is made, on the page."""

from __future__ import annotations

import json

import click

from ambientd.ctl import daemon


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
@daemon.at_url
def setup(url: str, *, as_json: bool) -> None:
    """Show the code that the box's page asks for once, for the first account."""
    told = daemon.ask(url, "GET", "/api/v1/setup")
    if as_json:
        click.echo(json.dumps(told))
    elif told["setup_needed"]:
        click.echo(f"Set-up code: {told['code']}")
        click.echo("Open the box's page (ambientctl certificate shows where) and enter it there, once.")
    else:
        click.echo("The box is set up.  ambientctl accounts list shows who has an account.")
