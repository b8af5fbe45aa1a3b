"""One request of a program to a daemon, and what can go wrong with it as our errors."""

from __future__ import annotations

import errno
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import aiohttp

from ambientd.client import DaemonUnreachable, Refused
from ambientd.client_address import base, socket_path

CONNECT_SECONDS: Final = 5.0

T = TypeVar("T")


async def call(
    http: aiohttp.ClientSession,
    url: str,
    method: str,
    path: str,
    take: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    *,
    query: Mapping[str, str | int] | None = None,
    body: object = None,
    form: aiohttp.FormData | None = None,
    patience: float,
) -> T:
    """What ``take`` makes of the answer.

    http: of :func:`~ambientd.client_address.connecting`, for the same ``url``.  patience: seconds for the next byte.

    Raises:
        DaemonUnreachable: nothing answers there, or it breaks off.
        Refused: it does not do it, and why; ``code`` is the HTTP status.
    """
    # None for the whole: a backup of many gigabytes comes as long as it comes.
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=patience)
    try:
        target = f"{str(base(url)).rstrip('/')}{path}"
    except ValueError as error:
        raise DaemonUnreachable(
            "That is no address.", hint="Give one such as http://localhost:8000."
        ) from error
    try:
        async with http.request(method, target, params=query, json=body, data=form, timeout=limits) as answer:
            if not answer.ok:
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
    """Of an error in our shape, or in that of the interface other programs know."""
    try:
        told = json.loads(text)
        return str(told["detail"] if "detail" in told else told["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The daemon refused with HTTP status {status}."
