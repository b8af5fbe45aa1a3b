"""From figures to findings: the thresholds, each in one place, for the daemon and for a look from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ambientd.core.checks import Finding, Severity
from ambientd.core.microphone import Reason, State, Status

SOON_FULL: Final = 4
"""Times the low-water mark: below this much free space somebody should look before sessions are refused."""

BACKUP_OLD: Final = timedelta(days=8)
"""A weekly backup that was missed once."""

CERTIFICATE_SOON: Final = timedelta(days=14)
"""A box renews its own a month ahead; one within two weeks of its end is not being renewed."""

LATE: Final = 5.0
"""Seconds that text is late, 95th percentile of a minute, from which on readers notice."""

LOOP_LATE: Final = 0.5
"""Seconds the event loop stood still, worst of a minute."""


def disk(free: int, low: int) -> Finding:
    """Room on the disk of the database: bytes free, and those below which no session is begun."""
    told = f"{free / 1e9:.1f} GB free; below {low / 1e9:.2f} GB no new session is begun."
    if free >= max(SOON_FULL * low, 1):
        return Finding("store.disk", "Room on the disk", reason=told)
    return Finding(
        "store.disk",
        "Room on the disk",
        Severity.CRITICAL if free < max(low, 1) else Severity.WARNING,
        told,
        "Free space: purge what was delivered long ago, move old logs and backups away.",
        "ambientctl purge --dry-run",
    )


def damaged(names: Sequence[str]) -> Finding:
    """Database files that were set aside, by name."""
    if not names:
        return Finding("store.damaged", "Damaged files", reason="None is set aside.")
    return Finding(
        "store.damaged",
        "Damaged files",
        Severity.WARNING,
        f"The database was damaged and set aside: {', '.join(names)}.",
        "Rescue what is in it (docs/operations.md), then delete it with ambientctl purge --copy NAME.",
        "ambientctl purge --dry-run",
    )


def clock(doubt: str | None) -> Finding:
    """Whether the time of day is believed: ``unset``, ``behind``, ``ahead`` or ``None``."""
    if doubt is None:
        return Finding("clock.trusted", "Clock", reason="Nothing speaks against its time.")
    return Finding(
        "clock.trusted",
        "Clock",
        Severity.WARNING,
        f"The clock is {doubt}: nothing is purged, and dates may be wrong.",
        "Set the clock; if it is right, say so: ambientctl purge --clock-is-right.",
        "timedatectl",
    )


def chain(rows: int, broken_at: int | None, why: str) -> Finding:
    """The audit's chain of hashes: rows that hold, and the first that does not."""
    if broken_at is None:
        return Finding("audit.chain", "Audit chain", reason=f"Unbroken over {rows} rows.")
    return Finding(
        "audit.chain",
        "Audit chain",
        Severity.CRITICAL,
        f"It is broken at row {broken_at}: {why}.",
        "Somebody changed the audit: keep the database file and the journal, and tell who is responsible.",
        "ambientctl audit verify",
    )


def owed(rows: int) -> Finding:
    """Rows of the audit that the disk did not take yet."""
    if not rows:
        return Finding("audit.owed", "Audit written", reason="Every row is on the disk.")
    return Finding(
        "audit.owed",
        "Audit written",
        Severity.WARNING,
        f"{rows} rows wait in memory for the disk.",
        "Free space on the disk that holds the database.",
        "ambientctl logs",
    )


def undelivered(parked: int, waiting: int, oldest: timedelta | None, error: str | None) -> Finding:
    """The outbox: rows parked, rows waiting, the age of the oldest, the last error if the centre is not to be had."""
    told = f"{waiting} waiting, {parked} parked."
    if parked:
        return Finding(
            "sync.outbox",
            "Undelivered",
            Severity.WARNING,
            f"{told} What is parked is sent no more until a person looks at it.",
            "See why, mend it, then send it again: ambientctl sync retry.",
            "ambientctl sync status --state parked",
        )
    if oldest is not None and oldest > timedelta(days=1):
        return Finding(
            "sync.outbox",
            "Undelivered",
            Severity.WARNING,
            f"{told} The oldest has waited for {oldest.days} days" + (f": {error}" if error else "."),
            "See what keeps the central server away.",
            "ambientctl sync status",
        )
    return Finding("sync.outbox", "Undelivered", reason=told)


