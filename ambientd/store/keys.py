"""Where the box's key comes from: systemd's credentials, else a file beside the database made at the first start.

A key stands as a line of base64: 32 bytes.  The file holds two while a rotation is under way, so that power lost at any
moment leaves the one that opens the database among them.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
        credentials = (os.environ if environ is None else environ).get(SYSTEMD)
        supplied = [Path(credentials) / name for name in (CREDENTIAL, NEW_CREDENTIAL)] if credentials else []
        self.supplied = [key for path in supplied for key in read(path)]
        """Keys given as credentials: whoever gives them keeps them."""
        self.filed = read(self.file)
        """Keys in the file."""

    @property
    def all(self) -> dict[str, bytes]:
        """Name -> key, of every key at hand; credentials before the file."""
        return {key_id(key): key for key in (*self.supplied, *self.filed)}

    def first(self) -> bytes:
        """The key for a database that has none yet; made, and on the disk, if there is none at hand.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        if not self.all:
            self.keep([secrets.token_bytes(KEY_BYTES)])
        return next(iter(self.all.values()))

    def keep(self, keys: Sequence[bytes]) -> None:
        """Make the file hold these keys and no others; on the disk when this returns.

        Raises:
            StoreUnavailable: it cannot be written; the file is as it was.
        """
        fresh = self.file.with_name(self.file.name + ".new")
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            try:
                os.write(descriptor, b"".join(base64.b64encode(key) + b"\n" for key in keys))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            old = _for_overwriting(self.file)
            fresh.replace(self.file)
            sync_directory(self.file.parent)
            if old is not None:
                _overwrite(old)
        except OSError as error:
            raise unavailable("write the key", self.file, error) from error
        self.filed = list(keys)


def read(path: Path) -> list[bytes]:
    """The keys in a file; none if there is no such file.

    Raises:
        StoreUnavailable: it cannot be read, or holds something else.
    """
    try:
        lines = path.read_bytes().split()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unavailable("read the key", path, error) from error
    return [_key(line, path) for line in lines]


def _key(line: bytes, path: Path) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreUnavailable(
            f"read the key {path}: a line is not {KEY_BYTES} bytes as base64.",
            hint="Put the right file back, or bring the key back with: ambientctl key restore",
        )
    return key


def _for_overwriting(path: Path) -> int | None:
    """A descriptor of the file as it is now; the file is read-only, for its owner too."""
    try:
        path.chmod(0o600)
        return os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return None


def _overwrite(descriptor: int) -> None:
    """Zeros over a file that has no name any more: what a disk that writes in place still held."""
    try:
        os.write(descriptor, bytes(os.fstat(descriptor).st_size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
