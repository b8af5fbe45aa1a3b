"""How a command speaks to the running daemon: JSON over its REST interface, and its errors as ours."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import click

from ambientd.client import DaemonUnreachable, Refused
from ambientd.client_address import DEFAULT_URL, base, connecting, socket_path
from ambientd.ctl import settings
from ambientd.errors import ConfigError

ANSWER_SECONDS: Final = 600.0
"""Patience for the next byte: a purge of thousands of sessions, a backup of gigabytes, come after a while."""

CONNECT_SECONDS: Final = 5.0

PACKAGED: Final = Path("/run/ambientd/control.sock")
"""Where the packaged service has its socket: a shell has no ``$RUNTIME_DIRECTORY`` to tell."""

T = TypeVar("T")


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

    headers: Mapping[str, str] = asyncio.run(_call(url, method, path, pour, query=query))
    return headers


async def _call(
    url: str,
    method: str,
    path: str,
    take: Callable[[aiohttp.ClientResponse], Any],
    *,
    query: dict[str, str] | None = None,
    body: object = None,
    patience: float = ANSWER_SECONDS,
) -> Any:
    # None for the whole: a backup of many gigabytes comes as long as it comes.
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=patience)
    try:
        target = f"{str(base(url)).rstrip('/')}{path}"
    except ValueError as error:
        raise DaemonUnreachable(
            "That is no address.", hint="Give one such as http://localhost:8000."
        ) from error
    try:
        async with (
            connecting(url, limits) as http,
            http.request(method, target, params=query, json=body) as answer,
        ):
            if answer.status >= 400:  # noqa: PLR2004 - HTTP's first error
                raise Refused(answer.status, _detail(answer.status, await answer.text()))
            return await take(answer)
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise DaemonUnreachable(f"No daemon answers at {named(url)}.", hint=_hint(url, error)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DaemonUnreachable(
            f"The daemon at {named(url)} did not answer to its end.", hint="Look at its log: ambientctl logs"
        ) from error


def named(url: str) -> str:
    """An address as it can be shown: without a password or a token that somebody has put into it."""
    if socket_path(url) is not None:
        return url
    try:
        return str(base(url).with_user(None).with_query(None)).rstrip("/")
    except ValueError:
        return "that address"


def _hint(url: str, error: Exception) -> str:
    if getattr(error, "errno", None) == errno.EACCES and socket_path(url) is not None:
        return "Its socket is for the daemon's user and group: use sudo, or join the group ambientd."
    return "Start it (systemctl start ambientd), or give its --url."


def _detail(status: int, text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The daemon refused with HTTP status {status}."
