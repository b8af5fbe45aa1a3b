"""The service manager and its journal: what they are told, and the sockets that are handed over.

The only door to systemd-python.  No wheel of that exists, so a checkout may be without: sockets are then taken by a
few lines of our own, and the log goes to standard error as it does everywhere.  Notifications are always sent from
here: the library's call waits while the manager does not read, in our event loop, and every room would wait with it.
Without systemd nobody is told anything and no sockets come.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

try:
    # In a checkout "systemd" alone would be found all the same: the folder of unit files.
    from systemd import daemon as _daemon
    from systemd import journal as _journal
except ImportError:
    _daemon = _journal = None

logger = logging.getLogger(__name__)

FIRST_SOCKET: Final = 3
"""The first descriptor that is handed over.  Source: SD_LISTEN_FDS_START, sd_listen_fds(3)."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

_MOMENTARY: Final = ("WATCHDOG=", "EXTEND_TIMEOUT_USEC=", "MONOTONIC_USEC=", "RELOADING=")
"""What is not true any more when it is told late."""

HTTP: Final = "ambientd-http"
LAN: Final = "ambientd-lan"
"""``FileDescriptorName=`` of the sockets this daemon knows."""


class ServiceManager:
    """Whoever started this process and wants to know how it gets on; deaf where that is not systemd."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """``environ``: by default this process's."""
        environ = os.environ if environ is None else environ
        # "@" stands for the NUL of the abstract name space.  Source: sd_notify(3).
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._failing = False
        self._owed: tuple[str, ...] = ()
        self.watchdog = _watchdog(environ)
        """Seconds within which it wants to hear of us again and again; ``None`` if it does not watch."""

    @property
    def listens(self) -> bool:
        """Whether anybody is told."""
        return bool(self._address)

    def tell(self, *facts: str) -> None:
        """Sends assignments such as ``READY=1``, and never waits.

        A manager that cannot be reached, or does not read, is no reason to keep a consultation waiting: the log tells
        of it once, and what still holds then is sent with the next facts.
        """
        if not self._address:
            return
        facts = (*self._owed, *facts)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
                door.setblocking(False)
                door.sendto("\n".join(facts).encode(), self._address)
        except OSError as error:
            if not self._failing:
                logger.warning("the service manager cannot be told", extra={"error": error})
            self._failing = True
            latest = {fact.partition("=")[0]: fact for fact in facts if not fact.startswith(_MOMENTARY)}
            self._owed = tuple(latest.values())
        else:
            self._failing = False
            self._owed = ()


def _watchdog(environ: Mapping[str, str]) -> float | None:
    # A child inherits the variable, hence the process number beside it.  Source: sd_watchdog_enabled(3).
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or meant != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 or None


def sockets() -> dict[str, list[socket.socket]]:
    """The listening sockets handed over, by their ``FileDescriptorName=``; a second call finds none.

    They are the caller's to close.
    """
    if _daemon is not None:
        named = _daemon.listen_fds_with_names()
        for variable in _VARIABLES:  # the library unsets them behind Python's back
            os.environ.pop(variable, None)
    else:
        named = _handed_over(os.environ)
    found: dict[str, list[socket.socket]] = {}
    for number, name in named.items():
        found.setdefault(name, []).append(socket.socket(fileno=number))
    return found


def _handed_over(environ: Any) -> dict[int, str]:
    """Descriptor -> name, from the variables, which are taken away.  Source: sd_listen_fds(3)."""
    meant, count, names = (environ.pop(variable, "") for variable in _VARIABLES)
    if meant != str(os.getpid()) or not count.isdecimal():
        return {}
    numbers = range(FIRST_SOCKET, FIRST_SOCKET + int(count))
    for number in numbers:
        os.set_inheritable(number, False)
    known = names.split(":") if names else []
    return {number: known[at] if at < len(known) else "unknown" for at, number in enumerate(numbers)}


def journal() -> Callable[[Iterable[tuple[str, str]]], None] | None:
    """What takes an entry as fields and their values, or ``None`` where there is no systemd-python.

    A name is of ``A-Z 0-9 _`` and begins with a letter, or the journal drops the field.
    """
    if _journal is None:
        return None

    def send(fields: Iterable[tuple[str, str]]) -> None:
        # Not journal.send(), which adds fields of its own choice.
        _journal.sendv(*(f"{name}={value}" for name, value in fields))

    return send
