"""Where the daemon listens: the loopback's port, the control socket and the network's door.

Ports are opened here, or handed over by systemd.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ambientd.accesslog import AccessLog
from ambientd.config import Server, Settings
from ambientd.control import open_control
from ambientd.errors import OperatorError
from ambientd.lan import LocalNetwork, open_lan
from ambientd.systemd import HTTP, LAN

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Where the daemon listens."""

    host: str
    port: int


@asynccontextmanager
async def open_door(
    app: web.Application,
    settings: Settings,
    network: LocalNetwork,
    handed: Mapping[str, Sequence[socket.socket]],
) -> AsyncIterator[Door]:
    """The application served on all of them.

    ``handed``: listening sockets by the names systemd has for them; they take the place of the settings.

    Raises:
        OperatorError: the loopback's port or the control socket cannot be had.
    """
    server = settings.server
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(
            app, access_log_class=AccessLog, shutdown_timeout=0.2 * server.shutdown_timeout
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        ours = handed.get(HTTP, ())
        for listener in ours:
            await web.SockSite(runner, listener).start()
        if not ours:
            await _listen(runner, server)
        host, port = runner.addresses[0][:2]
        if ours and (host, port) != (server.host, server.port):
            logger.warning(
                "the address is the one of ambientd.socket: server.host and server.port have no effect",
                extra={"host": host, "port": port},
            )
        for name in handed.keys() - {HTTP, LAN}:
            logger.warning("a socket that systemd hands over is not known here", extra={"file": name})
            for listener in handed[name]:
                listener.close()
        await stack.enter_async_context(open_control(runner, server.control_socket))
        await stack.enter_async_context(open_lan(runner, network, settings.lan, handed.get(LAN, ())))
        yield Door(host, port)


async def _listen(runner: web.AppRunner, server: Server) -> None:
    try:
        await web.TCPSite(runner, server.host, server.port).start()
    except OSError as error:
        raise OperatorError(
            f"cannot listen on {server.host} port {server.port}: {os.strerror(error.errno or 0)}",
            hint="Stop what uses the port, or set server.port.",
        ) from error
