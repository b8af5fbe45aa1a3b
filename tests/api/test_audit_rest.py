"""What is read and exported is on record, and only somebody on the box reads the record."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from test_rest import finished, get, speak

from ambientd.access.gate import Terms
from ambientd.api import auditing
from ambientd.api.access import access, allows
from ambientd.api.origin import is_local
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission


async def rows(box) -> list[dict[str, object]]:
    async with box.http.get(f"{box.url}/api/v1/audit") as answer:
        assert answer.status == 200
        return [json.loads(line) for line in (await answer.text()).splitlines()]


def coming_from(remote: str) -> web.BaseRequest:
    """A request over TCP from any address in the world."""
    transport = Mock()
    transport.get_extra_info = {"socket": Mock(family=socket.AF_INET)}.get
    request = make_mocked_request("GET", "/", headers={"Host": "localhost"}, transport=transport)
    return request.clone(remote=remote)


class TestRecords:
    @pytest.mark.parametrize(
        ("form", "action"),
        [
            ("", "transcript.read"),
            ("?format=srt", "transcript.exported"),
            ("?format=text", "transcript.exported"),
        ],
    )
    async def test_a_transcript_taken_away(self, box, form, action):
        await finished(box, "visit-1")
        await box.http.get(f"{box.url}/api/v1/sessions/visit-1/transcript{form}")
        (row,) = [row for row in await rows(box) if str(row["action"]).startswith("transcript")]
        assert (row["action"], row["object"], row["origin"]) == (action, "visit-1", "127.0.0.1")

    async def test_a_session_resumed(self, box):
        socket = await speak(box, "visit-1")
        socket._response.connection.transport.abort()
        for _ in range(100):
            socket = await box.connect("/ws/transcribe/visit-1")
            if (await socket.receive_json())["type"] == "connected":
                break
            await asyncio.sleep(0.02)
        (row,) = [row for row in await rows(box) if row["action"] == "session.resumed"]
        assert (row["object"], row["origin"]) == ("visit-1", "127.0.0.1")

    async def test_no_word_of_a_conversation(self, box):
        await finished(box, "visit-1")
        await get(box, "/api/v1/sessions/visit-1/transcript")
        assert "hurts" not in json.dumps(await rows(box))


class TestExport:
    async def test_csv_has_the_same_rows(self, box):
        await finished(box, "visit-1")
        await get(box, "/api/v1/sessions/visit-1/transcript")
        async with box.http.get(f"{box.url}/api/v1/audit?format=csv") as answer:
            assert answer.content_type == "text/csv"
            table = list(csv.DictReader(io.StringIO(await answer.text())))
        assert tuple(table[0]) == auditing.COLUMNS
        assert [row["hash"] for row in table] == [row["hash"] for row in await rows(box)][: len(table)]
        assert table[-1]["action"] == "audit.exported"

    async def test_more_rows_than_a_page(self, box, monkeypatch):
        monkeypatch.setattr(auditing, "PAGE", 3)
        for _ in range(8):
            await rows(box)
        assert [row["number"] for row in await rows(box)] == list(range(1, 10))

    async def test_an_unknown_format(self, box):
        assert (await get(box, "/api/v1/audit?format=xml"))[0] == 400

    async def test_verify(self, box):
        await rows(box)
        status, body = await get(box, "/api/v1/audit/verify")
        assert (status, body["broken_at"]) == (200, None)
        assert body["rows"] == body["end"]["number"]


class TestWhoIsOnTheBox:
    @pytest.fixture
    async def reached(self, tmp_path: Path) -> AsyncIterator[str]:
        """A guarded route behind a Unix socket."""

        @allows(Permission.AUDIT)
        async def yes(_request: web.Request) -> web.Response:
            return web.Response(text="yes")

        app = web.Application(middlewares=[access])
        app[SERVICES] = cast("Any", SimpleNamespace(gate=SimpleNamespace(terms=Terms())))
        app.router.add_get("/", yes)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "door")).start()
        yield str(tmp_path / "door")
        await runner.cleanup()

    async def test_a_unix_socket_is_on_the_box(self, reached: str) -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(reached)) as http,
            http.get("http://ambientd/") as answer,
        ):
            assert await answer.text() == "yes"

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "evil.example:8000"}, 401),
            ({"Host": "192.0.2.1:8000"}, 401),
            ({"X-Forwarded-For": "192.0.2.9"}, 401),
            ({"Forwarded": "for=192.0.2.9"}, 401),
            ({"Origin": "http://evil.example"}, 403),
        ],
    )
    async def test_a_browser_or_proxy_that_speaks_for_somebody_else_is_not(self, box, headers, status):
        async with box.http.get(f"{box.url}/api/v1/audit", headers=headers) as answer:
            assert answer.status == status

    @pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
    async def test_the_loopback_by_its_names(self, box, host):
        async with box.http.get(f"{box.url}/api/v1/audit", headers={"Host": host}) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize(
        ("remote", "local"),
        [
            ("127.0.0.1", True),
            ("127.8.8.8", True),
            ("::1", True),
            ("::ffff:127.0.0.1", True),
            ("192.0.2.7", False),
            ("::ffff:192.0.2.7", False),
            ("2001:db8::7", False),
        ],
    )
    async def test_by_address(self, remote: str, local: bool) -> None:  # noqa: FBT001
        request = coming_from(remote)
        assert is_local(request) is local
