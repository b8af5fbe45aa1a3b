"""A disk of 64 MB that a test may fill to the last byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

MEGABYTE = 1 << 20


def mount(folder: Path, image: Path) -> str:
    """Mounts 64 MB at ``folder``; says why not."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root can mount a small disk"
    with image.open("wb") as file:
        file.truncate(64 * MEGABYTE)
    for command in (
        # No reserve for root: the tests run as root.
        f"mkfs.ext4 -q -m 0 {image} && mount -o loop {image} {folder}",
        f"mount -t tmpfs -o size=64m tmpfs {folder}",
    ):
        if subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0:
            return ""
    return "this machine lets nobody mount"


def fill(folder: Path, leave: int = 0) -> Path:
    """Writes until so many bytes are left, or none."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        while True:
            free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
            if free <= leave:
                return filler
            try:
                file.write(bytes(min(MEGABYTE, free - leave)))
            except OSError:
                return filler


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True)
