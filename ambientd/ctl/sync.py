"""``ambientctl sync``: see and steer the deliveries to the central server."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from ambientd.client import Refused
from ambientd.ctl import daemon

_STATES: Final = {
    "off": "off: no central server is set",
    "paused": "paused",
    "outside_window": "waiting for its hours",
    "sending": "sending",
    "waiting": "the central server is not to be had; it is tried again",
    "idle": "nothing to do",
}

_POLL_SECONDS: Final = 0.5

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")


@click.group()
def sync() -> None:
    """See and steer the deliveries to the central server."""


@sync.command()
@click.option("--items", "count", default=20, show_default=True, help="Show at most so many rows.")
@click.option(
    "--state",
    type=click.Choice(["held", "pending", "in_flight", "delivered", "parked"]),
    help="Only rows of this state; by default all that are not delivered.",
)
@as_json
@daemon.at_url
def status(url: str, state: str | None, count: int, *, as_json: bool) -> None:
    """Show how the sync stands, and the rows that wait."""
    told = daemon.ask(url, "GET", "/api/v1/sync")
    wanted = [state] if state else ["parked", "in_flight", "pending", "held"]
    rows: list[dict[str, Any]] = []
    for each in wanted:
        if (left := count - len(rows)) > 0:
            query = {"state": each, "limit": str(min(left, 1_000))}
            rows += daemon.ask(url, "GET", "/api/v1/sync/items", query=query)["items"]
    if as_json:
        click.echo(json.dumps({**told, "items": rows}))
        return
    console = Console()
    queue = told["queue"]
    console.print(f"Sync ({told['profile']}): {_STATES.get(told['state'], told['state'])}", highlight=False)
    console.print(
        f"{queue['delivered']} delivered, {queue['pending']} pending, {queue['in_flight']} in flight,"
        f" {queue['held']} held, {queue['parked']} parked",
        highlight=False,
    )
    console.print(
        f"Last success {_ago(told['last_success'])}, next run {_ago(told['next_run'])}", highlight=False
    )
    if told["last_error"]:
        console.print(
            f"Last error {_ago(told['last_error_at'])}: {told['last_error']}", highlight=False, markup=False
        )
    if rows:
        console.print(_table(rows))


@sync.command()
@click.option("--wait", default=0.0, metavar="SECONDS", help="Wait so long for the queue to empty.")
@daemon.at_url
def now(url: str, wait: float) -> None:
    """Try every row at once, whatever its next attempt and the window say."""
    told = daemon.ask(url, "POST", "/api/v1/sync/run")
    end = time.monotonic() + wait
    while (left := _left(told)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        told = daemon.ask(url, "GET", "/api/v1/sync")
    if not wait:
        click.echo(f"{left} to be sent.")
    elif left:
        click.echo(f"{left} not sent yet: {told['last_error'] or 'it goes on'}", err=True)
        sys.exit(1)
    else:
        click.echo("All sent.")


@sync.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All rows that are parked.")
@daemon.at_url
def retry(url: str, ids: tuple[str, ...], *, every: bool) -> None:
    """Try rows again at once, parked or not.  An ID is that of a row or of a session."""
    if bool(ids) == every:
        raise click.UsageError("Give ids, or --all.")
    if every:
        ids = _parked(url)
    for item in ids if every else [_row(url, each) for each in ids]:
        daemon.ask(url, "POST", f"/api/v1/sync/items/{item}/retry")
    click.echo(f"{len(ids)} to be tried again.")


@sync.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@daemon.at_url
def park(url: str, ids: tuple[str, ...]) -> None:
    """Send rows no more until they are retried.  An ID is that of a row or of a session."""
    for each in ids:
        daemon.ask(url, "POST", f"/api/v1/sync/items/{_row(url, each)}/park")
    click.echo(f"{len(ids)} parked.")


@sync.command()
@daemon.at_url
def pause(url: str) -> None:
    """Call nobody until resumed, over restarts too; sessions go on and wait in the outbox."""
    daemon.ask(url, "POST", "/api/v1/sync/pause")
    click.echo("Paused.")


@sync.command()
@daemon.at_url
def resume(url: str) -> None:
    """Go on after a pause."""
    told = daemon.ask(url, "POST", "/api/v1/sync/resume")
    click.echo(f"Resumed: {_left(told)} to be sent.")


def _left(told: dict[str, Any]) -> int:
    return int(told["queue"]["pending"] + told["queue"]["in_flight"])


def _parked(url: str) -> tuple[str, ...]:
    found = daemon.ask(url, "GET", "/api/v1/sync/items", query={"state": "parked", "limit": "1000"})
    return tuple(item["id"] for item in found["items"])


def _row(url: str, name: str) -> str:
    """The id of the row that is meant: by its own id, or its session's."""
    found = daemon.ask(url, "GET", "/api/v1/sync/items", query={"match": name})["items"]
    if not found:
        raise Refused(404, f"No delivery or session has the id {name}.")
    return str(found[0]["id"])


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(highlight=False)
    for name in ("Row", "Session", "State", "Size", "Tries", "Next", "Why"):
        table.add_column(name, overflow="fold")  # an id cut short is of no use
    for row in rows:
        following = row["held_until"] if row["state"] == "held" else row["next_attempt_at"]
        table.add_row(
            row["id"],
            row["session_id"],
            row["state"],
            f"{row['bytes']:,}",
            str(row["attempts"]),
            _ago(following) if following else "",
            row["last_error"] or "",
        )
    return table


def _ago(moment: str | None) -> str:
    """A time as people say it."""
    if moment is None:
        return "never"
    seconds = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    size = abs(seconds)
    for length, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if size >= length:
            text = f"{size / length:.0f} {name}"
            break
    else:
        text = f"{size:.0f} s"
    return f"in {text}" if seconds > 0 else f"{text} ago"
