"""Plays the part of systemd for one service: notification socket, watchdog with SIGABRT, restart.

As the unit says: ``Type=notify``, ``WatchdogSec=``, ``WatchdogSignal=SIGABRT``, ``Restart=on-failure``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Service:
    """One daemon, watched over; ``port`` stays the same over its restarts."""

    program: Path
    folder: Path
    watchdog: float = 1.5
    """Seconds, as ``WatchdogSec=``."""
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    pid: int = 0
    told: list[str] = field(default_factory=list)
    """All that the daemon has said, in order, over all its lives."""
    exits: list[int] = field(default_factory=list)
    """Exit status of each life that has ended: below 0 the signal."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _fed: float = 0.0
    _stopping: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def status(self) -> str:
        """The newest ``STATUS=``."""
        return next((told[7:] for told in reversed(self.told) if told.startswith("STATUS=")), "")

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AMBIENTD_")}
        return kept | {
            "AMBIENTD_SERVER__PORT": str(self.port),
            "AMBIENTD_LAN__ENABLED": "false",
            "AMBIENTD_STORE__DIRECTORY": str(self.folder),
            "AMBIENTD_MODELS__DIRECTORY": str(self.folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": str(round(self.watchdog * 1e6)),
            **self.settings,
        }

    async def lives(self) -> None:
        """Starts it again and again until told to stop."""
        while not self._stopping:
            with (self.folder / "log").open("a") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    self.program,
                    env=self.environment(),
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                )
            self.pid = process.pid
            watch = asyncio.create_task(self._watch(process))
            self.exits.append(await process.wait())
            self.ready.clear()
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await self.ready.wait()
        while time.monotonic() - self._fed < self.watchdog:
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGABRT)

    def hear(self, door: socket.socket) -> None:
        """The daemon has said something."""
        for fact in door.recv(4096).decode().splitlines():
            self.told.append(fact)
            if fact in {"READY=1", "WATCHDOG=1"}:
                self._fed = time.monotonic()
            if fact == "READY=1":
                self.ready.set()

    async def stop(self) -> None:
        """As ``systemctl stop``."""
        self._stopping = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    async def restarted(self, count: int, *, within: float = 30) -> None:
        """Returns when so many lives have ended and the next is ready."""
        async with asyncio.timeout(within):
            while len(self.exits) < count:
                await asyncio.sleep(0.02)
            await self.ready.wait()


@asynccontextmanager
async def supervised_service(service: Service) -> AsyncIterator[Service]:
    """The service, ready; stopped on leaving."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        service.port = free.getsockname()[1]
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(service.folder / "notify"))
        door.setblocking(False)
        loop.add_reader(door, service.hear, door)
        lives = asyncio.create_task(service.lives())
        try:
            async with asyncio.timeout(60):
                ready = asyncio.create_task(service.ready.wait())
                await asyncio.wait({ready, lives}, return_when=asyncio.FIRST_COMPLETED)
            yield service
        finally:
            await service.stop()
            done, _ = await asyncio.wait({lives}, timeout=10)
            if not done:  # TimeoutStopSec=
                os.kill(service.pid, signal.SIGKILL)
                await lives
            loop.remove_reader(door)
