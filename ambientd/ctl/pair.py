"""``ambientctl pair``: let in the tablets that ask, or turn them away."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import click

from ambientd.client import Refused
from ambientd.ctl import daemon

ROLES: Final = ("clinician", "operator", "reader", "integration")

_POLL_SECONDS: Final = 1.0


@click.command()
@click.argument("code", required=False)
@click.option(
    "--role", type=click.Choice(ROLES), default="clinician", show_default=True, help="What it may do."
)
@click.option("--refuse", "away", is_flag=True, help="Turn the tablet with that CODE away.")
@click.option("--wait", default=0.0, metavar="SECONDS", help="Wait so long for a tablet to ask.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read; asks nothing.")
@daemon.at_url
def pair(url: str, code: str | None, role: str, wait: float, *, away: bool, as_json: bool) -> None:
    """Let in the tablet whose screen shows CODE; without a CODE list those that ask, and ask about each.

    Compare the number with the one on the tablet: somebody else's tablet may ask at the same time.
    """
    waiting = _waiting(url, wait)
    if code is not None:
        wanted = "".join(code.split())
        found = [each for each in waiting if each["code"] == wanted]
        if len(found) != 1:
            raise Refused(404, "No tablet that asks shows this number, or more than one.")
        _decide(url, found[0], role, away=away)
        return
    if as_json:
        click.echo(json.dumps({"pairings": waiting}))
        return
    told = daemon.ask(url, "GET", "/api/v1/setup")
    if told["setup_needed"]:
        click.echo(f"Nobody has an account yet.  Set-up code for the box's page: {told['code']}")
    if not waiting:
        click.echo("No tablet asks to be paired.  Open the box's page on it and choose to pair it.")
    for each in waiting:
        click.echo(
            f"\n{each['name']} at {each['origin']} shows {each['code']}, for {each['expires_in']} s more."
        )
        answer = click.prompt(
            f"Let it in as {role}?",
            type=click.Choice(["yes", "no", "later"]),
            default="later",
            show_choices=True,
        )
        if answer != "later":
            _decide(url, each, role, away=answer == "no")


def _decide(url: str, asked: dict[str, Any], role: str, *, away: bool) -> None:
    if away:
        daemon.ask(url, "POST", f"/api/v1/pairings/{asked['id']}/refuse")
        click.echo(f"{asked['name']} is turned away.")
        return
    device = daemon.ask(
        url, "POST", f"/api/v1/pairings/{asked['id']}/approve", body={"role": role, "code": asked["code"]}
    )
    click.echo(
        f"{asked['name']} is let in as {device['role']}, until {device['expires_at'][:10]} ({device['id']})."
    )


def _waiting(url: str, wait: float) -> list[dict[str, Any]]:
    end = time.monotonic() + wait
    while True:
        found: list[dict[str, Any]] = daemon.ask(url, "GET", "/api/v1/pairings")["pairings"]
        if found or time.monotonic() >= end:
            return found
        time.sleep(_POLL_SECONDS)
