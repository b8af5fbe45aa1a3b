"""The machine under the daemon: its clock, its sound cards, what a crash would leave on the disk."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ambientd.config import Settings
from ambientd.core.checks import Finding, Severity

CARDS: Final = Path("/proc/asound/cards")
PCM: Final = Path("/proc/asound/pcm")
DUMPS: Final = Path("/var/lib/systemd/coredump")

_TIME_ERROR: Final = 5
"""The clock is not synchronised.  Source: adjtimex(2), the return value ``TIME_ERROR``."""


def quick(settings: Settings) -> list[Finding]:
    """All of them."""
    return [synchronised(), recorders(), core_dumps(settings)]


class _Times(ctypes.Structure):
    """``struct ntptimeval``.  Source: sys/timex.h of glibc."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("most_error", ctypes.c_long),
        ("likely_error", ctypes.c_long),
        ("tai", ctypes.c_long),
        ("reserved", ctypes.c_long * 4),
    )


def synchronised() -> Finding:
    """Whether a time server disciplines the clock; without one it never is, and need not be."""
    # Asked of the kernel, which any time service tells: timedatectl knows one of them and needs a bus.
    state = ctypes.CDLL(None).ntp_gettime(ctypes.byref(_Times()))
    if state == _TIME_ERROR:
        return Finding(
            "clock.synchronised",
            "Time server",
            Severity.NOTE,
            "No time server disciplines the clock: it drifts by seconds a week.",
            "Name one in /etc/systemd/timesyncd.conf if the network has one; else look at the clock now and then.",
            "timedatectl",
        )
    if state < 0:  # the service's sandbox keeps the clock from it
        return Finding("clock.synchronised", "Time server", reason="Not asked from here.")
    return Finding("clock.synchronised", "Time server", reason="The clock is synchronised.")


def recorders() -> Finding:
    """The devices of the kernel that can record."""
    names = cards()
    recording = _recording()
    if recording:
        return Finding(
            "capture.devices", "Sound cards", reason=f"{len(recording)} can record: {'; '.join(recording)}."
        )
    return Finding(
        "capture.devices",
        "Sound cards",
        Severity.NOTE,
        f"None of the {len(names)} can record." if names else "The kernel knows no sound card.",
        "Plug the microphone in; if it is, look at the kernel's log.",
        "journalctl -k --grep=usb",
    )


def cards() -> list[str]:
    """The sound cards as ALSA names them."""
    try:
        lines = CARDS.read_text().splitlines()
    except OSError:
        return []
    return [line.partition("]:")[2].strip() for line in lines if "]:" in line]


def _recording() -> list[str]:
    try:
        lines = PCM.read_text().splitlines()
    except OSError:
        return []
    # A line is "01-00: USB Audio : USB Audio : capture 1".
    return [line.split(":")[1].strip() for line in lines if "capture" in line]


def core_dumps(settings: Settings) -> Finding:
    """Memory of a crashed daemon on the disk: it holds words and audio, in clear."""
    left = [path.name for path in _dumps(settings.store.directory)]
    if left:
        return Finding(
            "machine.core_dumps",
            "Core dumps",
            Severity.WARNING,
            f"A crash left its memory on the disk, conversations in it: {', '.join(left[:3])}.",
            "Delete it once nobody needs it to find the fault; it must not leave the building.",
            f"ls -l {DUMPS} {settings.store.directory}/core*",
        )
    return Finding(
        "machine.core_dumps", "Core dumps", reason="No memory of a crashed daemon lies on the disk."
    )


def _dumps(directory: Path) -> Iterator[Path]:
    for folder, pattern in ((DUMPS, "core.ambientd*"), (directory, "core*")):
        try:
            yield from (path for path in folder.glob(pattern) if path.is_file())
        except OSError:  # closed to this user
            continue
