"""``ambientctl purge``: let go of what has been kept long enough, or of one session."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from ambientd.ctl import daemon

REASONS = {
    "delivered": "delivered long enough ago",
    "no_words": "without words, ended long enough ago",
    "old": "ended long enough ago",
    "open": "still open",
    "being_refined": "being heard a second time",
    "young": "not kept long enough yet",
    "not_delivered": "not delivered yet",
    "parked": 'parked: its delivery waits for a person ("ambientctl sync status")',
    "misdated": "dated by a clock that was wrong: if you need it no more, name it with --session",
    "no_centre": "there is no centre to deliver to, and retention.undelivered is off",
}


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would go, and why the rest stays.")
@click.option("--session", "session_id", metavar="ID", help="Destroy this one session, however young.")
@click.option("--force", is_flag=True, help="With --session: even if it was not delivered to anybody.")
@click.option("--copy", metavar="NAME", help="Delete this damaged or replaced file beside the database.")
@click.option("--clock-is-right", is_flag=True, help="Purge although the clock seems wrong.")
@daemon.at_url
def purge(
    session_id: str | None, copy: str | None, url: str, *, dry_run: bool, force: bool, clock_is_right: bool
) -> None:
    """Destroy the sessions that have been kept long enough: the key first, then every row.

    What has not been delivered stays.  The daemon does the same once a day.
    """
    if copy is not None and (force or dry_run or session_id is not None):
        raise click.UsageError("--copy stands alone.")
    if force and session_id is None:
        raise click.UsageError("--force is for one session: name it with --session.")
    if dry_run and session_id is not None:
        raise click.UsageError("--dry-run tells about all sessions; leave --session out.")
    if copy is not None:
        daemon.ask(url, "DELETE", f"/api/v1/copies/{quote(copy, safe='')}")
        click.echo(f"deleted {copy}")
    elif session_id is not None:
        path = f"/api/v1/sessions/{quote(session_id, safe='')}"
        _end(daemon.ask(url, "DELETE", path, body={"force": force})["scrubbed"], "1 session")
    elif dry_run:
        _tell(daemon.ask(url, "GET", "/api/v1/purge"))
    else:
        done = daemon.ask(url, "POST", "/api/v1/purge", body={"clock_is_right": clock_is_right})
        for name in done["copies"]:
            click.echo(f"deleted {name}")
        _end(done["scrubbed"], f"{_sessions(done['sessions'])}, {done['audit_rows']} rows of the audit")


def _tell(plan: Any) -> None:
    if plan["clock"] is not None:
        click.echo(
            f"The clock is {plan['clock']}: nothing goes until it is set, or --clock-is-right.", err=True
        )
    click.echo(f"{_sessions(plan['goes_in_all'])} would go.")
    for each in plan["goes"]:
        click.echo(f"  {each['session_id']}  {REASONS.get(each['why'], each['why'])}")
    for why, count in plan["stays"].items():
        click.echo(f"{_sessions(count)} would stay: {REASONS.get(why, why)}")
    for each in plan["overdue"]:
        click.echo(f"  {each['session_id']}  old enough, but {REASONS.get(each['why'], each['why'])}")
    for name in plan["copies"]:
        click.echo(f"The file {name} would be deleted.")
    for name in plan["overdue_copies"]:
        click.echo(
            f"The file {name} is old enough, but may hold what was never delivered. "
            f"When you need it no more: ambientctl purge --copy {name}"
        )


def _end(scrubbed: object, what: str) -> None:
    click.echo(f"{what} destroyed.")
    if not scrubbed:
        click.echo("Somebody is reading: free pages are given back with the next purge.", err=True)


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"
