"""One call to the centre: whom it trusts, what it refuses to swallow, and what it never tells."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from boxes import Box, route, say
from central.certificates import Tls
from central.faults import Fault
from central.server import Centre, running

from ambientd.errors import CentralRejected, CentralUnavailable, OperatorError
from ambientd.store.database import open_database
from ambientd.sync import secrets
from ambientd.sync.central import LARGEST_REPLY, open_central
from ambientd.sync.questions import own_questions
from ambientd.sync.route import Route

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def profile() -> str:
    return "ambientai"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path / "tls")


@pytest.fixture
async def secure(tmp_path: Path, tls: Tls) -> AsyncIterator[Centre]:
    async with running(tmp_path / "secure.db", tls=tls) as centre:
        yield centre


@pytest.fixture
async def secure_box(tmp_path: Path, secure: Centre, tls: Tls) -> AsyncIterator[Box]:
    async with open_database(tmp_path / "secure" / "ambientd.db") as database:
        box = Box(database, secure, "ambientai", tmp_path)
        box.route = replace(box.route, ca_file=tls.ca)
        yield box


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Route]:
    """The route to a server that answers everything so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Route(
            "ambientai",
            f"http://127.0.0.1:{runner.addresses[0][1]}",
            "box-7",
            request_timeout=2,
            connect_timeout=1,
        )
    finally:
        await runner.cleanup()


async def call(way: Route) -> CentralUnavailable | CentralRejected | None:
    async with open_central(way) as central:
        try:
            await central.ask("POST", "/x", body=b"{}")
        except (CentralUnavailable, CentralRejected) as error:
            return error
    return None


async def test_a_centre_of_an_authority_that_is_given_is_trusted(secure_box: Box) -> None:
    await say(secure_box.database, "s", "Good morning.")
    await secure_box.until_done()

    assert await secure_box.received() == {"Good morning.": 1}


async def test_a_centre_of_an_unknown_authority_gets_nothing(secure_box: Box) -> None:
    await say(secure_box.database, "s", "Good morning.")
    await secure_box.round(ca_file=None)
    item = (await secure_box.items())["s"]

    assert item.attempts == 0
    assert "certificate is not trusted" in (secure_box.tally.last_error or "")
    assert await secure_box.received() == {}


@pytest.mark.parametrize("fault", [Fault.EXPIRED_CERTIFICATE, Fault.WRONG_NAME, Fault.UNKNOWN_CA])
async def test_a_certificate_that_turns_bad_is_waited_out(secure_box: Box, fault: Fault) -> None:
    await say(secure_box.database, "a", "Good morning.")
    await say(secure_box.database, "b", "Good day.")
    secure_box.centre.faults.order(fault, path="/api/v1/text-processing")
    await secure_box.until_done()

    assert secure_box.centre.faults.seen[fault] == 1
    assert await secure_box.received() == {"Good morning.": 1, "Good day.": 1}


async def test_a_centre_that_wants_to_know_the_box(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "mutual", clients=True)
    async with running(tmp_path / "mutual.db", tls=tls) as centre:
        way = replace(route(centre, "ambientai", tmp_path), ca_file=tls.ca)
        stranger = await call(way)
        async with open_central(replace(way, client_certificate=tls.client)) as central:
            known = await central.call("GET", "/health")

    assert isinstance(stranger, CentralUnavailable)
    assert known.status == 200


async def test_a_certificate_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(OperatorError, match="certificates"):
        async with open_central(Route("ambientai", "https://localhost", "box", ca_file=tmp_path / "ca.pem")):
            pass


async def test_calls_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is set, else the environment's."""
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return web.Response(status=502)

    async with answering(proxy) as there:
        way = replace(there, url="http://centre.invalid", proxy=there.url)
        first = await call(way)
        monkeypatch.setenv("http_proxy", there.url)
        second = await call(replace(way, proxy=""))
        monkeypatch.setenv("no_proxy", "centre.invalid")
        third = await call(replace(way, proxy=""))

    assert len(asked) == 2
    assert isinstance(first, CentralUnavailable)
    assert isinstance(second, CentralUnavailable)
    assert (first.status, second.status) == (502, 502)
    assert isinstance(third, CentralUnavailable)
    assert third.certain, "the name does not exist, so nothing was sent"


async def test_a_redirection_is_not_followed() -> None:
    asked = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with answering(elsewhere) as way:
        error = await call(way)

    assert asked == ["/x"]
    assert isinstance(error, CentralUnavailable)
    assert error.everyone


async def test_an_answer_without_end_is_not_swallowed() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(2 * LARGEST_REPLY // 65_536):
            await answer.write(bytes(65_536))
        return answer

    async with answering(flood) as way:
        error = await call(way)

    assert isinstance(error, CentralUnavailable)
    assert not error.certain


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with answering(hang) as way:
        error = await call(replace(way, request_timeout=0.2))

    assert isinstance(error, CentralUnavailable)
    assert (error.certain, error.everyone) == (False, False)


@pytest.mark.parametrize(
    ("status", "kind", "certain"),
    [(400, CentralRejected, None), (413, CentralRejected, None), (408, CentralUnavailable, False),
     (425, CentralUnavailable, True), (429, CentralUnavailable, True), (503, CentralUnavailable, False)],
)  # fmt: skip
async def test_what_a_status_means(status: int, kind: type, certain: bool | None) -> None:  # noqa: FBT001
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"}, text="a word of the patient")

    async with answering(answer) as way:
        error = await call(way)

    assert type(error) is kind
    assert "patient" not in str(error)
    if isinstance(error, CentralUnavailable):
        assert (error.certain, error.retry_after) == (certain, 7.0)


@pytest.mark.parametrize(
    "fault", [None, Fault.CUT_AFTER, Fault.NOT_JSON, Fault.ERROR, Fault.HANG, Fault.WRONG_JSON]
)
async def test_nothing_of_it_is_in_the_log(
    box: Box, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    """Neither a word nor the token nor the password, at any level."""
    caplog.set_level(logging.DEBUG)
    await say(box.database, "s", "Xanthippe has a cough.")
    if fault is not None:
        box.centre.faults.order(fault, path="/api/v1/text-processing")
        box.centre.faults.order(fault, path="/api/v1/uploads")
    await box.until_done()

    assert await box.received() == {"Xanthippe has a cough.": 1}
    for secret in ("Xanthippe", "cough", "access_token", "correct horse"):
        assert secret not in caplog.text
        assert secret not in (box.tally.last_error or "")


def test_a_secret_comes_from_a_credential_or_a_private_file(tmp_path: Path) -> None:
    (tmp_path / "central").write_text("horse\n")
    private = tmp_path / "private"
    private.touch(0o600)
    private.write_text("battery")

    assert secrets.read("central", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "horse"
    assert secrets.read(str(private), {}) == "battery"
    private.chmod(0o640)
    for name in (str(private), str(tmp_path / "nobody"), "central"):
        with pytest.raises(OperatorError):
            secrets.read(name, {})


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        '{"id": "a"}',
        '[{"id": "a", "question": "Why?", "category": "weather"}]',
        '[{"id": "a b", "question": "Why?", "category": "diagnosis"}]',
        json.dumps([{"id": "a", "question": "Why?", "category": "diagnosis"}] * 2),
    ],
)
def test_questions_that_are_none_are_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "questions.json"
    file.write_text(content)
    with pytest.raises(OperatorError):
        own_questions(file)
