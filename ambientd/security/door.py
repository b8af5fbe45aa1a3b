"""The door to the network: who is let in, before a byte of theirs costs anything.

    Rule 1  Whom it refuses it refuses before TLS, in microseconds, and never faster than the box can bear: in between,
            whoever is served goes on being served.
    Rule 2  A connection has a bounded time to say what it is.  What speaks plain HTTP is told where the door is.
    Rule 3  The certificate is that of the moment: a new one needs no restart and breaks no connection.

asyncio's own server does the handshake before it asks anybody, so the door accepts by itself and hands over what it
lets in.  Source: ``loop.connect_accepted_socket``, made for servers that accept outside of asyncio.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from ambientd.core.network import Rate
from ambientd.errors import ClientError
from ambientd.security.limits import Limits, network

logger = logging.getLogger(__name__)

BREATH: Final = 0.01
"""Seconds of rest after each handshake begun, or after ``BURST`` refusals: at most 100 of these, 2,000 of those, a
second, some 15 % of a slow core."""

BURST: Final = 20

BACKLOG: Final = 128
"""Connections that wait in the kernel meanwhile."""

PLAIN_PATIENCE: Final = 2.0
"""Seconds for a plain request's first lines."""

PLAIN_MOST: Final = 2_048
"""Bytes of a plain request that are looked at."""

GOODBYE: Final = 2.0
"""Seconds a peer has to answer the end of TLS."""

_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS connection.  Source: RFC 8446 section 5.1."""


Line = Callable[[asyncio.Future[None]], asyncio.BaseProtocol]
"""Makes the protocol of a connection, which completes the future when the connection is lost."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of everything at once."""

    connections: int
    address_connections: int
    handshake: float
    """Seconds from the connection to the end of the handshake."""


class Door:
    """What listens, and who has come in.  Use :func:`open_door`."""

    def __init__(
        self,
        bounds: Bounds,
        limits: Limits,
        context: Callable[[], ssl.SSLContext | None],
        line: Line,
        redirect: Callable[[str], str | None],
    ) -> None:
        """``redirect``: what a plain request calls the box -> where to go, if that is its name."""
        self._bounds = bounds
        self._limits = limits
        self._context = context
        self._line = line
        self._redirect = redirect
        self._inside: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def inside(self) -> int:
        """Connections that are open, handshakes under way among them."""
        return self._inside.total()

    async def listen(self, listener: socket.socket) -> None:
        """Let in who comes to a listening socket, for ever."""
        loop = asyncio.get_running_loop()
        refused = 0
        while True:
            try:
                guest, peer = await loop.sock_accept(listener)
            except OSError as error:  # out of file descriptors, or the peer is gone already
                logger.warning("a connection could not be accepted", extra={"error": error})
                await asyncio.sleep(1.0)
                continue
            address = str(peer[0])
            if self._refuses(address):
                guest.close()
                refused += 1
                if refused % BURST == 0:
                    await asyncio.sleep(BREATH)
                continue
            task = asyncio.create_task(self._attend(guest, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(BREATH)

    async def close(self) -> None:
        """Give up handshakes under way; connections belong to whoever made their protocol."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _refuses(self, address: str) -> bool:
        """Whether nobody is let in from there now; and counts."""
        if self._limits.banned(address):
            self._limits.note_refusal("banned")
            return True
        if self.inside >= self._bounds.connections:
            self._limits.note_refusal("full")
            return True
        if self._inside[network(address)] >= self._bounds.address_connections:
            self._limits.note_refusal("address_full")
            # A count of its own, or a thousand attempts a second would never become a ban.
            with suppress(ClientError):
                self._limits.count(Rate.CONNECT, address)
            return True
        try:
            self._limits.count(Rate.CONNECT, address)
        except ClientError:
            self._limits.ban(address, Rate.CONNECT)
            return True
        return False

    @contextmanager
    def _counted(self, address: str) -> Iterator[None]:
        key = network(address)
        self._inside[key] += 1
        try:
            yield
        finally:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key]

    async def _attend(self, guest: socket.socket, address: str) -> None:
        """One connection from its first byte to its last."""
        loop = asyncio.get_running_loop()
        with self._counted(address):
            over: asyncio.Future[None] = loop.create_future()
            handed = False
            try:
                async with asyncio.timeout(self._bounds.handshake):
                    first = await _first_byte(guest)
                    context = self._context()
                    if first != _HANDSHAKE or context is None:
                        await self._plain(guest, first)
                        return
                    handed = True  # from here on the transport closes the socket
                    await loop.connect_accepted_socket(
                        lambda: self._line(over),
                        guest,
                        ssl=context,
                        ssl_handshake_timeout=self._bounds.handshake,
                        ssl_shutdown_timeout=GOODBYE,
                    )
            except (OSError, TimeoutError) as error:  # ssl.SSLError among them
                self._limits.note_refusal("slow" if isinstance(error, TimeoutError) else "handshake")
                return
            finally:
                if not handed:
                    guest.close()
            await over

    async def _plain(self, guest: socket.socket, first: bytes) -> None:
        """Tell a browser that came without TLS where to go; hang up on anything else."""
        if not first.isupper():
            return
        loop = asyncio.get_running_loop()
        head = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAIN_PATIENCE):
                while b"\r\n\r\n" not in head and len(head) < PLAIN_MOST:
                    more = await loop.sock_recv(guest, PLAIN_MOST - len(head))
                    if not more:
                        break
                    head += more
        await loop.sock_sendall(guest, _answer(self._redirect(_host(head))))
        guest.shutdown(socket.SHUT_WR)


@asynccontextmanager
async def open_door(door: Door, listeners: Sequence[socket.socket]) -> AsyncIterator[Door]:
    """The door, open on these sockets while the block lasts; they are closed with it."""
    tasks = []
    for listener in listeners:
        listener.setblocking(False)
        listener.listen(BACKLOG)
        tasks.append(asyncio.create_task(door.listen(listener)))
    try:
        yield door
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await door.close()


def listen_on(host: str, port: int) -> list[socket.socket]:
    """Sockets for an address; an empty one is all of IPv4 and IPv6, on one port.

    Raises:
        OSError: the port is taken or not allowed.
    """
    if host:
        return [_bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)]
    first = _bound(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - the door to the network
    # Two sockets, not one for both: addresses of IPv4 would come in IPv6's clothes.
    try:
        return [first, _bound(socket.AF_INET6, "::", first.getsockname()[1])]
    except OSError:  # no IPv6 in this kernel
        return [first]


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _first_byte(guest: socket.socket) -> bytes:
    """The first byte of a connection, which stays to be read."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    descriptor = guest.fileno()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    return guest.recv(1, socket.MSG_PEEK)


def _host(head: bytes) -> str:
    """What a plain request calls the box."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"host":
            return value.strip().decode("ascii", "replace")
    return ""


def _answer(where: str | None) -> bytes:
    if where is None:
        status, more, text = "421 Misdirected Request", "", "This box is not called so.\n"
    else:
        status, more = "307 Temporary Redirect", f"Location: {where}\r\n"
        text = "This box is reached by https.\n"
    return (
        f"HTTP/1.1 {status}\r\n{more}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{text}"
    ).encode()
