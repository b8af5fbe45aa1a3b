"""The centre, running: its socket, which can be away for a while, and all that stands behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from central.application import Services, application
from central.certificates import Tls
from central.faults import CERTIFICATES, Fault, Faults
from central.records import Records
from central.tokens import LIFETIME, Tokens
from central.worker import Worker

USERS = {"box@clinic.example": "correct horse"}


@dataclass
class Centre:
    """Made by :func:`running`."""

    records: Records
    worker: Worker
    tokens: Tokens
    faults: Faults
    tls: Tls | None
    host: str
    port: int
    _runner: web.AppRunner
    _site: web.TCPSite | None = None
    _keeper: socket.socket | None = None
    _returning: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    async def listen(self) -> None:
        """Be there, with a good certificate."""
        if self.tls:
            self.tls.show(None)
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._site is None:
            self._site = web.TCPSite(
                self._runner,
                self.host,
                self.port,
                ssl_context=self.tls.context if self.tls else None,
                reuse_address=True,
            )
            await self._site.start()
            self.port = self._runner.addresses[0][1]

    async def leave(self) -> None:
        """Be away: connections are refused and those there are torn, until :meth:`listen`."""
        for task in self._returning:
            task.cancel()
        self._returning.clear()
        await self._leave()

    async def _leave(self) -> None:
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
            # Bound and not listening, so that nobody else gets the port meanwhile.
            self._keeper = socket.socket()
            self._keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._keeper.bind((self.host, self.port))
        self._tear()

    def _tear(self) -> None:
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def _away(self, fault: Fault, seconds: float) -> None:
        if fault in CERTIFICATES and self.tls:
            self.tls.show(fault)
            self._tear()
        else:
            await self._leave()

        async def back() -> None:
            await asyncio.sleep(seconds)
            self._returning.discard(returning)
            # Several may be away at once: the last to return brings it back.
            if not self._returning:
                await self.listen()

        returning = asyncio.create_task(back())
        self._returning.add(returning)

    async def close(self) -> None:
        self.faults.release()
        for task in list(self._returning):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._runner.cleanup()
        if self._keeper is not None:
            self._keeper.close()


@asynccontextmanager
async def running(
    file: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    delay: float = 0.0,
    tls: Tls | None = None,
    users: dict[str, str] = USERS,
    lifetime: float = LIFETIME,
) -> AsyncIterator[Centre]:
    """A centre for the length of the block.

    ``delay``: seconds each step of the background worker waits.  ``lifetime``: seconds a token is good for.
    """
    records = await Records.open(file)
    worker, tokens, faults = Worker(records, delay), Tokens(users, lifetime=lifetime), Faults()
    runner = web.AppRunner(
        application(Services(records, worker, tokens, faults)), access_log=None, shutdown_timeout=0.5
    )
    await runner.setup()
    centre = Centre(records, worker, tokens, faults, tls, host, port, runner)
    faults.away_now = centre._away
    faults.forget_tokens = tokens.expire_all
    working = asyncio.create_task(worker.run())
    try:
        await centre.listen()
        yield centre
    finally:
        await centre.close()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await records.close()
