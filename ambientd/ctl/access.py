"""``ambientctl access``: the emergency code in the envelope, and using it."""

from __future__ import annotations

import click

from ambientd.ctl import daemon


@click.group()
def access() -> None:
    """Seal an emergency code, and break the glass with it."""


@access.command()
@daemon.at_url
def seal(url: str) -> None:
    """Print a new emergency code, once; one printed before is void."""
    code = daemon.ask(url, "POST", "/api/v1/emergency-code")["code"]
    click.echo(
        "Put this into an envelope, seal it, and keep it where the duty doctor finds it.  It is not kept here:\n"
    )
    click.echo(f"    {code}\n")
    click.echo(
        "Whoever enters it on the box's page has all rights for a while, once.  The audit, the log and the status of"
        " the box tell of it."
    )


@access.command("break-glass")
@daemon.at_url
def break_glass(url: str) -> None:
    """Use the emergency code up, and print a token with all rights for a while."""
    # Asked for and not an argument: those are shown by ps and kept by shells.
    code = click.prompt("Emergency code", hide_input=True)
    made = daemon.ask(url, "POST", "/api/v1/break-glass", body={"code": code})
    click.echo(f"Token: {made['token']}")
    click.echo(
        f"It has all rights for {made['expires_in'] // 60} minutes, as Authorization: Bearer TOKEN.  To end it before:"
        f" ambientctl devices revoke {made['id']}"
    )
