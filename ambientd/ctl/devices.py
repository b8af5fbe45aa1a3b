"""``ambientctl devices``: paired tablets, and programs with a token."""

from __future__ import annotations

import json
from typing import Any

import click

from ambientd.client import Refused
from ambientd.ctl import daemon
from ambientd.ctl.pair import ROLES


@click.group()
def devices() -> None:
    """See and revoke paired tablets and programs, and give programs a token.  ambientctl pair lets tablets in."""


@devices.command("list")
@click.option("--all", "every", is_flag=True, help="Those revoked too.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")
@daemon.at_url
def list_(url: str, *, every: bool, as_json: bool) -> None:
    """List the devices, and who has all rights by the emergency code."""
    told = daemon.ask(url, "GET", "/api/v1/devices")
    found = [each for each in told["devices"] if every or not each["revoked_at"]]
    if as_json:
        click.echo(json.dumps(told | {"devices": found}))
        return
    for each in found:
        end = (
            f"revoked {each['revoked_at'][:10]}" if each["revoked_at"] else f"until {each['expires_at'][:10]}"
        )
        click.echo(f"{each['id']}  {each['kind']:<7}  {each['role']:<11}  {end}  {each['name']}")
    for each in told["emergencies"]:
        click.echo(f"{each['id']}  EMERGENCY: all rights until {each['expires_at']}")
    if not found and not told["emergencies"]:
        click.echo("There are no devices.")


@devices.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice(ROLES), default="integration", show_default=True, help="What it may do."
)
@click.option("--days", type=click.IntRange(1, 3_650), help="How long; by default access.token_days.")
@daemon.at_url
def add(url: str, name: str, role: str, days: int | None) -> None:
    """Give the program NAME a token, and print it."""
    body = {"name": name, "role": role} | ({} if days is None else {"days": days})
    made = daemon.ask(url, "POST", "/api/v1/devices", body=body)
    click.echo(f"{made['name']} may come as {made['role']}, until {made['expires_at'][:10]} ({made['id']}).")
    click.echo(
        f"Token: {made['token']}\nIt is shown here and nowhere else.  It goes into Authorization: Bearer TOKEN."
    )


@devices.command()
@click.argument("device")
@daemon.at_url
def revoke(url: str, device: str) -> None:
    """Revoke DEVICE, a name or an id, or an emergency by its id: what it has open is closed at once."""
    told = daemon.ask(url, "GET", "/api/v1/devices")
    found = [*[each for each in told["devices"] if not each["revoked_at"]], *told["emergencies"]]
    wanted: list[dict[str, Any]] = [
        each for each in found if device == each["id"] or device.casefold() == each.get("name", "").casefold()
    ]
    if len(wanted) != 1:
        raise Refused(
            404,
            "More than one device is called so: give its id."
            if wanted
            else "No device in force has this name or id.",
        )
    daemon.ask(url, "DELETE", f"/api/v1/devices/{wanted[0]['id']}")
    click.echo(f"{wanted[0].get('name', wanted[0]['id'])} is revoked.")
