"""``ambientctl listen``: follow a session from a shell, from its first line."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import click

from ambientd.client import DaemonUnreachable, Disconnected
from ambientd.client_address import base, connecting
from ambientd.client_events import Gap, Other, Partial, ServerError, SessionEnded, Transcript, parse
from ambientd.ctl import daemon
from ambientd.ctl.display import Display
from ambientd.errors import AmbientError

OPENING: Final = 10.0
"""Seconds for the connection to open."""


@click.command()
@click.argument("session_id", metavar="SESSION")
@daemon.at_url
def listen(session_id: str, url: str) -> None:
    """Show what was said in a session, and what is being said, until it ends."""
    with Display() as display:
        asyncio.run(_follow(session_id, url, display))


async def _follow(session_id: str, url: str, display: Display) -> None:
    """Shows all messages.

    Raises:
        DaemonUnreachable: nothing answers.
        Disconnected: the connection was lost before the session's end.
        AmbientError: the daemon refuses, and why.
    """
    address = base(url) / "ws/listen" / quote(session_id, safe="")
    async with connecting(url, aiohttp.ClientTimeout(total=None)) as http:
        try:
            async with asyncio.timeout(OPENING):
                socket = await http.ws_connect(address)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DaemonUnreachable(
                f"No daemon answers at {url}.", hint="Start it (systemctl start ambientd), or give its --url."
            ) from error
        async with socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and _show(message.data, display):
                    return
    raise Disconnected(1006, "The connection was lost.", hint="The session may go on: listen again.")


def _show(text: str, display: Display) -> bool:
    """Shows one message; whether it was the session's end."""
    match parse(text):
        case Transcript() | Gap() as line:
            display.commit(line)
        case Partial() as utterance:
            display.open(utterance)
        case SessionEnded(message):
            display.note(message)
            return True
        case ServerError(message):
            raise AmbientError(message)
        case Other(raw):
            _note(raw, display)
    return False


def _note(raw: Any, display: Display) -> None:
    if raw.get("type") == "recording":
        display.note("paused" if raw.get("state") == "paused" else "goes on")
