"""``ambientctl limits``: which addresses are shut out, and letting them in again."""

from __future__ import annotations

import json

import click

from ambientd.ctl import daemon


@click.group()
def limits() -> None:
    """See which addresses are shut out, and let them in again."""


@limits.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
@daemon.at_url
def list_(url: str, *, as_json: bool) -> None:
    """List the addresses that are shut out, and what was refused since the start."""
    told = daemon.ask(url, "GET", "/api/v1/limits")
    if as_json:
        click.echo(json.dumps(told))
        return
    for ban in told["banned"]:
        click.echo(f"{ban['address']:<24} too many {ban['reason']}; let in again in {ban['seconds_left']} s")
    if not told["banned"]:
        click.echo("Nobody is shut out.")
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(told["refused"].items()))
    click.echo(f"Connections now: {told['connections']}.  Refused since the start: {refused or 'nothing'}.")


@limits.command()
@click.argument("address")
@daemon.at_url
def free(url: str, address: str) -> None:
    """Let ADDRESS in again, with all its counts forgotten."""
    daemon.ask(url, "DELETE", f"/api/v1/limits/{address.partition('/')[0]}")
    click.echo(f"{address} is let in again.")
