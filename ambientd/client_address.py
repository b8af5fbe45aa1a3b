"""Where a daemon is: an address of the network, or its control socket, ``unix:/run/ambientd/control.sock``."""

from __future__ import annotations

from typing import Final

import aiohttp
from yarl import URL

DEFAULT_URL: Final = "http://localhost:8000"
"""Where the daemon listens unless told otherwise."""

_UNIX: Final = "unix:"


def base(url: str) -> URL:
    """The address requests are made to, ``http`` or ``https``, from any way of giving it.

    Raises:
        ValueError: it is none.
    """
    if url.startswith(_UNIX):
        return URL("http://localhost")  # what the Host header says; the connector knows the socket
    given = URL(url if "://" in url else f"http://{url}")
    found = given.with_scheme({"ws": "http", "wss": "https"}.get(given.scheme, given.scheme))
    if found.scheme not in {"http", "https"} or found.host is None:
        raise ValueError("not an address of the web")
    return found.with_path(found.path.rstrip("/").removesuffix("/ws/transcribe"), keep_query=False)


def socket_path(url: str) -> str | None:
    """The path of the Unix socket that ``url`` names; ``None`` for an address of the network."""
    if not url.startswith(_UNIX):
        return None
    path = url.removeprefix(_UNIX)
    return "/" + path.lstrip("/") if path.startswith("//") else path


def connecting(url: str, limits: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """A client for requests to the daemon at ``url``; made within a running loop, and closed by who asked for it."""
    path = socket_path(url)
    return aiohttp.ClientSession(
        timeout=limits, connector=None if path is None else aiohttp.UnixConnector(path)
    )
