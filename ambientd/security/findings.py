"""What can be wrong with the door to the network, in words for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from ambientd.core.checks import Finding, Severity
from ambientd.core.network import Standing
from ambientd.security.authority import BORN
from ambientd.security.pairs import SOON

_SHOW = "ambientctl certificate show"
_RENEW = "ambientctl certificate renew"


def door(port: int | None, wanted: int) -> Finding:
    """Whether tablets can come in at all.  ``port``: where it is open, if it is."""
    if port is not None:
        return Finding("lan.door", "Door to the network", reason=f"Open on port {port}.")
    return Finding(
        "lan.door",
        "Door to the network",
        Severity.CRITICAL,
        f"No tablet can reach the box: port {wanted} is taken or not allowed.",
        "Stop what uses the port, or set lan.port.",
        f"ss -ltnp sport = :{wanted}",
    )


def held(port: int) -> Finding:
    """A door that the settings have shut and systemd holds open."""
    return Finding(
        "lan.door",
        "Door to the network",
        Severity.WARNING,
        f"lan.enabled is false, and systemd still holds port {port} open: tablets wait there in vain.",
        "Close the socket, or set lan.enabled.",
        "systemctl disable --now ambientd-lan.socket",
    )


def banned(count: int) -> Finding:
    """Whether anybody is shut out."""
    if not count:
        return Finding("lan.banned", "Addresses shut out", reason="None.")
    return Finding(
        "lan.banned",
        "Addresses shut out",
        Severity.WARNING,
        f"{count} shut out for going on beyond their limits.",
        "See who and why, and let in whom you know.",
        "ambientctl limits list",
    )


def certificate(standing: Standing | None, fault: str | None, now: datetime) -> Finding:
    """Whether tablets believe the box, now and in the near future."""
    found = partial(Finding, "lan.certificate", "Certificate")
    if standing is None or fault is not None:
        return found(Severity.CRITICAL, fault or "There is none.", "The log tells more.", _SHOW)
    used = standing.certificate
    if now < BORN:
        severity, reason = (
            Severity.WARNING,
            f"The clock shows {now:%Y-%m-%d}: tablets may refuse the certificate.",
        )
        remedy, command = "Set the clock; the certificate is then made anew by itself.", "timedatectl"
    elif not used.begins <= now < used.ends:
        severity = Severity.CRITICAL
        reason = f"It is valid from {used.begins:%Y-%m-%d} to {used.ends:%Y-%m-%d}, and it is {now:%Y-%m-%d}."
        remedy, command = "Set the clock if it is wrong, else renew.", _RENEW
    elif standing.faults:
        severity, reason = Severity.WARNING, f"{standing.faults[0]} The box's own is used."
        remedy, command = "Put a certificate that works in its place.", _SHOW
    elif standing.source != "own" and used.ends - now < SOON:
        severity, reason = Severity.WARNING, f"It ends in {(used.ends - now) // timedelta(days=1)} days."
        remedy, command = "Have it renewed.", _SHOW
    elif standing.left_out:
        severity = Severity.WARNING
        reason = (
            f"It does not cover {', '.join(standing.left_out)}: the box's authority may not sign for that."
        )
        remedy = "Make a new authority, which every tablet must then install."
        command = f"{_RENEW} --authority"
    else:
        return found(reason=f"Good until {used.ends:%Y-%m-%d}.")
    return found(severity, reason, remedy, command)
