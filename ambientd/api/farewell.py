"""How a WebSocket is refused: in a message and in the close frame."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from ambientd.core import protocol
from ambientd.errors import AmbientError, ClientError

SEND_PATIENCE: Final = 30.0
"""Seconds a peer may leave one message unread once the system's own buffers are full."""


async def refuse(socket: web.WebSocketResponse, error: AmbientError) -> None:
    """Tells why there will be no session, in a message and in the close frame, and closes."""
    code = error.close_code if isinstance(error, ClientError) else protocol.CLOSE_ERROR
    # A close frame holds at most 123 bytes of reason.  Source: RFC 6455 section 5.5.
    reason = error.message if isinstance(error, ClientError) else "store unavailable"
    try:
        # A connection that was taken over is most likely dead, and takes nothing any more.
        async with asyncio.timeout(SEND_PATIENCE):
            await socket.send_json(protocol.error(error))
            await socket.close(code=code or protocol.CLOSE_POLICY, message=reason.encode()[:123])
    except (ConnectionResetError, TimeoutError):
        return


def code_of(error: AmbientError) -> str:
    """The code under which an error is told and counted."""
    return str(protocol.error(error)["code"])
