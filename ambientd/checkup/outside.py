"""What only somebody beside the daemon can tell: whether it runs, what systemd says, who has its port."""

from __future__ import annotations

import shutil
import socket
import subprocess
from typing import Final

from ambientd.config import Settings
from ambientd.core.checks import Finding, Severity

UNIT: Final = "ambientd.service"
START: Final = "systemctl start ambientd"

_ASKED: Final = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "UnitFileState", "StatusText")

_SECONDS: Final = 10.0
"""Patience for systemd, which answers in milliseconds."""

_OFTEN: Final = 3
"""Restarts by systemd from which on it is no longer bad luck."""


def unit_state() -> dict[str, str]:
    """The unit's properties as systemd has them; empty where there is no systemd."""
    program = shutil.which("systemctl")
    if program is None:
        return {}
    asked = [program, "show", UNIT, "--no-pager", *(f"--property={name}" for name in _ASKED)]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def unit(state: dict[str, str]) -> Finding:
    """What systemd says of the service; ``state``: of :func:`unit_state`."""
    active, restarts = state.get("ActiveState", ""), int(state.get("NRestarts") or 0)
    told = f"It is {active} ({state.get('SubState', '')}), started again {restarts} times."
    severity, remedy, command = Severity.OK, "", ""
    if not state:
        severity, told = (
            Severity.NOTE,
            "There is no systemd here: nothing starts the daemon again after a crash.",
        )
    elif state.get("LoadState") != "loaded":
        severity, told = (
            Severity.NOTE,
            "The service is not installed: a daemon run by hand is not started again.",
        )
        remedy, command = "Install the package.", "apt install ./ambientd_*.deb"
    elif active == "failed":
        severity, told = Severity.CRITICAL, f"It has failed ({state.get('Result', '')}). {told}"
        remedy, command = (
            "Find out why (ambientctl logs), mend it, start it again.",
            "systemctl restart ambientd",
        )
    elif active != "active":
        starting = active in {"activating", "reloading"}
        severity = Severity.WARNING if starting else Severity.CRITICAL
        remedy, command = ("Wait a moment.", "ambientctl logs") if starting else ("Start it.", START)
    elif state.get("UnitFileState") not in {"enabled", "static"}:
        severity, told = Severity.WARNING, f"{told} After the next boot it will not be there."
        remedy, command = "Have it started at boot.", "systemctl enable ambientd"
    elif restarts >= _OFTEN:
        severity, remedy, command = Severity.WARNING, "Find out why in its log.", "ambientctl logs"
    return Finding("systemd.unit", "systemd unit", severity, told, remedy, command)


def port(settings: Settings) -> Finding:
    """Whether somebody else has the daemon's port; only asked while the daemon does not answer."""
    host, number = settings.server.host, settings.server.port
    if not number:
        return Finding("server.port", "Port", reason="The system chooses a free one.")
    try:
        with socket.create_connection((host, number), timeout=2):
            taken = True
    except OSError:
        taken = False
    if taken:
        return Finding(
            "server.port",
            "Port",
            Severity.CRITICAL,
            f"Another program listens on {host} port {number}.",
            "Stop it, or set server.port.",
            f"ss -ltnp 'sport = :{number}'",
        )
    return Finding("server.port", "Port", reason=f"{host} port {number} is free.")
