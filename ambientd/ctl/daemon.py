"""How a command speaks to the running daemon: JSON over its REST interface, and its errors as ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import click

from ambientd.client import DEFAULT_URL, DaemonUnreachable, Refused

ANSWER_SECONDS: Final = 600.0
"""Patience for the next byte: a purge of thousands of sessions, a backup of gigabytes, come after a while."""

CONNECT_SECONDS: Final = 5.0

T = TypeVar("T")

at_url = click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the daemon is.")


def ask(url: str, method: str, path: str, *, query: dict[str, str] | None = None, body: object = None) -> Any:
    """What the daemon answers, as JSON.

    Raises:
        DaemonUnreachable: nothing answers there.
        Refused: it does not do it, and why; ``code`` is the HTTP status.
    """

    async def whole(answer: aiohttp.ClientResponse) -> Any:
        return await answer.json()

    return asyncio.run(_call(url, method, path, whole, query=query, body=body))


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
) -> Any:
    address = (url if "://" in url else f"http://{url}").rstrip("/") + path
    # None for the whole: a backup of many gigabytes comes as long as it comes.
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits) as http,
            http.request(method, address, params=query, json=body) as answer,
        ):
            if answer.status >= 400:  # noqa: PLR2004 - HTTP's first error
                raise Refused(answer.status, _detail(answer.status, await answer.text()))
            return await take(answer)
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise DaemonUnreachable(
            f"No daemon answers at {url}.", hint="Start it (systemctl start ambientd), or give its --url."
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DaemonUnreachable(
            f"The daemon at {url} did not answer to its end.", hint="Look at its log: journalctl -u ambientd"
        ) from error


def _detail(status: int, text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The daemon refused with HTTP status {status}."
