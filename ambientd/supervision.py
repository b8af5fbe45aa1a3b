"""What the service manager hears of the daemon while it starts, serves and stops, and when it hears nothing more.

    Rule 1  While something slow goes on at the start it is given more time, again and again, up to what that thing may
            ever take: a migration of a large file must not be killed half-way, and one that hangs must be.
    Rule 2  The watchdog is fed from the event loop, so a wedged loop starves it; and only while each *organ* is alive:
            what works beside the loop, and without which the daemon would take audio and show nothing.
    Rule 3  An organ says itself whether it is alive.  Busy is alive: what counts is whether its work comes back.

Starved, systemd ends the process with SIGABRT and starts it again.  Nothing that was shown is lost by that: what is
shown has been stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

from ambientd.core.checks import Finding, Severity
from ambientd.systemd import ServiceManager

logger = logging.getLogger(__name__)

EVERY: Final = 10.0
"""Seconds between two looks, where no watchdog asks for more."""

SHARE: Final = 4
"""Looks within the watchdog's time.  systemd advises two; one more may be lost to a busy machine."""

STRETCH: Final = 60.0
"""Seconds that are asked for at a time while the daemon starts."""

STOPPING: Final = 5.0
"""Seconds to close everything, beyond those in which sessions end."""


class Supervision:
    """Use :func:`supervised`."""

    def __init__(self, manager: ServiceManager) -> None:
        self.condition: Callable[[], str] = lambda: "ready"
        """What the daemon is doing, once it is ready: a sentence without a word of anybody's."""
        self._manager = manager
        self._every = min(EVERY, manager.watchdog / SHARE) if manager.watchdog else EVERY
        self._phases: dict[str, float] = {}
        self._organs: dict[str, Callable[[], bool]] = {}
        self._dead: tuple[str, ...] = ()
        self._status = ""
        self._serves = False
        self._stops = False

    @property
    def dead(self) -> tuple[str, ...]:
        """Names of the organs that do not work any more."""
        return self._dead

    async def findings(self) -> list[Finding]:
        """For the checks: whether a part hangs."""
        if not self._dead:
            working = ", ".join(["event loop", *self._organs])
            return [Finding("daemon.parts", "Parts of the daemon", reason=f"At work: {working}.")]
        return [
            Finding(
                "daemon.parts",
                "Parts of the daemon",
                Severity.CRITICAL,
                f"Not working any more: {', '.join(self._dead)}.",
                "Restart it, unless systemd does so within a minute; what was shown is stored.",
                "systemctl restart ambientd",
            )
        ]

    @contextmanager
    def phase(self, what: str, *, most: float) -> Iterator[None]:
        """Something slow at the start; ``most``: seconds after which the manager may take it for hanging."""
        self._phases[what] = time.monotonic() + most
        self._look()
        try:
            yield
        finally:
            del self._phases[what]
            if self._phases:
                self._say("starting: " + ", ".join(self._phases))

    @contextmanager
    def watching(self, organ: str, alive: Callable[[], bool]) -> Iterator[None]:
        """The watchdog is fed only while ``alive()``; asked every few seconds, in the event loop, it must not wait."""
        self._organs[organ] = alive
        try:
            yield
        finally:
            del self._organs[organ]

    def ready(self) -> None:
        """It can transcribe."""
        self._serves = True
        self._manager.tell("READY=1")
        self._look()

    def stopping(self, within: float, what: str) -> None:
        """It ends; ``within``: seconds in which sessions may end, whatever the unit file allows."""
        self._stops = True
        self._manager.tell("STOPPING=1", _extended(within + STOPPING))
        self._say(f"stopping: {what}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Settings are read again."""
        self._manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._say("reading the settings again")
        try:
            yield
        finally:
            self._manager.tell("READY=1")
            self._look()

    async def watch(self) -> None:
        """Looks again and again, for ever."""
        while True:
            self._look()
            await asyncio.sleep(self._every)

    def _look(self) -> None:
        if not self._serves:
            if self._phases:
                self._say("starting: " + ", ".join(self._phases))
            if any(time.monotonic() < end for end in self._phases.values()):
                self._manager.tell(_extended(STRETCH))
            return
        dead = tuple(name for name, alive in self._organs.items() if not alive())
        if dead != self._dead:
            if dead:
                logger.critical(
                    "does not work any more: the watchdog will restart the service", extra={"parts": dead}
                )
            else:
                logger.warning("works again")
            self._dead = dead
        if not dead:
            self._manager.tell("WATCHDOG=1")
        if not self._stops:
            self._say(f"not working: {', '.join(dead)}" if dead else self.condition())

    def _say(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._manager.tell(f"STATUS={status}")


def _extended(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"


@asynccontextmanager
async def supervised(manager: ServiceManager) -> AsyncIterator[Supervision]:
    """The manager is kept informed until the block is left: the first thing to be opened, the last to be closed."""
    supervision = Supervision(manager)
    task = asyncio.create_task(supervision.watch(), name="supervision")
    try:
        yield supervision
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
