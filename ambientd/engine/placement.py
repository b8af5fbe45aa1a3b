"""Files put into the model directory whole or not at all, by one process at a time.

A model file is written under another name, forced to the disk and renamed: after a crash or a loss of power
either the old file is there or the new one.  What a killed process left behind is swept by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ambientd.errors import ModelError

_SCRATCH: Final = ".partial-"
_BLOCK: Final = 1 << 20


@contextmanager
def workspace(directory: Path) -> Iterator[Path]:
    """The model directory, locked against other processes: gives a scratch directory inside it.

    The scratch directory is on the same file system, so that a rename out of it is atomic, and is gone at
    the end whatever happens.

    Raises:
        ModelError: the directory cannot be made or written, or another process is changing it.
    """
    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        # The lock is on the directory itself: no lock file to own, to leave behind or to sweep.
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise ModelError(
                f"another process is changing the models in {directory}.", hint="Try again when it has ended."
            ) from fault
        with _explained(directory):
            for leftover in directory.glob(f"{_SCRATCH}*"):
                shutil.rmtree(leftover)  # ours to sweep: whoever made it would hold the lock
            scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=directory))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os.close(lock)


@contextmanager
def room(directory: Path, needed: int) -> Iterator[None]:
    """A stretch of work that writes ``needed`` bytes in all: refused at once where they are not free.

    Raises:
        ModelError: the disk is, or becomes, too full, or cannot be written.
    """
    if shutil.disk_usage(directory).free < needed:
        raise _full(directory, needed)
    with _explained(directory, needed):
        yield


@contextmanager
def _explained(directory: Path, needed: int = 0) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(directory, needed) from fault
        raise ModelError(
            f"the model directory {directory} cannot be used: {fault.strerror or fault}.",
            hint="Give a directory this user may write, or run the command as the user who owns it.",
        ) from fault


def _full(directory: Path, needed: int) -> ModelError:
    free = shutil.disk_usage(directory).free
    return ModelError(
        f"the disk of {directory} is too full: {needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free "
        f"({needed} and {free} bytes).",
        hint="Make room there, or give a directory on a larger disk.",
    )


class Hashing:
    """A file being written, and the SHA-256 and length of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._sum.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of all that was written, in lower case hexadecimal."""
        return self._sum.hexdigest()


class Reader(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


def pour(source: Reader, target: Hashing, written: Callable[[int], None]) -> None:
    """Copy ``source`` to its end; ``written`` is told how many bytes ``target`` holds by now."""
    while data := source.read(_BLOCK):
        target.write(data)
        written(target.size)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in lower case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(finished: Path, target: Path) -> None:
    """Move a finished scratch file to its name, durably; whatever had that name is replaced."""
    with finished.open("rb") as file:
        # Weights are no secret, and the daemon runs as another user than the one who installs them.
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    finished.replace(target)
    settle(target.parent)


def settle(directory: Path) -> None:
    """Make renames and removals in a directory survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
