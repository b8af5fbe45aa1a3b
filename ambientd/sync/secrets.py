"""Passwords and keys: from systemd's credentials or a private file, never from the settings."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ambientd.errors import OperatorError

LONGEST: Final = 4_096
"""Bytes of a secret: more is surely the wrong file."""


def read(name: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret of that name, without the line break at its end.

    name: of a credential in ``$CREDENTIALS_DIRECTORY``, or the absolute path of a file that only its owner may read.

    Raises:
        OperatorError: it is not there, or others may read it.
    """
    given = os.environ if environ is None else environ
    if name.startswith("/"):
        return _content(Path(name), private=True)
    folder = given.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise OperatorError(
            f"there is no credential {name}: $CREDENTIALS_DIRECTORY is not set.",
            hint="Set it with LoadCredential= in the unit, or name an absolute path in sync.secret.",
        )
    # systemd gives the file to the service alone; its mode shows an access list as group bits.
    return _content(Path(folder) / name, private=False)


def _content(path: Path, *, private: bool) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(LONGEST + 1)
    except OSError as error:
        raise OperatorError(
            f"the secret {path} cannot be read: {os.strerror(error.errno or 0)}.",
            hint="Make it readable for the service (chmod 600, owner ambientd).",
        ) from error
    if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OperatorError(f"the secret {path} can be read by others.", hint=f"Run: chmod 600 {path}")
    try:
        text = raw.decode().strip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > LONGEST:
        raise OperatorError(f"the secret {path} is empty, too long or not text.", hint="Write it again.")
    return text
