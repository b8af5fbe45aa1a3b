"""Every role at every route, as the declarations have it; and the page that says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ambientd.access.gate import Terms
from ambientd.access.presence import Presences
from ambientd.api import access as door
from ambientd.api import declared
from ambientd.api.access import Need, access, need
from ambientd.api.app import ROOMS
from ambientd.api.faults import faults
from ambientd.api.services import SERVICES
from ambientd.core.access import GIVEN, GRANTS, Kind, Principal, Role

ROOT = Path(__file__).parent.parent.parent

ROUTES: list[tuple[str, str, Need]] = [
    (route.method, route.path, need(route.handler) or Need(())) for room in ROOMS for route in room.routes
]

HARMLESS = {"GET"}


def named(case: tuple[str, str, Need]) -> str:
    return f"{case[0]} {case[1]}"


@pytest.fixture
async def doors(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The routes as they are declared, with nothing behind them; ``caller.principal`` is who calls."""
    caller = SimpleNamespace(principal=None)
    monkeypatch.setattr(door, "identify", lambda _request, _gate: caller.principal)
    app = web.Application(middlewares=[faults, access])
    refused: list[tuple[str, str | None]] = []
    tasks: Any = None
    gate = SimpleNamespace(
        terms=Terms(),
        presences=Presences(tasks),
        touch=lambda _principal: None,
        turned_away=lambda principal, what, _origin: refused.append((principal.id, what)),
        stranger=lambda _reason, _what, _origin: None,
    )
    services: Any = SimpleNamespace(gate=gate)
    app[SERVICES] = services

    async def behind(_request: web.Request) -> web.Response:
        return web.Response(text="behind")

    for method, path, asked in ROUTES:

        async def stub(request: web.Request) -> web.StreamResponse:
            return await behind(request)

        vars(stub)[door._MARK] = asked
        app.router.add_route(method, path, stub)
    async with TestClient(TestServer(app)) as client:
        yield SimpleNamespace(client=client, caller=caller, refused=refused)


def filled(path: str) -> str:
    """An address of that route."""
    return path.replace("{address:[0-9A-Fa-f.:/]+}", "192.0.2.1").replace("{", "").replace("}", "")


async def test_every_role_at_every_route(doors):
    for role in GIVEN:
        doors.caller.principal = Principal("d-one", Kind.DEVICE, role, "one")
        for method, path, asked in ROUTES:
            async with doors.client.request(method, filled(path)) as answer:
                may = not asked.permissions or any(each in GRANTS[role] for each in asked.permissions)
                assert (answer.status, role, path) == (200 if may else 403, role, path)
                if not may:
                    assert '"forbidden"' in await answer.text()
                    assert doors.refused.pop()[0] == "d-one"
    assert doors.refused == []


async def test_somebody_unknown_gets_nothing_but_what_is_open(doors):
    for method, path, asked in ROUTES:
        async with doors.client.request(method, filled(path)) as answer:
            assert (answer.status, path) == (401 if asked.permissions else 200, path)


async def test_somebody_locked_gets_nothing_but_what_is_open(doors):
    doors.caller.principal = Principal("d-one", Kind.DEVICE, Role.CLINICIAN, "one", "l-one", locked=True)
    for method, path, asked in ROUTES:
        async with doors.client.request(method, filled(path)) as answer:
            assert (answer.status, path) == (
                423 if asked.permissions and not asked.locked else 200,
                path,
            )


def test_what_a_locked_log_in_may_do_is_to_keep_its_recording():
    assert {path for _, path, asked in ROUTES if asked.locked} == {
        "/api/v1/microphone/pause",
        "/api/v1/microphone/stop",
        "/api/v1/tickets",
        "/ws/transcribe",
        "/ws/transcribe/{session_id}",
    }


async def test_a_foreign_page_changes_nothing_at_any_route(doors):
    doors.caller.principal = Principal("d-one", Kind.DEVICE, Role.CLINICIAN, "one")
    for method, path, _ in ROUTES:
        if method not in HARMLESS:
            headers = {"Origin": "https://evil.example"}
            async with doors.client.request(method, filled(path), headers=headers) as answer:
                assert (answer.status, path) == (403, path)


async def test_what_changes_something_for_everybody_is_the_operators(doors):
    """Written down a second time: a decorator changed by mistake must not take the table with it."""
    own = {
        *("record", "read", "amend", "delete", "watch", "steer", "announce"),
    }
    for method, path, asked in ROUTES:
        wanted = {each.value for each in asked.permissions}
        if path.startswith(
            (
                "/api/v1/accounts",
                "/api/v1/devices",
                "/api/v1/emergency-code",
                "/api/v1/pairings/{pairing_id}/",
            )
        ):
            assert wanted == {"people"}, path
        elif path.startswith("/api/v1/audit"):
            assert wanted == {"audit"}, path
        elif path.startswith(("/api/v1/purge", "/api/v1/copies", "/api/v1/backup")):
            assert wanted == {"run_box"}, path
        elif path.startswith("/api/v1/sync"):
            assert wanted == {"sync"}, path
        elif "{session_id}" in path and method == "GET" and not path.startswith("/ws/transcribe"):
            assert wanted == {"read"}, path
        elif "{session_id}" in path:
            assert wanted <= own - {"read"}, path


def test_the_page_says_what_the_code_says():
    written = (ROOT / declared.PAGE).read_text()
    assert written == declared.page(), "write it afresh: python -m ambientd.api.declared"


def test_no_cross_origin_is_ever_allowed():
    for path in (ROOT / "ambientd").rglob("*.py"):
        assert "Access-Control-Allow" not in path.read_text(), path
