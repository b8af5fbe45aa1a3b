"""``ambientctl accounts``: people with a password."""

from __future__ import annotations

import json
from typing import Any

import click

from ambientd.client import Refused
from ambientd.ctl import daemon
from ambientd.ctl.pair import ROLES

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")


@click.group()
def accounts() -> None:
    """See, add and revoke the accounts of people."""


@accounts.command("list")
@click.option("--all", "every", is_flag=True, help="Those revoked too.")
@as_json
@daemon.at_url
def list_(url: str, *, every: bool, as_json: bool) -> None:
    """List the accounts."""
    found = [each for each in _all(url) if every or not each["revoked_at"]]
    if as_json:
        click.echo(json.dumps(found))
        return
    for each in found:
        mark = f"  revoked {each['revoked_at'][:10]}" if each["revoked_at"] else ""
        click.echo(f"{each['id']}  {each['role']:<11}  {each['name']}{mark}")
    if not found:
        click.echo("There are no accounts.  ambientctl setup shows the code for the first.")


@accounts.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they may do.")
@click.option("--ask", is_flag=True, help="Ask for the password instead of making one up.")
@daemon.at_url
def add(url: str, name: str, role: str, *, ask: bool) -> None:
    """Add an account for NAME, and print a password for its first log-in."""
    body = {"name": name, "role": role} | _asked(ask=ask)
    made = daemon.ask(url, "POST", "/api/v1/accounts", body=body)
    click.echo(f"{made['name']} has an account as {made['role']} ({made['id']}).")
    _tell(made)


@accounts.command()
@click.argument("account")
@click.option("--ask", is_flag=True, help="Ask for the password instead of making one up.")
@daemon.at_url
def password(url: str, account: str, *, ask: bool) -> None:
    """Give ACCOUNT, a name or an id, another password; whoever is logged in with the old one is logged out."""
    found = _one(url, account)
    made = daemon.ask(url, "POST", f"/api/v1/accounts/{found['id']}/password", body=_asked(ask=ask))
    click.echo(f"{found['name']} has another password.")
    _tell(made)


@accounts.command()
@click.argument("account")
@daemon.at_url
def revoke(url: str, account: str) -> None:
    """Revoke ACCOUNT, a name or an id: what it has open is closed at once."""
    found = _one(url, account)
    daemon.ask(url, "DELETE", f"/api/v1/accounts/{found['id']}")
    click.echo(f"{found['name']} is revoked.")


def _all(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.ask(url, "GET", "/api/v1/accounts")["accounts"]
    return found


def _one(url: str, wanted: str) -> dict[str, Any]:
    for each in _all(url):
        if not each["revoked_at"] and (each["id"] == wanted or each["name"].casefold() == wanted.casefold()):
            return each
    raise Refused(404, "No account in force has this name or id.")


def _asked(*, ask: bool) -> dict[str, str]:
    # Never an argument: those are shown by ps and kept by shells.
    return {"password": click.prompt("Password", hide_input=True, confirmation_prompt=True)} if ask else {}


def _tell(made: dict[str, Any]) -> None:
    if "password" in made:
        click.echo(
            f"Password: {made['password']}\nIt is shown here and nowhere else; they can change it once logged in."
        )
