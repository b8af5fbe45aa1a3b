"""``ambientctl status``: the box on one screen."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ambientd.checkup import outside
from ambientd.client import DaemonUnreachable, Refused
from ambientd.core.checks import Finding, Severity, exit_status, worst
from ambientd.ctl import daemon
from ambientd.ctl.options import as_json, tell
from ambientd.errors import AmbientError

PATIENCE: Final = 10.0
"""Seconds for each answer."""

DOWN: Final = 2
"""Exit status while no daemon answers: as for anything critical."""

APART: Final = 60
"""Seconds between the daemon's clock and this machine's from which on it is told: then it is another machine's."""

LISTED: Final = 6
"""Findings shown: more do not fit on one screen."""

_PATHS: Final = {
    "daemon": "/api/v1/status",
    "sync": "/api/v1/sync",
    "microphone": "/api/v1/microphone",
    "checks": "/api/v1/checks",
}

_STYLES: Final = {Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


@click.command()
@as_json
@daemon.at_url
def status(url: str, *, as_json: bool) -> None:
    """Show the box on one screen: service, model, lanes, sessions, microphone, queue, disk, certificate, clock.

    The exit status is that of a monitoring plugin: 0 all is well, 1 a warning, 2 critical or no daemon answers.
    """
    unit = outside.unit_state()
    try:
        told = collected(url)
    except DaemonUnreachable as error:
        _down(error, unit, as_json=as_json)
        sys.exit(DOWN)
    findings = [
        Finding(**{**each, "severity": Severity(each["severity"])})
        for each in (told["checks"] or {"checks": []})["checks"]
    ]
    if as_json:
        tell({"status": worst(findings), "running": True, "unit": unit, **told})
    else:
        _show(rows(told, findings, unit, url))
    sys.exit(exit_status(worst(findings)))


def collected(url: str) -> dict[str, Any]:
    """What the daemon tells of itself; ``None`` for a part that it does not have or does not give.

    Raises:
        DaemonUnreachable: nothing answers at ``url``.
    """
    told: dict[str, Any] = {}
    for name, path in _PATHS.items():
        try:
            told[name] = daemon.ask(url, "GET", path, patience=PATIENCE)
        except Refused:
            told[name] = None
    return told


def rows(
    told: dict[str, Any], findings: list[Finding], unit: dict[str, str], url: str
) -> list[tuple[str, str, Severity]]:
    """Heading, text and colour of each line."""
    by_id = {each.id: each for each in findings}

    def grade(*names: str) -> Severity:
        return worst(by_id[name] for name in names if name in by_id)

    found = [("Service", _service(told["daemon"], unit, url), outside.unit(unit).severity)]
    if (state := told["daemon"]) is not None:
        engine, sessions = state["engine"], state["sessions"]
        kernels = " ".join(each for each in engine["kernels"] if each.startswith("AVX")) or "plain"
        live = f"{sessions['live']} live of {sessions['limit']}, {sessions['refused']} refused"
        found += [
            ("Model", f"{engine['model']}, kernels {kernels}", grade("engine.model")),
            ("Lanes", _lanes(engine, state["load"]), grade("engine.load")),
            ("Sessions", live, Severity.OK),
        ]
        if (later := state["later"])["waiting"] or later["failed"]:
            kept = f"{later['waiting']} to be transcribed, {later['failed']} failed, {_long(later['seconds'])} kept"
            found.append(("Recordings", kept, grade("later.failed")))
    found.append(
        ("Microphone", _microphone(told["microphone"]), grade("capture.microphone", "capture.portaudio"))
    )
    if (sync := told["sync"]) is not None:
        found.append(("Queue", _queue(sync), grade("sync.outbox")))
    for title, name in (("Disk", "store.disk"), ("Certificate", "lan.certificate")):
        each = by_id.get(name)
        found.append((title, each.reason if each else "none", each.severity if each else Severity.OK))
    if state is not None:
        doubt = state["clock"]["doubt"]
        found.append(("Clock", _clock(state["clock"]["utc"], doubt), grade("clock.trusted")))
    wrong = [each for each in findings if each.severity in _STYLES]
    if wrong:
        found.append(("", "", Severity.OK))
    found += [(each.severity.value, f"{each.title}: {each.reason}", each.severity) for each in wrong[:LISTED]]
    if wrong:
        more = f"{len(wrong) - LISTED} more: " if len(wrong) > LISTED else ""
        found.append(("", f"{more}ambientctl doctor tells what mends it.", Severity.OK))
    return found


def _service(state: dict[str, Any] | None, unit: dict[str, str], url: str) -> str:
    parts = [f"ambientd {state['version']}, up {_long(state['uptime'])}"] if state else ["answers"]
    if unit.get("LoadState") == "loaded":
        parts.append(f"systemd: {unit.get('ActiveState', '?')}")
        if unit.get("StatusText"):
            parts.append(unit["StatusText"])
    return ", ".join([*parts, f"at {daemon.named(url)}"])


def _lanes(engine: dict[str, Any], load: dict[str, Any]) -> str:
    return (
        f"{engine['busy']} of {engine['lanes']} busy, {engine['threads']} threads each, {engine['waiting']} waiting;"
        f" {100 * load['utilisation']:.0f} % of their time, text {load['lag_p95']:.1f} s late"
    )


def _microphone(told: dict[str, Any] | None) -> str:
    if told is None:
        return "this daemon has none"
    parts = [str(told["state"])]
    device = told.get("device")
    if device:
        parts.append(str(device.get("name", "")) if isinstance(device, dict) else str(device))
    if told.get("reason"):
        parts.append(str(told["reason"]))
    session = told.get("session")
    if session:
        parts.append(f"{session['state']} for {_long(session['elapsed_seconds'])}")
    return ", ".join(filter(None, parts))


def _queue(sync: dict[str, Any]) -> str:
    if sync["profile"] == "none":
        return f"no central server; {sync['queue']['pending']} kept"
    queue = sync["queue"]
    return (
        f"{sync['state']}: {queue['pending']} pending, {queue['in_flight']} in flight, {queue['held']} held,"
        f" {queue['parked']} parked, {queue['delivered']} delivered"
    )


def _clock(utc: str, doubt: str | None) -> str:
    apart = abs((datetime.now(UTC) - datetime.fromisoformat(utc)).total_seconds())
    parts = [utc]
    if doubt:
        parts.append(doubt)
    if apart > APART:
        parts.append(f"{apart:.0f} s apart from this machine's")
    return ", ".join(parts)


def _long(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _down(error: AmbientError, unit: dict[str, str], *, as_json: bool) -> None:
    said = outside.unit(unit)
    if as_json:
        tell(
            {
                "status": Severity.CRITICAL,
                "running": False,
                "reason": error.message,
                "remedy": error.hint,
                "unit": unit,
                "checks": {"status": said.severity, "checks": [asdict(said)]},
            }
        )
        return
    _show(
        [
            ("Service", error.message, Severity.CRITICAL),
            ("systemd", said.reason, said.severity),
            ("", error.hint, Severity.OK),
            (
                "",
                "ambientctl doctor looks for the reason; ambientctl logs shows its last words.",
                Severity.OK,
            ),
        ]
    )


def _show(lines: list[tuple[str, str, Severity]]) -> None:
    if not sys.stdout.isatty():
        for heading, text, severity in lines:
            marked = f"  [{severity}]" if severity in _STYLES and heading != severity else ""
            click.echo(f"{heading:12}  {text}{marked}".rstrip())
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for heading, text, severity in lines:
        table.add_row(heading, Text(text, _STYLES.get(severity, "")))
    Console(highlight=False).print(table)
