"""One client can neither read, end, listen to, resume nor detect a session of another's without the role."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import aiohttp
import pytest
from entered import Guarded, Visitor
from scripted import silence, speech

from ambientd.access.gate import Terms
from ambientd.core.audio import to_pcm16

CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


async def received(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    """The next message of that type."""
    async with asyncio.timeout(15):
        while True:
            message = await socket.receive()
            assert message.type not in CLOSED, (message.data, message.extra)
            if message.json()["type"] == kind:
                return dict(message.json())


async def spoken(who: Visitor, path: str = "/ws/transcribe/visit-1", *, end: bool = True) -> str:
    """A session of theirs with words in it; gives its id."""
    socket = await who.connect(path)
    session_id = str((await received(socket, "connected"))["session_id"])
    await socket.send_bytes(to_pcm16(speech(2)))
    await socket.send_bytes(to_pcm16(silence(1)))
    if end:
        await socket.send_json({"type": "end_session"})
        await received(socket, "session_ended")
    return session_id


FOREIGN = [
    ("GET", "/api/v1/sessions/{id}", None),
    ("GET", "/api/v1/sessions/{id}/transcript", None),
    ("GET", "/api/v1/sessions/{id}/transcript?format=fhir", None),
    ("GET", "/api/v1/sessions/{id}/transcript?format=nonsense", None),
    ("GET", "/api/v1/sessions/{id}/details", None),
    ("PATCH", "/api/v1/sessions/{id}/details", {"encounter": "x"}),
    ("GET", "/api/v1/sessions/{id}/answers", None),
    ("GET", "/api/v1/sessions/{id}/correction", None),
    ("PUT", "/api/v1/sessions/{id}/correction", {"tier": "live", "revision": 0, "lines": []}),
    ("POST", "/api/v1/sessions/{id}/review", None),
    ("DELETE", "/api/v1/sessions/{id}", None),
    ("POST", "/api/v1/sessions/{id}/discard", None),
    ("POST", "/api/v1/websocket/sessions/{id}/end", None),
    ("GET", "/api/v1/transcriptions/{id}", None),
    ("DELETE", "/api/v1/transcriptions/{id}", None),
]
"""Every route that names a session."""


async def test_the_list_above_is_all_of_them(box):
    named = {
        f"{route.method} {route.resource.canonical}"
        for route in box.app.router.routes()
        if route.method != "HEAD" and "session_id" in route.resource.canonical
    }
    tried = {
        f"{method} {path.partition('?')[0].replace('{id}', '{session_id}')}" for method, path, _ in FOREIGN
    }
    sockets = {"GET /ws/transcribe/{session_id}", "GET /ws/listen/{session_id}"}
    assert named == tried | sockets


@pytest.fixture
async def two(lan) -> tuple[Guarded, Visitor, Visitor]:
    """A box, a clinician, and another program that would like to know."""
    box = await lan()
    return box, await box.person("clinician"), await box.program()


class TestAForeignSession:
    @pytest.mark.parametrize(("method", "path", "body"), FOREIGN)
    async def test_is_answered_as_one_that_is_not_there(self, two, method, path, body):
        _, anna, other = two
        session_id = await spoken(anna)
        foreign = await other.ask(method, path.replace("{id}", session_id), body)
        nowhere = session_id.replace("visit-1", "visit-2")
        assert foreign == await other.ask(method, path.replace("{id}", nowhere), body)
        assert foreign[0] == 404

    @pytest.mark.parametrize(("method", "path", "body"), FOREIGN)
    async def test_also_while_it_is_under_way(self, two, method, path, body):
        box, anna, other = two
        session_id = await spoken(anna, end=False)
        foreign = await other.ask(method, path.replace("{id}", session_id), body)
        nowhere = session_id.replace("visit-1", "visit-2")
        assert foreign == await other.ask(method, path.replace("{id}", nowhere), body)
        assert box.box.registry.find(session_id) is not None

    async def test_cannot_be_listened_to(self, two):
        _, anna, other = two
        session_id = await spoken(anna, end=False)
        told = []
        for name in (session_id, "visit-2"):
            socket = await other.connect(f"/ws/listen/{name}")
            told.append([await socket.receive_json(), (await socket.receive()).data])
        assert told[0] == told[1]
        assert told[0][0]["code"] == "no_such_session"

    async def test_is_in_no_list_count_or_search_of_others(self, two):
        _, anna, other = two
        await spoken(anna)
        live = await spoken(anna, "/ws/transcribe", end=False)
        _, listed = await other.get("/api/v1/sessions")
        assert (listed["sessions"], listed["total"]) == ([], 0)
        _, active = await other.get("/api/v1/websocket/sessions")
        assert (active["sessions"], active["active_sessions"]) == ([], 0)
        _, found = await other.post("/api/v1/sessions/search", {"words": ["hurts"]})
        assert found["sessions"] == []
        _, own = await anna.get("/api/v1/sessions")
        assert own["total"] == 2
        assert [
            each["session_id"] for each in (await anna.get("/api/v1/websocket/sessions"))[1]["sessions"]
        ] == [live]
        assert len((await anna.post("/api/v1/sessions/search", {"words": ["hurts"]}))[1]["sessions"]) == 1

    async def test_gets_no_broadcast_of_others(self, two):
        _, anna, other = two
        socket = await anna.connect()
        await received(socket, "connected")
        status, body = await other.post("/api/v1/websocket/broadcast", {"type": "announcement"})
        assert (status, body["sessions"]) == (200, 0)
        assert (await anna.post("/api/v1/websocket/broadcast", {"type": "announcement"}))[1]["sessions"] == 1
        await received(socket, "announcement")

    async def test_may_have_the_name_one_chooses_and_nobody_notices(self, two):
        """Live, ended, deserted: a name is free for whoever has not used it himself."""
        box, anna, other = two
        first = await spoken(anna, end=False)
        second = await spoken(other, end=False)
        assert first != second
        assert {session.id for session in box.box.registry} == {first, second}
        await other.post("/api/v1/websocket/sessions/visit-1/end")
        assert [session.id for session in box.box.registry] == [first]

    async def test_does_not_come_back_to_somebody_else(self, two):
        box, anna, other = two
        socket = await anna.connect("/ws/transcribe/visit-1")
        session_id = str((await received(socket, "connected"))["session_id"])
        socket._response.connection.transport.abort()
        async with asyncio.timeout(10):
            while not box.box.registry.find(session_id).deserted:
                await asyncio.sleep(0.01)
        for name in ("visit-1", session_id):
            greeting = await received(await other.connect(f"/ws/transcribe/{name}"), "connected")
            assert greeting["resumed"] is False
            assert greeting["session_id"] != session_id
            await other.post(f"/api/v1/websocket/sessions/{greeting['session_id']}/end")
        back = await received(await anna.connect(f"/ws/transcribe/{session_id}"), "connected")
        assert (back["session_id"], back["resumed"]) == (session_id, True)

    async def test_is_not_counted_in_what_is_told_of_the_load(self, two):
        box, anna, other = two
        await spoken(anna, end=False)
        socket = await other.connect("/ws/transcribe?load=1")
        await received(socket, "connected")
        teller = asyncio.create_task(box.box.registry.tell_load(every=0.05))
        try:
            assert (await received(socket, "load"))["sessions"] == 1
        finally:
            teller.cancel()

    async def test_takes_as_long_as_one_that_is_not_there(self, two):
        _, anna, other = two
        session_id = await spoken(anna)
        nowhere = session_id.replace("visit-1", "visit-2")

        async def seconds(name: str) -> float:
            began = time.perf_counter()
            assert (await other.get(f"/api/v1/sessions/{name}"))[0] == 404
            return time.perf_counter() - began

        await seconds(nowhere)
        times: dict[str, list[float]] = {session_id: [], nowhere: []}
        for _ in range(40):
            for name, seen in times.items():
                seen.append(await seconds(name))
        one, other_one = (median(seen) for seen in times.values())
        assert abs(one - other_one) < 0.5 * max(one, other_one)


class TestReach:
    async def test_a_name_of_ones_own_is_found_by_it_and_by_the_id(self, two):
        _, anna, _ = two
        session_id = await spoken(anna)
        assert session_id.startswith("visit-1.a-")
        for name in ("visit-1", session_id):
            assert (await anna.get(f"/api/v1/sessions/{name}"))[1]["session_id"] == session_id
        again = await anna.connect("/ws/transcribe/visit-1")
        assert (await received(again, "error"))["code"] == "session_exists"

    async def test_an_id_given_out_cannot_be_guessed(self, two):
        _, anna, _ = two
        ids = {await spoken(anna, "/ws/transcribe") for _ in range(3)}
        assert len(ids) == 3
        assert all(len(each.partition(".")[0]) >= 22 for each in ids)

    async def test_clinicians_who_share_reach_each_others_visits_and_the_boxs_own(self, lan):
        box = await lan(access=Terms(shared_visits=True))
        anna, bert = await box.person("clinician"), await box.person("clinician", "Bert")
        program = await box.program()
        session_id = await spoken(anna)
        assert (await bert.get(f"/api/v1/sessions/{session_id}/transcript"))[0] == 200
        assert (await bert.get("/api/v1/sessions"))[1]["total"] == 1
        assert (await bert.ask("DELETE", f"/api/v1/sessions/{session_id}"))[0] == 404
        assert (await program.get(f"/api/v1/sessions/{session_id}"))[0] == 404

    async def test_a_reader_reads_everything_and_changes_nothing(self, two):
        box, anna, _ = two
        reader = await box.person("reader", "Rita")
        session_id = await spoken(anna)
        assert (await reader.get(f"/api/v1/sessions/{session_id}/transcript"))[0] == 200
        assert (await reader.ask("PATCH", f"/api/v1/sessions/{session_id}/details", {}))[0] == 403
        assert (await reader.ask("DELETE", f"/api/v1/sessions/{session_id}"))[0] == 403

    async def test_an_operator_keeps_the_box_and_reads_no_word(self, two):
        box, anna, _ = two
        operator = (
            await box.operator() if box.box.joining.setup_code else await box.person("operator", "Olga")
        )
        session_id = await spoken(anna, end=False)
        assert (await operator.get(f"/api/v1/sessions/{session_id}/transcript"))[0] == 403
        assert (await operator.post("/api/v1/sessions/search", {"words": ["hurts"]}))[0] == 403
        socket = await operator.connect(f"/ws/listen/{session_id}")
        assert (await received(socket, "error"))["code"] == "forbidden"
        assert (await operator.post(f"/api/v1/websocket/sessions/{session_id}/end"))[0] == 200
        status, audit = await operator.get("/api/v1/audit")
        assert status == 200
        assert "hurts" not in str(audit)

    async def test_who_speaks_from_the_box_reaches_everything(self, two):
        box, anna, _ = two
        session_id = await spoken(anna)
        async with box.box.http.get(f"{box.box.url}/api/v1/sessions/{session_id}/transcript") as answer:
            assert answer.status == 200
            assert "hurts" in await answer.text()

    async def test_what_was_opened_from_the_box_keeps_its_name(self, two):
        box, anna, _ = two
        socket = await box.box.connect("/ws/transcribe/visit-1")
        assert (await received(socket, "connected"))["session_id"] == "visit-1"
        own = await anna.connect("/ws/transcribe/visit-1")
        assert str((await received(own, "connected"))["session_id"]).startswith("visit-1.a-")

    async def test_a_recording_sent_as_a_file_is_its_senders(self, two):
        box, anna, other = two
        listed = await other.get("/api/v1/sessions")
        async with box.box.http.post(
            f"{box.box.url}/api/v1/transcriptions",
            data=(box.box.web.parent / "tests/data/names.flac").read_bytes(),
        ) as answer:
            name = (await answer.json())["id"]
        for who in (anna, other):
            assert (await who.get(f"/api/v1/transcriptions/{name}"))[0] == 404
            assert (await who.ask("DELETE", f"/api/v1/transcriptions/{name}"))[0] == 404
        assert await other.get("/api/v1/sessions") == listed

    async def test_the_audit_knows_him_by_his_id_and_nobody_by_name(self, two):
        box, anna, _ = two
        _, me = await anna.get("/api/v1/me")
        session_id = await spoken(anna)
        await anna.get(f"/api/v1/sessions/{session_id}/transcript")
        rows = await box.audit()
        mine = {row["action"] for row in rows if row["actor"] == me["id"]}
        assert {"login", "session.opened", "transcript.read"} <= mine
        assert "Anna" not in str(rows)


class TestSecretsInLogs:
    async def test_no_token_ticket_cookie_name_or_password_is_in_the_log(self, two, caplog):
        caplog.set_level("DEBUG")
        box, anna, other = two
        ticket = await anna.ticket()
        await received(await anna.socket(f"/ws/transcribe?ticket={ticket}"), "connected")
        await received(await other.socket(f"/ws/transcribe?token={other.token}"), "connected")
        await other.socket("/ws/transcribe?token=Wolpertinger")
        await (await box.browser()).post(
            "/api/v1/login", {"name": "Anna", "password": "Wolpertinger's words"}
        )
        (cookie,) = anna.http.cookie_jar
        ours = "\n".join(
            record.getMessage() + str(vars(record))
            for record in caplog.records
            if record.name.startswith("ambientd")
        )
        for secret in (ticket, other.token, "Wolpertinger", cookie.value, "Anna"):
            assert secret not in ours
