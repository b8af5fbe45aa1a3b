"""Every route says whom it answers; one that does not answers nobody."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from ambientd.api.access import access, need
from ambientd.api.faults import faults

OPEN = {
    "GET /",
    "GET /healthz",
    "GET /readyz",
    # How a device comes to trust the box: it cannot have shown who it is before.
    "GET /ca",
    "GET /ca.css",
    "GET /ca.svg",
    "GET /ca.crt",
    "GET /ca.pem",
    "GET /ca.mobileconfig",
    "GET /api/v1/certificate",
    # How somebody shows who he is; each is guarded by what it asks for.
    "GET /api/v1/me",
    "POST /api/v1/setup",
    "POST /api/v1/login",
    "POST /api/v1/break-glass",
    "POST /api/v1/pairings",
    "GET /api/v1/pairings/{pairing_id}",
    # What a locked log-in may still do.
    "POST /api/v1/logout",
    "POST /api/v1/unlock",
}
"""What anybody may ask, besides the files of the page; whoever adds to it says why."""


def declared(box):
    return {
        f"{route.method} {route.resource.canonical}": need(route.handler)
        for route in box.app.router.routes()
        if route.method != "HEAD"
    }


async def test_every_route_of_the_application_says_whom_it_answers(box):
    found = declared(box)
    assert len(found) > 50
    assert [route for route, asked in found.items() if asked is None] == []


async def test_only_these_are_open_to_all(box):
    pages = {f"GET /{path.relative_to(box.web).as_posix()}" for path in box.web.rglob("*")}
    opened = {route for route, asked in declared(box).items() if asked.permissions == ()}
    assert opened - pages == OPEN


async def test_a_route_that_says_nothing_answers_nobody(tmp_path):
    async def forgotten(_request: web.Request) -> web.Response:
        raise AssertionError

    app = web.Application(middlewares=[faults, access])
    app.router.add_get("/", forgotten)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "door")).start()
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "door"))) as http,
            http.get("http://ambientd/") as answer,
        ):
            assert answer.status == 500
    finally:
        await runner.cleanup()


async def test_a_route_that_does_not_exist_is_not_found_by_anybody(box):
    async with box.http.get(f"{box.url}/api/v1/nothing", headers={"Host": "box.example"}) as answer:
        assert answer.status == 404


async def test_a_socket_of_somebody_unknown_is_taken_and_closed_with_the_reason(box):
    socket = await box.connect("/ws/transcribe", headers={"Host": "box.example"})
    told = await socket.receive_json()
    assert (told["type"], told["code"]) == ("error", "unauthenticated")
    closed = await socket.receive()
    assert (closed.type, closed.data, closed.extra) == (
        aiohttp.WSMsgType.CLOSE,
        1008,
        "Authentication failed",
    )
    assert len(box.registry) == 0
