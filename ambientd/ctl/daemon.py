"""How a command speaks to the running daemon: JSON over its REST interface, and its errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import click

from ambientd.client_address import DEFAULT_URL, connecting
from ambientd.client_call import call, named
from ambientd.client_rest import Rest, box
from ambientd.ctl import settings
from ambientd.errors import ConfigError

ANSWER_SECONDS: Final = 600.0
"""Patience for the next byte: a purge of thousands of sessions, a backup of gigabytes, come after a while."""

PACKAGED: Final = Path("/run/ambientd/control.sock")
"""Where the packaged service has its socket: a shell has no ``$RUNTIME_DIRECTORY`` to tell."""

T = TypeVar("T")

__all__ = ["ask", "at_url", "copy", "named", "speak"]


def address() -> str:
    """Where the daemon is when nobody says: its control socket if there is one, else its port on this machine.

    Settings that are faulty stop no command that only speaks to a running daemon.
    """
    try:
        found = settings()
    except ConfigError:
        return f"unix:{PACKAGED}" if PACKAGED.is_socket() else DEFAULT_URL
    sockets = [found.server.control_socket]
    if found.origin("store", "directory").startswith("default"):
        sockets.append(PACKAGED)
    for path in sockets:
        try:
            if path.is_socket():
                return f"unix:{path}"
        except OSError:  # a directory that this user may not enter; the port may be open to him
            continue
    if not found.server.is_loopback or not found.server.port:
        return DEFAULT_URL
    host = f"[{found.server.host}]" if ":" in found.server.host else found.server.host
    return f"http://{host}:{found.server.port}"


at_url = click.option(
    "--url",
    default=address,
    show_default="its control socket, else its port on this machine",
    help="Where the daemon is: an address, or unix:PATH.",
)


def ask(
    url: str,
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: object = None,
    patience: float = ANSWER_SECONDS,
) -> Any:
    """What the daemon answers, as JSON.

    patience: seconds for each step of the answer.

    Raises:
        DaemonUnreachable: nothing answers there.
        Refused: it does not do it, and why; ``code`` is the HTTP status.
    """

    async def whole(answer: aiohttp.ClientResponse) -> Any:
        return await answer.json()

    return asyncio.run(_call(url, method, path, whole, query=query, body=body, patience=patience))


def copy(
    url: str,
    path: str,
    write: Callable[[bytes], object],
    *,
    query: dict[str, str] | None = None,
    method: str = "GET",
) -> Mapping[str, str]:
    """Give an answer of any length to ``write``, a block at a time; returns its headers.

    Raises:
        DaemonUnreachable, Refused: as :func:`ask`.
    """

    async def pour(answer: aiohttp.ClientResponse) -> Mapping[str, str]:
        async for block in answer.content.iter_any():
            write(block)
        return dict(answer.headers)

    return asyncio.run(_call(url, method, path, pour, query=query))


def speak(url: str, work: Callable[[Rest], Awaitable[T]]) -> T:
    """What ``work`` makes of the daemon, spoken to with types.

    Raises:
        DaemonUnreachable, Refused: as :func:`ask`.
    """

    async def conversation() -> T:
        async with box(url) as here:
            return await work(here)

    return asyncio.run(conversation())


async def _call(
    url: str,
    method: str,
    path: str,
    take: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    *,
    query: dict[str, str] | None = None,
    body: object = None,
    patience: float = ANSWER_SECONDS,
) -> T:
    async with connecting(url, aiohttp.ClientTimeout(total=None)) as http:
        return await call(http, url, method, path, take, query=query, body=body, patience=patience)
