"""The machine this process runs on: what it is, and what memory there is."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from ambientd.engine.whisper import kernels


@dataclass(frozen=True, slots=True)
class Machine:
    """What a result holds for: on another machine it says nothing."""

    processor: str
    cores: int
    kernels: tuple[str, ...]


def this_machine() -> Machine:
    """The machine this process runs on, as far as it may use it."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    return Machine(processor, len(os.sched_getaffinity(0)), kernels())


def free_memory() -> int:
    """Bytes that could be taken without hurting others, by the system's and the control group's account."""
    known = []
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        known.append(int(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()).isdigit():
        known.append(int(most) - int(used.read_text()))
    return max(0, min(known, default=1 << 62))


def resident() -> int:
    """Bytes of memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
