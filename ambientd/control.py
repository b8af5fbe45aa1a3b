"""The Unix socket on which ``ambientctl`` speaks to the daemon: the same application as on the port.

The file system says who may: the daemon's user and group.  So the commands need neither port nor token, and work where
the port is another, or taken.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from ambientd.config.rules import LONGEST_SOCKET
from ambientd.errors import OperatorError

logger = logging.getLogger(__name__)

MODE: Final = 0o660

_PATIENCE: Final = 1.0
"""Seconds for a daemon that may be behind a socket; one that is busy takes the connection all the same."""


@asynccontextmanager
async def open_control(runner: web.BaseRunner, path: Path) -> AsyncIterator[None]:
    """Serve the runner's application on a socket at ``path``, and take that away in the end.

    A path too long for a socket is told in the log, and the daemon goes on without: recording matters more.

    Raises:
        OperatorError: there is something else at that place, a daemon that answers, or no right to make a socket.
    """
    if len(bytes(path)) > LONGEST_SOCKET:
        logger.warning(
            "no control socket: its path is too long; set server.control_socket, or give ambientctl --url",
            extra={"path": path, "limit": LONGEST_SOCKET},
        )
        yield
        return
    door = _bound(path)
    made = _inode(path)
    try:
        await web.SockSite(runner, door).start()
        yield
    finally:
        # Not another's: one that was made in the place of ours after ours had been deleted.
        if _inode(path) == made:
            os.unlink(path)  # noqa: PTH108 - a moment's work, in an async block


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def _bound(path: Path) -> socket.socket:
    """A socket of that name; one that a crashed daemon has left is replaced."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The right before the name: there is no moment at which others could connect.
        os.fchmod(door.fileno(), MODE)
        try:
            door.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            door.bind(str(path))
        path.chmod(MODE)  # whatever the umask took away
        door.setblocking(False)
    except OSError as error:
        door.close()
        raise OperatorError(
            f"cannot make the control socket {path}: {os.strerror(error.errno or 0)}",
            hint="Make its directory writable for the daemon, or set server.control_socket.",
        ) from error
    except OperatorError:
        door.close()
        raise
    return door


def _remove_stale(path: Path) -> None:
    """Take away what a crashed daemon has left.

    Raises:
        OperatorError: it is no socket, or somebody answers on it.
    """
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OperatorError(
            f"cannot make the control socket {path}: there is something else of that name",
            hint="Move it away, or set server.control_socket.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            logger.info("the control socket of a daemon that crashed is replaced", extra={"path": path})
            path.unlink()
            return
        except FileNotFoundError:  # gone meanwhile
            return
        except (TimeoutError, BlockingIOError):
            pass  # somebody is there and very busy
    raise OperatorError(
        f"cannot make the control socket {path}: another daemon answers on it",
        hint="Stop that one (systemctl stop ambientd), or set server.control_socket.",
    )
