"""The box at its start and at rest: from ``exec`` to READY, and what a daemon costs to which nobody speaks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil
from running import MODELS, ROOT

from bench.report import Section

STARTS: Final = 5
"""After one that fills the disk's cache and writes Python's."""

SETTLING: Final = 15.0
"""Seconds after READY in which what a start leaves over is done: the purge, the first look for microphones."""

RESTING: Final = 60.0
"""Seconds."""

WATCHDOG: Final = 30.0


@dataclass
class Started:
    process: psutil.Process
    seconds: float
    """From before the process was made to READY."""
    processor: float
    """Seconds of it that it took until then."""


@contextmanager
def started(folder: Path) -> Iterator[Started]:
    """The daemon as systemd starts it, told that it is ready; stopped in the end."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    environment = os.environ | {
        "NOTIFY_SOCKET": str(address),
        "WATCHDOG_USEC": str(round(WATCHDOG * 1e6)),
        "AMBIENTD_SERVER__PORT": "0",
        "AMBIENTD_LAN__PORT": "0",
        "AMBIENTD_STORE__DIRECTORY": str(folder),
        "AMBIENTD_MODELS__DIRECTORY": str(MODELS),
        # Compiled, as a package is.
        "PYTHONPYCACHEPREFIX": str(ROOT / "build" / "bench" / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, (folder / "log").open("a") as log:
        door.bind(str(address))
        door.settimeout(60)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "ambientd"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            while b"READY=1" not in door.recv(4096):
                pass
            seconds = time.perf_counter() - began
            seen = psutil.Process(process.pid)
            yield Started(seen, seconds, _processor(seen))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def measure() -> list[Section]:
    """The table of all of it."""
    under = ROOT / "build"
    with tempfile.TemporaryDirectory(prefix="bench-appliance-", dir=under) as name:
        folder = Path(name)
        with started(folder):
            pass
        starts = []
        for _ in range(STARTS):
            with started(folder) as one:
                starts.append(one)
        with started(folder) as resting:
            time.sleep(SETTLING)
            before, wakes = _processor(resting.process), _wakes(resting.process)
            began = time.perf_counter()
            time.sleep(RESTING)
            took = time.perf_counter() - began
            share = (_processor(resting.process) - before) / took
            rate = (_wakes(resting.process) - wakes) / took
            memory = resting.process.memory_info().rss
            threads = resting.process.num_threads()
    seconds = [one.seconds for one in starts]
    rows = [
        [
            "start to READY, disk cache warm, median (worst)",
            f"{median(seconds):.2f} ({max(seconds):.2f})",
            "s",
        ],
        ["processor time of it", f"{median(one.processor for one in starts):.2f}", "s"],
        ["processor at rest", f"{100 * share:.2f}", "% of a core"],
        ["wake-ups at rest", f"{rate:.1f}", "a second"],
        ["memory at rest, resident", f"{memory / 2**20:.0f}", "MB"],
        ["threads at rest", f"{threads}", ""],
    ]
    note = (
        f"base q8_0; {STARTS} starts; {RESTING:g} s at rest with a watchdog of {WATCHDOG:g} s, no microphone."
    )
    return [Section("appliance", "The box at its start and at rest", ["what", "figure", "unit"], rows, note)]


def _processor(process: psutil.Process) -> float:
    """Seconds it has taken, its children's left out: the microphone's comes and goes."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _wakes(process: psutil.Process) -> int:
    """How often its threads have waited for something and gone on."""
    tasks = Path(f"/proc/{process.pid}/task")
    return sum(_switches(task / "status") for task in tasks.iterdir())


def _switches(status: Path) -> int:
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(fields["voluntary_ctxt_switches"])