def backups(last: datetime | None, now: datetime, sessions: int) -> Finding:
    """When the last backup was made, as far as the audit reaches back; ``sessions``: how many there are to lose."""
    if last is not None and now - last <= BACKUP_OLD:
        return Finding("store.backups", "Backups", reason=f"The last was made on {last:%Y-%m-%d}.")
    told = "None is on record." if last is None else f"The last was made on {last:%Y-%m-%d}."
    if not sessions:
        return Finding("store.backups", "Backups", reason=f"{told} There is nothing to lose yet.")
    return Finding(
        "store.backups",
        "Backups",
        Severity.WARNING,
        told,
        "Take one away, and have it done every week (docs/operations.md).",
        "ambientctl backup box.backup",
    )


def certificate(name: str, until: datetime, now: datetime) -> Finding:
    """How long the certificate that browsers see still holds."""
    left = until - now
    told = f"{name} holds until {until:%Y-%m-%d}, {left.days} days."
    if left > CERTIFICATE_SOON:
        return Finding("lan.certificate", "Certificate", reason=told)
    return Finding(
        "lan.certificate",
        "Certificate",
        Severity.CRITICAL if left <= timedelta(0) else Severity.WARNING,
        told if left > timedelta(0) else f"{name} ended on {until:%Y-%m-%d}: browsers refuse the box.",
        "The box renews its own by itself while it runs and its clock is right; put a new one in place of a real one.",
        "ambientctl status",
    )


def lateness(lag: float, utilisation: float, loop: float) -> Finding:
    """How late text is and how busy the lanes are, over the last minute; seconds, share, seconds."""
    told = f"Text is {lag:.1f} s late, the lanes are busy to {100 * utilisation:.0f} %."
    if lag <= LATE and loop <= LOOP_LATE:
        return Finding("engine.load", "Load", reason=told)
    return Finding(
        "engine.load",
        "Load",
        Severity.WARNING,
        f"{told} The event loop stood still for {loop:.2f} s at the worst.",
        "Fewer rooms at once, a smaller model, or a faster machine; ambientctl tune finds the best layout.",
        "ambientctl status",
    )


def meant_silent(state: State, *, wanted: bool) -> bool:
    """Whether a microphone that gives no sound may be meant so: others send their audio to a box that has none.

    wanted: whether somebody records, or would by voice.  One that the settings name or that was heard is meant to work.
    """
    if state.reason is Reason.DISABLED:
        return True
    missing = state.reason in (Reason.NO_DEVICE, Reason.NO_PORTAUDIO)
    return missing and not (wanted or state.named or state.captured)


def voice(why: str) -> Finding:
    """Nobody can be recorded by speaking, though the settings want it."""
    return Finding(
        "capture.voice",
        "Start by voice",
        Severity.WARNING,
        f"No recording begins by itself: {why}. It is tried again every few seconds.",
        "Start recordings by hand until then; the log tells more.",
        "ambientctl logs",
    )


def microphone(state: State, *, wanted: bool) -> Finding:
    """Whether the room's microphone gives sound, or would; ``wanted``: whether somebody records, or would by voice."""
    known = ("capture.microphone", "Microphone")
    device = state.device.name if state.device else "The microphone"
    if state.reason is Reason.DISABLED:
        return Finding(*known, reason="Switched off in the settings.")
    if state.reason is not None:
        bad = Severity.NOTE if meant_silent(state, wanted=wanted) else Severity.WARNING
        reason = f"No sound: {state.reason.replace('_', ' ')}."
        return Finding(*known, bad, reason, state.remedy, "ambientctl mic devices")
    if state.level.silent:
        return Finding(
            *known,
            Severity.WARNING,
            f"{device} gives digital silence.",
            "Switch it on: there is a switch on it, or on its cable.",
            "ambientctl mic test",
        )
    if state.status is Status.LIVE:
        return Finding(*known, reason=f"{device} is open; {state.restarts} restarts since the start.")
    return Finding(*known, reason=f"{device} is ready; nobody listens.")
