"""Where the box's key comes from: systemd's credentials, else a file beside the database made at the first start.

A key stands as a line of base64: 32 bytes.  While a rotation is under way the file also holds the successor, marked as
such, so that power lost at any moment leaves the one that opens the database among them.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ambientd.errors import StoreUnavailable
from ambientd.store.faults import unavailable
from ambientd.store.soundness import sync_directory
from ambientd.store.vault import KEY_BYTES, key_id

FILE: Final = "box.key"

CREDENTIAL: Final = "ambientd-box-key"
NEW_CREDENTIAL: Final = "ambientd-box-key-new"
"""The second is supplied while the key is rotated, and by it alone."""

WITH_CREDENTIAL: Final = (
    f"systemd-run --pipe --wait -p LoadCredentialEncrypted={CREDENTIAL} ambientctl …, paths from the root"
)
"""How a command gets a key that only the service has: a shell has no credentials."""

IN_CLEAR: Final = (
    "If the box's key is not at hand it will be written to {}, in clear, as the recovery key gives it back.\n"
    "To have it off the disk again: supply a new one as a credential, then ambientctl key rotate.  Ctrl-C ends this."
)
"""To be said before a key comes back; the place is its file's."""

_MARK: Final = b" next"

_carried: Final[dict[Path, list[bytes]]] = {}
"""Credentials by their file, which never changes while a process runs.  Source: systemd.exec(5), Credentials."""

SYSTEMD: Final = "CREDENTIALS_DIRECTORY"
"""Environment variable.  Source: systemd.exec(5), Credentials."""


class Keys:
    """The box keys at hand, each by its name."""

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None) -> None:
        """``directory``: the database's.  ``environ``: by default this process's.

        Raises:
            StoreUnavailable: a key is there but cannot be read.
        """
        self.file = directory / FILE
        supplied = _credentials(os.environ if environ is None else environ)
        self.supplied = [
            key for path in supplied for key in (_carried[path] if path in _carried else _read(path)[0])
        ]
        """Keys given as credentials: whoever gives them keeps them."""
        self.filed, self.successor = _read(self.file)
        """Keys in the file, and the one that a rotation has made and perhaps not yet put in force."""

    @property
    def all(self) -> dict[str, bytes]:
        """Name -> key, of every key at hand; credentials before the file."""
        filed = [*self.filed, self.successor] if self.successor else self.filed
        return {key_id(key): key for key in (*self.supplied, *filed)}

    def first(self) -> bytes:
        """The key for a database that has none yet; made, and on the disk, if there is none at hand.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        if not self.all:
            self.keep([secrets.token_bytes(KEY_BYTES)])
        return next(iter(self.all.values()))

    def keep(self, keys: Sequence[bytes], successor: bytes | None = None) -> None:
        """Make the file hold these keys and no others, or be gone; on the disk when this returns.

        Raises:
            StoreUnavailable: it cannot be written; the file is as it was.
        """
        lines = [base64.b64encode(key) for key in keys]
        if successor:
            lines.append(base64.b64encode(successor) + _MARK)
        try:
            with _overwritten(self.file):
                if lines:
                    _write(self.file, b"".join(line + b"\n" for line in lines))
                else:
                    self.file.unlink(missing_ok=True)
                sync_directory(self.file.parent)
        except OSError as error:
            raise unavailable("write the key", self.file, error) from error
        self.filed, self.successor = list(keys), successor


def carry_credentials() -> None:
    """Read the credentials now, for use after the right to read them has been given up.

    Raises:
        StoreUnavailable: one is there but cannot be read.
    """
    for path in _credentials(os.environ):
        _carried[path] = _read(path)[0]


def _credentials(environ: Mapping[str, str]) -> list[Path]:
    directory = environ.get(SYSTEMD)
    return [Path(directory) / name for name in (CREDENTIAL, NEW_CREDENTIAL)] if directory else []


def _read(path: Path) -> tuple[list[bytes], bytes | None]:
    """The keys in a file, and the successor if there is one; none if there is no such file.

    Raises:
        StoreUnavailable: it cannot be read, or holds something else.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return [], None
    except OSError as error:
        raise unavailable("read the key", path, error) from error
    keys = [_key(line, path) for line in lines if not line.endswith(_MARK)]
    successors = [_key(line.removesuffix(_MARK), path) for line in lines if line.endswith(_MARK)]
    return keys, successors[0] if successors else None


def _key(line: bytes, path: Path) -> bytes:
    try:
        key = base64.b64decode(line.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreUnavailable(
            f"read the key {path}: a line is not {KEY_BYTES} bytes as base64.",
            hint="Put the right file back, or bring the key back with: ambientctl key restore",
        )
    return key


def _write(path: Path, content: bytes) -> None:
    """Put a file of that content in the place of the one that may be there."""
    fresh = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)


@contextmanager
def _overwritten(path: Path) -> Iterator[None]:
    """If the block takes the file away, or puts another in its place, zeros go over what it held.

    That is worth something on a disk that writes in place; on flash nothing but the chip's own erasing is.
    """
    try:
        path.chmod(0o600)  # read-only for its owner too
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        yield
        return
    try:
        yield
        os.write(descriptor, bytes(os.fstat(descriptor).st_size))
        os.fsync(descriptor)
    except OSError:
        os.fchmod(descriptor, 0o400)
        raise
    finally:
        os.close(descriptor)
