"""One connection from the network: aiohttp's, with time-outs and a count of what it makes the box keep.

aiohttp waits for ever for a request's head and body, which suits a server behind a proxy.  This box has none.

    Rule 1  A head has so many seconds: from its first byte, or for the first one from the connection.
    Rule 2  A body must not come slower than so many bytes a second; nobody is blamed while it is the box that does
            not read.  What is sent must be read within a time, too.
    Rule 3  What was received and not yet taken up is counted over all connections.  When that is too much, the
            connection that holds the most is cut: it has caused it, whoever else happens to send has not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import WSMessage, web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

logger = logging.getLogger(__name__)

TICK: Final = 1.0
"""Seconds between two looks at all connections."""

BODY_SPAN: Final = 10.0
"""Seconds over which the pace of a body is measured."""

READ_PATIENCE: Final = 60.0
"""Seconds a peer may leave an answer unread; a WebSocket's messages have half of that."""

KEEPALIVE: Final = 75.0
"""Seconds a connection may stay without a request."""

LINGERING: Final = 2.0
"""Seconds for the rest of a body that nobody wanted."""

MOST_BODY: Final = 1 << 20
"""Bytes of a body that are kept at once: what is longer is read as a stream."""

LONGEST_LINE: Final = 4_096
MOST_FIELDS: Final = 64
"""Bytes of a request line or header field, and header fields, of one request."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What a connection may take."""

    head: float
    """Seconds."""
    body_rate: int
    """Bytes a second."""
    memory: int
    """Bytes received and not taken up, over all connections."""


class Wires:
    """All connections from the network.  Use :func:`open_wires`."""

    def __init__(self, patience: Patience, log: type[AbstractAccessLogger]) -> None:
        self.patience = patience
        self.log = log
        self.cut: Counter[str] = Counter()
        """Connections that were cut, by the reason."""
        self._all: set[Wire] = set()
        self._kept = 0

    @property
    def kept(self) -> int:
        """Bytes received and not taken up."""
        return self._kept

    def line(self, server: web.Server, over: asyncio.Future[None]) -> Wire:
        """The protocol of a new connection, which is one of ``server``'s."""
        return Wire(self, server, over)

    def add(self, wire: Wire) -> None:
        """A connection was made."""
        self._all.add(wire)

    def drop(self, wire: Wire) -> None:
        """A connection is lost."""
        self._all.discard(wire)

    def keep(self, more: int) -> None:
        """So many bytes more, or less, are kept."""
        self._kept += more
        while self._kept > self.patience.memory and self._all:
            greediest = max(self._all, key=lambda wire: wire.kept)
            if not greediest.kept:
                return
            greediest.cut("memory")

    async def watch(self) -> None:
        """Look at all connections again and again, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            for wire in list(self._all):
                if (reason := wire.lateness(now)) is not None:
                    wire.cut(reason)


class Wire(RequestHandler):
    """One connection."""

    __slots__ = ("_began", "_over", "_request", "_span", "_stuck", "_wires", "kept", "upgraded")

    def __init__(self, wires: Wires, server: web.Server, over: asyncio.Future[None]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE,
            lingering_time=LINGERING,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_FIELDS,
            access_log_class=wires.log,
        )
        self._wires = wires
        self._over = over
        self._request: web.BaseRequest | None = None
        self._began: float | None = None
        """When the head that is awaited began to be."""
        self._span = (0.0, 0)
        """Since when a body's pace is measured, and how much has come since."""
        self._stuck = (0.0, 0)
        """Since when the peer has not read, and how much lay there then."""
        self.kept = 0
        """Bytes received and not taken up."""
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there: the first head's time runs."""
        super().connection_made(transport)
        self._began = self._loop.time()
        self._wires.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        self._wires.drop(self)
        self.taken()
        if not self._over.done():
            self._over.set_result(None)

    def data_received(self, data: bytes) -> None:
        """More has come."""
        now = self._loop.time()
        if self._request is None and self._began is None:
            self._began = now
        self._span = (self._span[0], self._span[1] + len(data))
        more = len(data) if self.upgraded else min(len(data), max(0, MOST_BODY - self.kept))
        self.kept += more
        super().data_received(data)
        self._wires.keep(more)

    def begin(self, request: web.BaseRequest) -> None:
        """A head is complete, and its request is being answered."""
        self._request, self._began = request, None
        self._span = (self._loop.time(), 0)

    def end(self) -> None:
        """The request is answered."""
        self._request = None
        self.taken()

    def taken(self) -> None:
        """What has come so far was taken up."""
        gone, self.kept = self.kept, 0
        self._wires.keep(-gone)

    def lateness(self, now: float) -> str | None:
        """Which rule this connection breaks, if any."""
        if self.transport is None:
            return None
        if self._began is not None and now - self._began > self._wires.patience.head:
            return "head"
        return self._body_lateness(now) or self._reading_lateness(now)

    def _body_lateness(self, now: float) -> str | None:
        if self._request is None or self.upgraded:
            return None
        since, count = self._span
        ours = self._reading_paused or self._buffer_paused or self._request.content.is_eof()
        if not ours and now - since < BODY_SPAN:
            return None
        self._span = (now, 0)
        return "body" if not ours and count < self._wires.patience.body_rate * BODY_SPAN else None

    def _reading_lateness(self, now: float) -> str | None:
        since, before = self._stuck
        waiting = self.transport.get_write_buffer_size() if self.transport else 0
        if not waiting or waiting < before or not before:
            self._stuck = (now, waiting)
            return None
        return "unread" if now - since > READ_PATIENCE else None

    def cut(self, reason: str) -> None:
        """End the connection at once."""
        self._wires.cut[reason] += 1
        logger.info("a connection is cut", extra={"reason": reason, "remote": self._peer()})
        self.taken()
        self._began = None
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or what failed outside of any route: a status, and nothing of what was sent."""
        del message, request
        if isinstance(exc, HttpProcessingError):
            self._wires.cut["malformed"] += 1
        logger.info(
            "a request could not be read",
            extra={"status": status, "remote": self._peer(), "reason": type(exc).__name__},
        )
        answer = web.json_response(
            {"detail": "This is not a request that can be answered.", "code": "http"},
            status=status,
            headers={"Server": "ambientd", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        )
        answer.force_close()
        return answer

    def _peer(self) -> str | None:
        peer = self.transport.get_extra_info("peername") if self.transport else None
        return str(peer[0]) if peer else None


class Socket(web.WebSocketResponse):
    """A WebSocket whose messages count as taken up once they are read."""

    _wire: Wire | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Shake hands."""
        writer = await super().prepare(request)
        protocol = request.protocol
        if isinstance(protocol, Wire):
            self._wire = protocol
            protocol.upgraded = True
            protocol.taken()
        return writer

    async def receive(self, timeout: float | None = None) -> WSMessage:  # noqa: ASYNC109
        """The next message."""
        message = await super().receive(timeout)
        if self._wire is not None:
            self._wire.taken()
        return message


@web.middleware
async def paced(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tells a connection from the network when its request begins and ends; the outermost of all."""
    wire = request.protocol
    if not isinstance(wire, Wire):
        return await handler(request)
    wire.begin(request)
    try:
        return await handler(request)
    finally:
        wire.end()


@asynccontextmanager
async def open_wires(patience: Patience, log: type[AbstractAccessLogger]) -> AsyncIterator[Wires]:
    """Connections from the network, watched while the block lasts.  ``log``: what notes each request."""
    wires = Wires(patience, log)
    watching = asyncio.create_task(wires.watch())
    try:
        yield wires
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
