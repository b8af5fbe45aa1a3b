"""Set-up, log-in, locking and tickets, over TLS, as browsers and programs meet them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from entered import PASSWORD, Visitor

from ambientd.access import passwords
from ambientd.access.gate import Terms
from ambientd.api import me
from ambientd.errors import ClientError
from ambientd.store.people import By


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def later(self, **how: float) -> None:
        self.time += timedelta(**how)


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Close code and reason, whatever is said before."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra
            if message.type is not aiohttp.WSMsgType.TEXT:
                return socket.close_code, ""


class TestSetUp:
    async def test_makes_an_operator_and_logs_him_in(self, lan):
        box = await lan()
        browser = await box.browser()
        status, body = await browser.get("/api/v1/me")
        assert (status, body["code"], body["setup_needed"]) == (401, "unauthenticated", True)
        operator = await box.operator()
        status, body = await operator.get("/api/v1/me")
        assert (status, body["role"], body["local"], body["setup_needed"]) == (200, "operator", False, False)

    async def test_a_wrong_code_makes_nobody(self, lan):
        box = await lan()
        wanted = {"code": "AAAA-AAAA", "name": "Olga", "password": PASSWORD}
        status, body = await (await box.browser()).post("/api/v1/setup", wanted)
        assert (status, body["code"]) == (401, "bad_code")
        assert box.box.joining.setup_code is not None
        assert {
            "actor": "client",
            "action": "setup",
            "object": None,
            "outcome": "refused",
        } in await box.audit()

    async def test_what_is_no_text_is_a_bad_request_and_no_defect(self, lan):
        browser = await (await lan()).browser()
        fields = {
            "setup": ("code", "name", "password"),
            "login": ("name", "password"),
            "break-glass": ("code",),
            "pairings": ("name",),
        }
        for odd in (None, 7, ["x"], {"a": 1}, "\ud800", "\0", "x" * 5000):
            for path, names in fields.items():
                status, _ = await browser.post(f"/api/v1/{path}", dict.fromkeys(names, odd))
                assert status in ({400, 401} if isinstance(odd, str) else {400}), (path, odd)

    async def test_the_code_is_used_once_also_by_two_at_the_same_time(self, lan):
        box = await lan()
        code = box.box.joining.setup_code
        tries = [
            (await box.browser()).post(
                "/api/v1/setup", {"code": code, "name": f"Olga {n}", "password": PASSWORD}
            )
            for n in range(5)
        ]
        answers = await asyncio.gather(*tries)
        assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]
        assert len(box.box.gate.roster.accounts) == 1

    async def test_a_code_is_taken_however_it_is_typed(self, lan):
        box = await lan()
        code = box.box.joining.setup_code.replace("-", " ").lower()
        wanted = {"code": code, "name": "Olga", "password": PASSWORD}
        assert (await (await box.browser()).post("/api/v1/setup", wanted))[0] == 200

    async def test_a_short_password_is_refused_without_quoting_it(self, lan):
        box = await lan()
        wanted = {"code": box.box.joining.setup_code, "name": "Olga", "password": "Zorbanix"}
        status, body = await (await box.browser()).post("/api/v1/setup", wanted)
        assert (status, body["code"]) == (400, "bad_password")
        assert "Zorbanix" not in str(body)


class TestLogIn:
    async def test_the_cookie_is_for_this_host_and_out_of_reach_of_scripts(self, lan):
        browser = await (await lan()).operator()
        (cookie,) = browser.http.cookie_jar
        assert cookie.key == "__Host-ambientd"
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (
            True,
            True,
            "Strict",
            "/",
        )
        assert cookie["domain"] in {"", "127.0.0.1"}

    @pytest.mark.parametrize(
        ("name", "password"), [("Anna", "something else entirely"), ("Nobody", PASSWORD), ("anna ", "")]
    )
    async def test_wrong_names_and_passwords_are_told_apart_by_nobody(self, lan, name, password):
        box = await lan()
        await box.person("clinician")
        status, body = await (await box.browser()).post("/api/v1/login", {"name": name, "password": password})
        assert (status, body) == (401, {"detail": "name or password is wrong", "code": "bad_login"})

    async def test_a_name_is_taken_as_it_is_read(self, lan):
        box = await lan()
        await box.person("clinician", "Ånna")
        wanted = {"name": " a\u030aNNA ", "password": PASSWORD}
        assert (await (await box.browser()).post("/api/v1/login", wanted))[0] == 200

    async def test_a_cookie_taken_before_log_out_opens_nothing_after_it(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        (cookie,) = anna.http.cookie_jar
        stolen = {"Cookie": f"{cookie.key}={cookie.value}"}
        thief = await box.browser()
        assert (await thief.get("/api/v1/sessions", headers=stolen))[0] == 200
        assert (await anna.post("/api/v1/logout"))[0] == 200
        assert (await thief.get("/api/v1/sessions", headers=stolen))[0] == 401
        assert (await anna.get("/api/v1/sessions"))[0] == 401

    async def test_logging_in_again_ends_the_log_in_before(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        (cookie,) = anna.http.cookie_jar
        before = {"Cookie": f"{cookie.key}={cookie.value}"}
        await anna.post("/api/v1/login", {"name": "Anna", "password": PASSWORD})
        assert (await (await box.browser()).get("/api/v1/sessions", headers=before))[0] == 401
        assert (await anna.get("/api/v1/sessions"))[0] == 200

    async def test_a_log_in_ends_at_its_time_whatever_is_done_with_it(self, lan):
        clock = Clock()
        box = await lan(clock=clock, access=Terms(idle=None, login=timedelta(hours=2)))
        anna = await box.person("clinician")
        clock.later(hours=1, minutes=59)
        assert (await anna.get("/api/v1/sessions"))[0] == 200
        clock.later(minutes=1)
        assert (await anna.get("/api/v1/sessions"))[0] == 401

    async def test_a_password_changed_ends_the_other_log_ins(self, lan):
        box = await lan()
        anna, tablet = await box.person("clinician"), await box.browser()
        await tablet.post("/api/v1/login", {"name": "Anna", "password": PASSWORD})
        new = {"old": PASSWORD, "new": "quite another set of words"}
        assert (await anna.post("/api/v1/me/password", new))[0] == 200
        assert (await tablet.get("/api/v1/sessions"))[0] == 401
        assert (await anna.get("/api/v1/sessions"))[0] == 200
        assert (await tablet.post("/api/v1/login", {"name": "Anna", "password": PASSWORD}))[0] == 401

    async def test_a_log_in_under_way_while_the_password_changes_ends_with_the_old_one(self, lan):
        box = await lan()
        await box.person("clinician")
        gate = box.box.gate
        before = next(iter(gate.roster.accounts.values()))
        await box.box.joining.set_password(before.id, "quite another set of words", By("local"))
        with pytest.raises(ClientError, match="wrong"):
            await gate.begin(before, timedelta(hours=1), By(before.id))
        assert gate.roster.logins == {}
        assert (await gate.people.known()).logins == []

    async def test_what_ended_long_ago_is_forgotten(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        await box.person("clinician")
        clock.later(days=29)
        await box.box.gate.sweep()
        assert len((await box.box.gate.people.known()).logins) == 1
        clock.later(days=2)
        await box.box.gate.sweep()
        assert (await box.box.gate.people.known()).logins == []

    async def test_an_unknown_name_takes_as_long_as_a_wrong_password(self, lan, monkeypatch):
        """Each is hashed once, at the same cost: nothing else in a log-in takes time."""
        box = await lan()
        await box.person("clinician")
        passwords, hashed = box.box.gate.passwords, []
        real = passwords._hash

        async def count(password: str, salt: bytes, log2_n: int) -> bytes:
            hashed.append((len(salt), log2_n))
            return await real(password, salt, log2_n)

        monkeypatch.setattr(passwords, "_hash", count)
        browser = await box.browser()
        for name in ("Anna", "Nobody"):
            await browser.post("/api/v1/login", {"name": name, "password": "wrong words, many of them"})
        assert len(hashed) == 2
        assert hashed[0] == hashed[1]

    async def test_too_many_at_once_are_told_to_come_again(self, lan, monkeypatch):
        box = await lan()
        go_on = asyncio.Event()
        real = box.box.gate.passwords._hash

        async def slow(password: str, salt: bytes, log2_n: int) -> bytes:
            await go_on.wait()
            return await real(password, salt, log2_n)

        monkeypatch.setattr(passwords, "WAITING", 3)
        monkeypatch.setattr(box.box.gate.passwords, "_hash", slow)
        tries = [
            asyncio.create_task(
                (await box.browser()).post("/api/v1/login", {"name": "Nobody", "password": "x"})
            )
            for _ in range(10)
        ]
        await asyncio.sleep(0.3)
        go_on.set()
        statuses = [status for status, _ in await asyncio.gather(*tries)]
        assert sorted(statuses) == [401] * 3 + [429] * 7

    async def test_wrong_attempts_are_counted_by_address_and_refused_before_hashing(self, lan):
        class Strict:
            wrong = 0

            def check(self, address: str) -> None:
                assert address == "127.0.0.1"
                if self.wrong >= 2:
                    raise ClientError("too_many_requests", "too many log-ins", retry_after=60)

            def failed(self, address: str) -> None:
                self.wrong += 1

        box = await lan(attempts=Strict())
        await box.person("clinician")
        browser = await box.browser()
        for _ in range(2):
            await browser.post("/api/v1/login", {"name": "Anna", "password": "wrong words"})
        status, body = await browser.post("/api/v1/login", {"name": "Anna", "password": PASSWORD})
        assert (status, body["code"]) == (429, "too_many_requests")

    async def test_no_password_is_heard_over_the_network_in_clear(self, lan, monkeypatch):
        box = await lan()
        monkeypatch.setattr(me, "is_on_loopback", lambda _request: False)
        browser = await box.browser()
        wanted = {"name": "Anna", "password": PASSWORD}
        assert (await browser.post("/api/v1/login", wanted))[1]["code"] == "bad_login"
        async with box.box.http.post(f"{box.box.url}/api/v1/login", json=wanted) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "needs_tls")


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
            {"Origin": "http://127.0.0.1:1"},
        ],
    )
    async def test_a_foreign_page_changes_nothing_with_the_cookie(self, lan, headers):
        anna = await (await lan()).person("clinician")
        status, _ = await anna.post("/api/v1/tickets", headers=headers)
        assert status == 403

    async def test_a_request_that_changes_something_must_say_where_it_comes_from(self, lan):
        anna = await (await lan()).person("clinician")
        async with anna.http.post(anna.url + "/api/v1/tickets", json={}, ssl=False) as answer:
            assert answer.status == 401

    async def test_the_unencrypted_page_of_the_same_box_is_another_site(self, lan):
        anna = await (await lan()).person("clinician")
        plain = anna.url.replace("https", "http")
        assert (await anna.post("/api/v1/tickets", headers={"Origin": plain}))[0] in {401, 403}

    async def test_what_a_browser_says_came_from_another_site_is_not_answered(self, lan):
        anna = await (await lan()).person("clinician")
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert (await anna.get("/api/v1/sessions", headers=headers))[0] == 401


class TestTickets:
    async def test_a_ticket_opens_one_socket(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        ticket = await anna.ticket()
        socket = await anna.socket(f"/ws/transcribe?ticket={ticket}")
        assert (await socket.receive_json())["type"] == "connected"
        again = await anna.socket(f"/ws/transcribe?ticket={ticket}")
        assert await closed_with(again) == (1008, "Authentication failed")

    async def test_the_cookie_alone_opens_no_socket(self, lan):
        anna = await (await lan()).person("clinician")
        assert await closed_with(await anna.socket("/ws/transcribe")) == (1008, "Authentication failed")

    async def test_a_ticket_without_the_cookie_it_was_taken_with_is_of_no_use(self, lan):
        box = await lan()
        anna, thief = await box.person("clinician"), await box.browser()
        socket = await thief.socket(f"/ws/transcribe?ticket={await anna.ticket()}")
        assert await closed_with(socket) == (1008, "Authentication failed")

    async def test_a_ticket_is_for_what_it_was_taken_for(self, lan):
        anna = await (await lan()).person("clinician")
        ticket = await anna.ticket("listen")
        assert await closed_with(await anna.socket(f"/ws/transcribe?ticket={ticket}")) == (
            1008,
            "Authentication failed",
        )

    async def test_a_page_of_another_site_gets_no_socket(self, lan):
        anna = await (await lan()).person("clinician")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await anna.socket(
                f"/ws/transcribe?ticket={await anna.ticket()}", headers={"Origin": "https://evil.example"}
            )
        assert refused.value.status == 403


class TestTokens:
    async def test_a_program_shows_its_token_in_a_header(self, lan):
        program = await (await lan()).program()
        status, body = await program.get("/api/v1/me")
        assert (status, body["kind"], body["role"]) == (200, "device", "integration")

    async def test_a_token_in_the_address_opens_a_socket_as_the_seed_has_it(self, lan):
        box = await lan()
        program, nobody = await box.program(), await box.browser()
        socket = await nobody.socket(f"/ws/transcribe?token={program.token}")
        assert (await socket.receive_json())["type"] == "connected"

    async def test_and_nothing_else(self, lan):
        box = await lan()
        program, nobody = await box.program(), await box.browser()
        assert (await nobody.get(f"/api/v1/sessions?token={program.token}"))[0] == 401

    @pytest.mark.parametrize("query", ["?token=wrong", "?token=", "", "?ticket=wrong"])
    async def test_a_wrong_one_is_told_as_the_seed_tells_it(self, lan, query):
        nobody = await (await lan()).browser()
        socket = await nobody.socket(f"/ws/transcribe{query}")
        assert (await socket.receive_json())["code"] == "unauthenticated"
        assert await closed_with(socket) == (1008, "Authentication failed")

    @pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic YTpi", "bearer  "])
    async def test_a_wrong_header_does_not_fall_back_on_the_cookie(self, lan, header):
        anna = await (await lan()).person("clinician")
        assert (await anna.get("/api/v1/sessions", headers={"Authorization": header}))[0] == 401

    async def test_a_cookie_is_no_token(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        (cookie,) = anna.http.cookie_jar
        header = {"Authorization": f"Bearer {cookie.value}"}
        assert (await (await box.browser()).get("/api/v1/sessions", headers=header))[0] == 401

    async def test_what_is_kept_opens_nothing(self, lan):
        """Whoever reads the file finds no token, cookie, password or code in it."""
        box = await lan()
        program, anna = await box.program(), await box.person("clinician")
        (cookie,) = anna.http.cookie_jar
        contents = b"".join(
            path.read_bytes()
            for path in box.box.database.path.parent.iterdir()
            if path.name.startswith("test.db")
        )
        assert b"Anna" in contents
        for secret in (program.token, cookie.value, PASSWORD):
            assert secret.encode() not in contents


class TestRevoked:
    async def test_a_revoked_programs_sockets_are_closed_at_once(self, lan):
        box = await lan()
        operator, program = await box.operator(), await box.program()
        socket = await program.connect()
        assert (await socket.receive_json())["type"] == "connected"
        (device,) = box.box.gate.roster.devices
        assert (await operator.ask("DELETE", f"/api/v1/devices/{device}"))[0] == 200
        assert await closed_with(socket) == (1008, "Authentication failed")
        assert (await program.get("/api/v1/sessions"))[0] == 401
        assert await closed_with(await program.socket("/ws/transcribe")) == (1008, "Authentication failed")

    async def test_a_token_that_has_ended_reads_no_more_and_what_it_records_goes_on(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        program = await box.program()
        recording = await program.connect("/ws/transcribe/visit-1")
        session_id = (await recording.receive_json())["session_id"]
        reading = await program.connect(f"/ws/listen/{session_id}")
        assert (await reading.receive_json())["type"] == "listening"
        clock.later(days=364)
        await box.box.gate.sweep()
        assert not reading.closed
        clock.later(days=1)
        await box.box.gate.sweep()
        assert (await closed_with(reading))[0] == 1008
        await recording.send_json({"type": "ping"})
        assert (await recording.receive_json())["type"] == "pong"

    async def test_nobody_slips_in_while_he_is_put_out(self, lan):
        box = await lan()
        operator, program = await box.operator(), await box.program()
        (device,) = box.box.gate.roster.devices

        async def come() -> None:
            for _ in range(10):
                try:
                    socket = await program.connect()
                    await closed_with(socket)
                except (aiohttp.ClientError, ConnectionError):
                    return

        coming = [asyncio.create_task(come()) for _ in range(5)]
        await asyncio.sleep(0.02)
        await operator.ask("DELETE", f"/api/v1/devices/{device}")
        async with asyncio.timeout(20):
            await asyncio.gather(*coming)
        here = [
            each for each in box.box.gate.presences._here if each.principal.id == device and not each.gone
        ]
        assert here == []

    async def test_twice_is_told(self, lan):
        box = await lan()
        operator, _ = await box.operator(), await box.program()
        (device,) = box.box.gate.roster.devices
        answers = await asyncio.gather(
            *(operator.ask("DELETE", f"/api/v1/devices/{device}") for _ in range(4))
        )
        assert sorted(status for status, _ in answers) == [200, 404, 404, 404]

    async def test_the_last_operator_cannot_put_himself_out(self, lan):
        box = await lan()
        operator = await box.operator()
        _, me = await operator.get("/api/v1/me")
        status, body = await operator.ask("DELETE", f"/api/v1/accounts/{me['id']}")
        assert (status, body["code"]) == (409, "last_operator")

    async def test_who_was_revoked_stays_so_over_a_restart(self, lan, open_box, tmp_path):
        box = await lan()
        program = await box.program()
        (device,) = box.box.gate.roster.devices
        async with box.box.http.delete(f"{box.box.url}/api/v1/devices/{device}") as answer:
            assert answer.status == 200
        known = await box.box.gate.people.known()
        assert known.devices[0].revoked_at is not None
        assert program.token is not None
        assert known.logins == []


class TestLock:
    async def test_a_browser_that_nobody_touches_is_locked_and_its_paused_recording_stays(self, lan):
        clock = Clock()
        box = await lan(clock=clock, access=Terms(idle=timedelta(minutes=15)))
        anna = await box.person("clinician")
        recording = await anna.connect("/ws/transcribe/visit-1")
        session_id = (await recording.receive_json())["session_id"]
        reading = await anna.connect(f"/ws/listen/{session_id}")
        assert (await reading.receive_json())["type"] == "listening"
        await recording.send_json({"type": "pause"})
        while (await recording.receive_json())["type"] != "recording":
            pass
        clock.later(minutes=15)
        await box.box.gate.sweep()
        assert (await closed_with(reading))[0] == 1008
        status, body = await anna.get("/api/v1/sessions")
        assert (status, body["code"]) == (423, "locked")
        assert (await anna.get("/api/v1/me"))[1]["locked"] is True
        await recording.send_json({"type": "ping"})
        assert (await recording.receive_json())["type"] == "pong"
        assert {
            "actor": "box",
            "action": "lock",
            "object": (await anna.get("/api/v1/me"))[1]["id"],
            "outcome": "ok",
        } in (await box.audit())

    async def test_whoever_records_is_not_locked_until_he_has_ended_and_gone(self, lan):
        clock = Clock()
        box = await lan(clock=clock, access=Terms(idle=timedelta(minutes=15)))
        anna = await box.person("clinician")
        elsewhere = await box.person("clinician", "Bert")
        recording = await anna.connect("/ws/transcribe/visit-1")
        await recording.receive_json()
        for _ in range(20):
            clock.later(minutes=1)
            await box.box.gate.sweep()
        assert (await anna.get("/api/v1/me"))[1]["locked"] is False
        assert (await elsewhere.get("/api/v1/me"))[1]["locked"] is True
        await recording.send_json({"type": "end_session"})
        while (await recording.receive_json())["type"] != "session_ended":
            pass
        clock.later(minutes=14)
        await box.box.gate.sweep()
        assert (await anna.get("/api/v1/me"))[1]["locked"] is False
        clock.later(minutes=2)
        await box.box.gate.sweep()
        assert (await anna.get("/api/v1/me"))[1]["locked"] is True

    async def test_a_touch_keeps_it_open(self, lan):
        clock = Clock()
        anna = await (await lan(clock=clock)).person("clinician")
        for _ in range(3):
            clock.later(minutes=10)
            assert (await anna.post("/api/v1/me/seen"))[0] == 200
        clock.later(minutes=16)
        assert (await anna.post("/api/v1/me/seen"))[0] == 423

    async def test_a_locked_browser_takes_its_recording_up_again_and_begins_none(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        recording = await anna.connect("/ws/transcribe/visit-1")
        greeting = await recording.receive_json()
        await anna.post("/api/v1/lock")
        recording._response.connection.transport.abort()
        again = await anna.connect("/ws/transcribe/visit-1?resume=1")
        await again.send_json({"type": "resume", "token": greeting["resume_token"]})
        assert (await again.receive_json())["resumed"] is True
        other = await anna.connect("/ws/transcribe/visit-2")
        assert (await other.receive_json())["code"] == "locked"
        assert (await anna.post("/api/v1/tickets", {"purpose": "listen"}))[0] == 423

    async def test_it_is_locked_when_its_time_is_over_also_before_anybody_looked(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        anna = await box.person("clinician")
        clock.later(minutes=16)
        assert (await anna.get("/api/v1/sessions"))[0] == 423

    async def test_what_a_page_asks_by_itself_keeps_it_not_open(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        anna = await box.person("clinician")
        for _ in range(3):
            clock.later(minutes=6)
            by_itself = {"Ambientd-Background": "1"}
            await anna.get("/api/v1/sessions", headers=by_itself)
            _, body = await anna.post("/api/v1/tickets", {"purpose": "listen"}, headers=by_itself)
            if "ticket" in body:
                listening = await anna.socket(f"/ws/listen/none?ticket={body['ticket']}")
                assert (await listening.receive_json())["code"] == "no_such_session"
        assert (await anna.get("/api/v1/sessions"))[0] == 423

    async def test_whoever_goes_on_is_not_locked(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        anna = await box.person("clinician")
        for _ in range(4):
            clock.later(minutes=10)
            assert (await anna.get("/api/v1/sessions"))[0] == 200

    async def test_nor_do_its_tickets_and_sockets(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        anna = await box.person("clinician")
        socket = await anna.connect("/ws/transcribe/visit-1")
        session_id = (await socket.receive_json())["session_id"]
        for _ in range(2):
            clock.later(minutes=6)
            _, shown = await anna.post(
                "/api/v1/tickets", {"purpose": "listen"}, headers={"Ambientd-Background": "1"}
            )
            reading = await anna.socket(f"/ws/listen/{session_id}?ticket={shown['ticket']}")
            assert (await reading.receive_json())["type"] == "listening"
        clock.later(minutes=6)
        assert (await anna.get("/api/v1/sessions"))[0] == 423

    async def test_what_could_not_be_unlocked_is_not_locked(self, lan):
        status, body = await (await (await lan()).program()).post("/api/v1/lock")
        assert (status, body["code"]) == (409, "cannot_lock")

    async def test_a_password_unlocks_it(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        assert (await anna.post("/api/v1/lock"))[0] == 200
        assert (await anna.get("/api/v1/sessions"))[0] == 423
        assert (await anna.post("/api/v1/unlock", {"password": "not this one at all"}))[0] == 401
        assert (await anna.get("/api/v1/sessions"))[0] == 423
        status, body = await anna.post("/api/v1/unlock", {"password": PASSWORD})
        assert (status, body["locked"]) == (200, False)
        assert (await anna.get("/api/v1/sessions"))[0] == 200

    async def test_a_locked_one_can_still_log_out(self, lan):
        anna = await (await lan()).person("clinician")
        await anna.post("/api/v1/lock")
        assert (await anna.post("/api/v1/logout"))[0] == 200
        assert (await anna.get("/api/v1/me"))[0] == 401


class TestPairing:
    async def paired(self, box, role: str = "clinician") -> Visitor:
        tablet = await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        async with box.box.http.post(
            f"{box.box.url}/api/v1/pairings/{asked['pairing_id']}/approve", json={"role": role}
        ) as answer:
            assert answer.status == 200
        headers = {"X-Pairing-Secret": asked["secret"]}
        assert (await tablet.get(f"/api/v1/pairings/{asked['pairing_id']}", headers=headers))[1] == {
            "status": "approved"
        }
        return tablet

    async def test_an_operator_compares_and_approves(self, lan):
        box = await lan()
        operator, tablet = await box.operator(), await box.browser()
        status, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        assert status == 201
        address, secret = f"/api/v1/pairings/{asked['pairing_id']}", {"X-Pairing-Secret": asked["secret"]}
        assert (await tablet.get(address, headers=secret))[1] == {"status": "waiting"}
        _, listed = await operator.get("/api/v1/pairings")
        assert [(each["name"], each["code"]) for each in listed["pairings"]] == [("Room 3", asked["code"])]
        assert "secret" not in str(listed)
        assert (await operator.post(f"{address}/approve", {"role": "clinician"}))[0] == 200
        assert (await tablet.get(address, headers=secret))[1] == {"status": "approved"}
        status, me = await tablet.get("/api/v1/me")
        assert (status, me["kind"], me["role"], me["name"]) == (200, "device", "clinician", "Room 3")

    async def test_nobody_else_learns_of_it_or_takes_it(self, lan):
        box = await lan()
        tablet, other = await box.browser(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        address = f"/api/v1/pairings/{asked['pairing_id']}"
        for headers in ({}, {"X-Pairing-Secret": "wrong"}):
            with_id = await other.get(address, headers=headers)
            without = await other.get("/api/v1/pairings/p-0000000000", headers=headers)
            assert with_id == without
            assert with_id[0] == 404

    async def test_a_number_typed_in_must_be_the_right_one(self, lan):
        box = await lan()
        operator, tablet = await box.operator(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        address = f"/api/v1/pairings/{asked['pairing_id']}/approve"
        wrong = "000000" if asked["code"] != "000000" else "111111"
        assert (await operator.post(address, {"role": "clinician", "code": wrong}))[0] == 401
        assert (await operator.post(address, {"role": "clinician", "code": asked["code"]}))[0] == 200

    async def test_approved_by_two_at_once_it_is_one_device(self, lan):
        box = await lan()
        operator, tablet = await box.operator(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        address = f"/api/v1/pairings/{asked['pairing_id']}/approve"
        answers = await asyncio.gather(*(operator.post(address, {"role": "clinician"}) for _ in range(5)))
        assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]
        assert len(box.box.gate.roster.devices) == 1
        assert len((await box.box.gate.people.known()).devices) == 1

    async def test_refused(self, lan):
        box = await lan()
        operator, tablet = await box.operator(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        address, secret = f"/api/v1/pairings/{asked['pairing_id']}", {"X-Pairing-Secret": asked["secret"]}
        assert (await operator.post(f"{address}/refuse"))[0] == 200
        assert (await tablet.get(address, headers=secret))[1] == {"status": "refused"}
        assert (await operator.post(f"{address}/approve", {"role": "clinician"}))[0] == 409

    async def test_after_its_time_it_is_over(self, lan):
        clock = Clock()
        box = await lan(clock=clock)
        operator, tablet = await box.operator(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        clock.later(minutes=10)
        address, secret = f"/api/v1/pairings/{asked['pairing_id']}", {"X-Pairing-Secret": asked["secret"]}
        assert (await tablet.get(address, headers=secret))[1] == {"status": "expired"}
        assert (await operator.post(f"{address}/approve", {"role": "clinician"}))[0] == 409

    async def test_one_address_cannot_take_all_places(self, lan):
        box = await lan()
        tablet = await box.browser()
        statuses = [(await tablet.post("/api/v1/pairings", {"name": f"{n}"}))[0] for n in range(5)]
        assert statuses == [201, 201, 201, 429, 429]

    async def test_an_answer_that_was_lost_is_asked_for_again(self, lan):
        box = await lan()
        tablet = await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        async with box.box.http.post(
            f"{box.box.url}/api/v1/pairings/{asked['pairing_id']}/approve", json={"role": "clinician"}
        ) as answer:
            assert answer.status == 200
        address, secret = f"/api/v1/pairings/{asked['pairing_id']}", {"X-Pairing-Secret": asked["secret"]}
        first = await box.browser()
        await first.get(address, headers=secret)  # its answer never arrives
        assert (await tablet.get(address, headers=secret))[1] == {"status": "approved"}
        assert (await tablet.get("/api/v1/me"))[0] == 200
        assert (await first.get("/api/v1/me"))[0] == 401

    async def test_a_device_revoked_before_it_collects_gets_nothing(self, lan):
        box = await lan()
        operator, tablet = await box.operator(), await box.browser()
        _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
        address, secret = f"/api/v1/pairings/{asked['pairing_id']}", {"X-Pairing-Secret": asked["secret"]}
        _, device = await operator.post(f"{address}/approve", {"role": "clinician"})
        await operator.ask("DELETE", f"/api/v1/devices/{device['id']}")
        assert (await tablet.get(address, headers=secret))[1] == {"status": "refused"}
        assert (await tablet.get("/api/v1/me"))[0] == 401

    async def test_a_pin_unlocks_a_tablet_five_times_wrong_and_it_does_not(self, lan):
        box = await lan()
        await box.person("clinician")
        tablet = await self.paired(box)
        assert (await tablet.post("/api/v1/me/pin", {"pin": "1111"}))[0] == 400
        assert (await tablet.post("/api/v1/me/pin", {"pin": "2580"}))[0] == 200
        await tablet.post("/api/v1/lock")
        assert (await tablet.post("/api/v1/unlock", {"pin": "2581"}))[0] == 401
        assert (await tablet.post("/api/v1/unlock", {"pin": "2580"}))[0] == 200
        assert (await tablet.post("/api/v1/me/pin", {"pin": "9731"}))[0] == 401
        assert (await tablet.post("/api/v1/me/pin", {"pin": "9731", "old": "2581"}))[0] == 401
        assert (await tablet.post("/api/v1/me/pin", {"pin": "9731", "old": "2580"}))[0] == 200
        by_password = {"pin": "2580", "name": "Anna", "password": PASSWORD}
        assert (await tablet.post("/api/v1/me/pin", by_password))[0] == 200
        await tablet.post("/api/v1/lock")
        for _ in range(5):
            assert (await tablet.post("/api/v1/unlock", {"pin": "2581"}))[0] == 401
        assert (await tablet.post("/api/v1/unlock", {"pin": "2580"}))[0] == 401
        assert (await tablet.post("/api/v1/unlock", {"name": "Anna", "password": PASSWORD}))[0] == 200
        assert (await tablet.get("/api/v1/me"))[1]["kind"] == "device"

    async def test_who_may_not_read_unlocks_no_tablet_that_may(self, lan):
        box = await lan()
        await box.operator()
        tablet = await self.paired(box)
        await tablet.post("/api/v1/lock")
        shown = {"name": "Olga", "password": PASSWORD}
        status, body = await tablet.post("/api/v1/unlock", shown)
        assert (status, body["code"]) == (403, "forbidden")
        assert (await tablet.get("/api/v1/sessions"))[0] == 423
        assert ("unlock", "refused") in [(row["action"], row["outcome"]) for row in await box.audit()]

    async def test_a_hundred_pins_at_once_are_a_hundred(self, lan):
        box = await lan()
        tablet = await self.paired(box)
        await tablet.post("/api/v1/me/pin", {"pin": "2580"})
        await tablet.post("/api/v1/lock")
        guesses = [f"{n:04}" for n in range(2560, 2600)]
        answers = await asyncio.gather(*(tablet.post("/api/v1/unlock", {"pin": pin}) for pin in guesses))
        assert 200 not in {status for status, _ in answers}

    async def test_a_shared_tablet_is_itself_again_when_somebody_has_logged_out(self, lan):
        box = await lan()
        await box.person("clinician")
        tablet = await self.paired(box)
        await tablet.post("/api/v1/login", {"name": "Anna", "password": PASSWORD})
        assert (await tablet.get("/api/v1/me"))[1]["kind"] == "account"
        await tablet.post("/api/v1/logout")
        assert (await tablet.get("/api/v1/me"))[1]["kind"] == "device"


class TestEmergency:
    async def sealed(self, box) -> str:
        async with box.box.http.post(f"{box.box.url}/api/v1/emergency-code") as answer:
            return str((await answer.json())["code"])

    async def test_the_code_opens_everything_once_for_a_while_and_loudly(self, lan, caplog):
        clock = Clock()
        box = await lan(clock=clock)
        code = await self.sealed(box)
        doctor = await box.browser()
        status, me = await doctor.post("/api/v1/break-glass", {"code": code})
        assert (status, me["role"], "token" in me) == (200, "emergency", False)
        assert (await doctor.get("/api/v1/sessions"))[0] == 200
        assert (await doctor.get("/api/v1/accounts"))[0] == 200
        assert (await (await box.browser()).post("/api/v1/break-glass", {"code": code}))[0] == 401
        assert [r["outcome"] for r in await box.audit() if r["action"] == "emergency.opened"] == [
            "ok",
            "refused",
        ]
        assert any(record.levelname == "CRITICAL" for record in caplog.records)
        assert code not in caplog.text
        clock.later(hours=1)
        assert (await doctor.get("/api/v1/sessions"))[0] == 401

    async def test_used_by_many_at_once_it_opens_to_one(self, lan):
        box = await lan()
        code = await self.sealed(box)
        tries = [(await box.browser()).post("/api/v1/break-glass", {"code": code}) for _ in range(5)]
        assert sorted(status for status, _ in await asyncio.gather(*tries)) == [200, 401, 401, 401, 401]

    async def test_an_operator_can_end_it_and_cannot_make_it(self, lan):
        box = await lan()
        code, operator = await self.sealed(box), await box.operator()
        assert (await operator.post("/api/v1/emergency-code"))[0] == 403
        doctor = await box.browser()
        _, me = await doctor.post("/api/v1/break-glass", {"code": code})
        socket = await doctor.connect()
        assert (await socket.receive_json())["type"] == "connected"
        assert [each["id"] for each in (await operator.get("/api/v1/devices"))[1]["emergencies"]] == [
            me["id"]
        ]
        assert (await operator.ask("DELETE", f"/api/v1/devices/{me['id']}"))[0] == 200
        assert (await closed_with(socket))[0] == 1008
        assert (await doctor.get("/api/v1/me"))[0] == 401

    async def test_without_an_envelope_nothing_opens(self, lan):
        box = await lan()
        for code in ("", "0" * 32, "(withheld)"):
            assert (await (await box.browser()).post("/api/v1/break-glass", {"code": code}))[0] == 401

    async def test_it_is_not_locked(self, lan):
        box = await lan()
        doctor = await box.browser()
        await doctor.post("/api/v1/break-glass", {"code": await self.sealed(box)})
        assert (await doctor.post("/api/v1/lock"))[0] == 409
        assert (await doctor.get("/api/v1/sessions"))[0] == 200

    async def test_a_log_in_of_nobody_known_opens_nothing(self, lan):
        box = await lan()
        anna = await box.person("clinician")
        box.box.gate.roster.accounts.clear()
        assert (await anna.get("/api/v1/me"))[0] == 401


class TestATicketInTheWrongPlace:
    @pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/api/v1/me", "/ws"])
    @pytest.mark.parametrize("shown", ["ticket=x", "token=x"])
    async def test_is_not_looked_at(self, lan, path, shown):
        box = await lan(access=Terms(trust_loopback=False))
        visitor = await box.browser()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        status, _ = await visitor.get(f"{path}?{shown}", headers=upgrade)
        assert status < 500

    async def test_nor_is_a_good_token(self, lan):
        program = await (await lan()).program()
        token, program.token = program.token, None
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        assert (await program.get(f"/api/v1/me?token={token}", headers=headers))[0] == 401


class TestWithoutTrustInTheLoopback:
    async def test_programs_on_the_box_show_a_token_too(self, lan):
        box = await lan(access=Terms(trust_loopback=False))
        async with box.box.http.get(f"{box.box.url}/api/v1/sessions") as answer:
            assert answer.status == 401
