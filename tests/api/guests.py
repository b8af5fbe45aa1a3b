"""Guests from the network, good and bad, at the real door of a box."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from scripted import silence, speech
from served import Box

from ambientd.access.gate import Gate
from ambientd.api import access
from ambientd.core.access import Kind, Principal, Role
from ambientd.core.audio import to_pcm16

SPEECH = to_pcm16(np.concatenate((speech(1.5), silence(1))))


class Guest:
    """Somebody in the network who trusts the box's authority."""

    def __init__(self, box: Box) -> None:
        assert box.network is not None
        self.box = box
        self.port = box.network.port
        self.trust = ssl.create_default_context(cadata=box.network.authority_der)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection after its handshake."""
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost"
        )

    async def say(self, request: bytes, *, within: float = 5) -> bytes:
        """Everything the box answers to some bytes, until it hangs up or falls silent."""
        reader, writer = await self.raw()
        writer.write(request)
        answer = b""
        with suppress(TimeoutError, ConnectionError, ssl.SSLError):
            async with asyncio.timeout(within):
                while more := await reader.read(65_536):
                    answer += more
        writer.close()
        return answer

    async def get(self, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        return await self.ask("GET", path, **options)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, ssl=self.trust, allow_redirects=False, **options) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()


def known_as(monkeypatch: pytest.MonkeyPatch, role: Role) -> None:
    """Whoever comes from the network is somebody of that role: for what lies behind the log-in."""
    shown = access.identify

    def pretended(request: web.Request, gate: Gate) -> Principal | None:
        return shown(request, gate) or Principal("guest", Kind.DEVICE, role, "Guest")

    monkeypatch.setattr(access, "identify", pretended)
