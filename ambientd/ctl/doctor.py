"""``ambientctl doctor``: what is wrong with this box, and the command that mends it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ambientd import checkup
from ambientd.checkup import outside, stored
from ambientd.client import DaemonUnreachable, Refused
from ambientd.config import Settings
from ambientd.core.checks import Finding, Severity, exit_status, merged, worst
from ambientd.ctl import daemon, settings
from ambientd.ctl.options import as_json, tell
from ambientd.errors import ConfigError
from ambientd.store.owner import as_owner

PATIENCE: Final = 30.0
"""Seconds for the daemon's own checks: it reads the model once more."""

MARKS: Final = {
    Severity.OK: ("ok", "green"),
    Severity.NOTE: ("note", "cyan"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.CRITICAL: ("critical", "bold red"),
}


@click.command()
@as_json
@daemon.at_url
def doctor(url: str, *, as_json: bool) -> None:
    """Check everything that is known to go wrong, and say what mends it.

    Works with the daemon down: then the files are looked at directly, best as root.  The exit status is that of a
    monitoring plugin: 0 nothing to do, 1 a warning, 2 critical.
    """
    found = examine(url)
    if as_json:
        tell({"status": worst(found), "checks": [asdict(each) for each in found]})
    else:
        _show(found)
    sys.exit(exit_status(worst(found)))


def examine(url: str) -> list[Finding]:
    """Every check there is, from inside the daemon where it answers and from outside, the worst first."""
    try:
        known: Settings | None = settings()
    except ConfigError as error:
        known = None
        faults = [
            Finding(
                "settings.valid",
                "Settings",
                Severity.CRITICAL,
                "; ".join(error.faults),
                "Correct the file: the daemon does not start with it.",
                "ambientd --check-config",
            )
        ]
    else:
        faults = []
    inside, running = _asked(url)
    beside = [running, outside.unit(outside.unit_state())]
    if known is None:
        return merged(faults, beside, inside)
    if running.severity is not Severity.OK:
        beside.append(outside.port(known))
    with as_owner(known.store.directory):
        looked = [*checkup.quick(known), *checkup.thorough(known), stored.sound(known)]
    return merged(beside, inside, looked)


def _asked(url: str) -> tuple[list[Finding], Finding]:
    """What the daemon finds itself, and whether it answers at all."""
    title = "Daemon"
    try:
        told: Any = daemon.ask(url, "GET", "/api/v1/checks", patience=PATIENCE)
    except DaemonUnreachable as error:
        return [], Finding(
            "daemon.running",
            title,
            Severity.CRITICAL,
            error.message,
            error.hint,
            "systemctl start ambientd",
        )
    except Refused as error:
        return [], Finding(
            "daemon.running",
            title,
            Severity.WARNING,
            f"It answers at {daemon.named(url)} and does not tell: {error.message}",
            "Ask on the box itself.",
            "sudo ambientctl doctor",
        )
    found = [Finding(**{**each, "severity": Severity(each["severity"])}) for each in told["checks"]]
    return found, Finding("daemon.running", title, reason=f"It answers at {daemon.named(url)}.")


def _show(found: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if not console.is_terminal:
        for each in found:
            click.echo(f"{each.severity:8}  {each.title}: {each.reason}")
            for line in filter(None, (each.remedy, each.command and f"$ {each.command}")):
                if each.severity is not Severity.OK:
                    click.echo(f"          {line}")
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for each in found:
        word, style = MARKS[each.severity]
        cell = Text(each.reason)
        if each.severity is not Severity.OK:
            if each.remedy:
                cell.append(f"\n{each.remedy}", "dim")
            if each.command:
                cell.append(f"\n$ {each.command}", "cyan")
        table.add_row(Text(word, style), each.title, cell)
    console.print(table)
