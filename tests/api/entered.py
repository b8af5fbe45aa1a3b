"""People and programs that come to a box over its network, as the tests play them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from served import Box

PASSWORD = "four words nobody joins"  # noqa: S105 - of nobody


class Visitor:
    """A browser, or a program with a token, at the encrypted door."""

    def __init__(self, url: str, http: aiohttp.ClientSession, *, token: str | None = None) -> None:
        self.url = url
        self.http = http
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        """What it sends by itself: a browser where it comes from, a program its token."""
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token}"}
        return {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}

    async def ask(
        self, method: str, path: str, json: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and body."""
        sent = self.headers | (headers or {})
        async with self.http.request(method, self.url + path, json=json, headers=sent, ssl=False) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if answer.content_type == "application/json" else text

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, json: object = None, **options: Any) -> tuple[int, Any]:
        return await self.ask("POST", path, json, **options)

    async def ticket(self, purpose: str = "transcribe") -> str:
        """A ticket for one WebSocket."""
        status, body = await self.post("/api/v1/tickets", {"purpose": purpose})
        assert status == 200, body
        return str(body["ticket"])

    async def socket(
        self, path: str, headers: dict[str, str] | None = None
    ) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket opened with what is in ``path``."""
        return await self.http.ws_connect(self.url + path, ssl=False, headers=self.headers | (headers or {}))

    async def connect(self, path: str = "/ws/transcribe") -> aiohttp.ClientWebSocketResponse:
        """A WebSocket opened properly: with a token, or with a ticket."""
        if self.token is None:
            path += f"{'&' if '?' in path else '?'}ticket={await self.ticket(path.split('/')[2])}"
        return await self.socket(path)


class Guarded:
    """A box with a door to the network."""

    def __init__(self, box: Box, url: str, stack: AsyncExitStack) -> None:
        self.box = box
        self.url = url
        self._stack = stack

    async def browser(self) -> Visitor:
        """A browser that has never been here."""
        jar = aiohttp.CookieJar(unsafe=True)  # unsafe: it also keeps cookies of an address
        return Visitor(self.url, await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar)))

    async def operator(self) -> Visitor:
        """A browser logged in with the first account."""
        browser = await self.browser()
        status, body = await browser.post(
            "/api/v1/setup",
            {"code": self.box.joining.setup_code, "name": "Olga", "password": PASSWORD},
        )
        assert status == 200, body
        return browser

    async def person(self, role: str, name: str = "Anna") -> Visitor:
        """A browser logged in with an account of that role."""
        async with self.box.http.post(
            f"{self.box.url}/api/v1/accounts", json={"name": name, "role": role, "password": PASSWORD}
        ) as answer:
            assert answer.status == 201, await answer.text()
        browser = await self.browser()
        status, body = await browser.post("/api/v1/login", {"name": name, "password": PASSWORD})
        assert status == 200, body
        return browser

    async def program(self, role: str = "integration", name: str = "records") -> Visitor:
        """A program with a token of that role."""
        async with self.box.http.post(
            f"{self.box.url}/api/v1/devices", json={"name": name, "role": role}
        ) as answer:
            assert answer.status == 201, await answer.text()
            token = (await answer.json())["token"]
        http = await self._stack.enter_async_context(aiohttp.ClientSession())
        return Visitor(self.url, http, token=token)

    async def audit(self) -> list[dict[str, Any]]:
        """All rows."""
        entries = await self.box.gate.audit.entries()
        return [
            {"actor": e.actor, "action": e.action, "object": e.object, "outcome": e.outcome} for e in entries
        ]
