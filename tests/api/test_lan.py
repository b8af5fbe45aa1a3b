"""The door to the network as tablets see it: trusted, hardened, always with a certificate, never plain."""

from __future__ import annotations

import asyncio
import plistlib
import re
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from guests import SPEECH, Guest, known_as
from served import Box

from ambientd.config.lan import Lan
from ambientd.core.access import Role
from ambientd.core.checks import Severity
from ambientd.lan import open_lan

LAN = Lan(port=0, host="127.0.0.1", announce=False)


@pytest.fixture
async def box(open_box) -> Box:
    return await open_box(lan=LAN)


@pytest.fixture
def guest(box) -> Guest:
    return Guest(box)


class TestTrust:
    async def test_who_installed_the_authority_trusts_the_box(self, guest):
        status, _, body = await guest.get("/healthz")
        assert (status, body) == (200, b'{"status": "ok"}')

    async def test_nobody_else_does(self, guest):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            async with aiohttp.ClientSession() as http, http.get(guest.url + "/healthz"):
                pass

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    async def test_old_tls_is_not_spoken(self, guest, version):
        guest.trust.set_ciphers("ALL:@SECLEVEL=0")
        guest.trust.minimum_version = guest.trust.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await guest.raw()

    async def test_tls_12_is_spoken_with_forward_secrecy_only(self, guest):
        guest.trust.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await guest.raw()
        assert writer.get_extra_info("cipher")[0].startswith("ECDHE-ECDSA-")
        writer.close()
        guest.trust.set_ciphers("AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await guest.raw()

    async def test_a_new_certificate_is_shown_without_disturbing_a_session(self, box, guest, monkeypatch):
        known_as(monkeypatch, Role.CLINICIAN)
        async with aiohttp.ClientSession() as http:
            speaking = await http.ws_connect(guest.url + "/ws/transcribe", ssl=guest.trust)
            assert (await speaking.receive_json())["type"] == "connected"
            before = speaking.get_extra_info("ssl_object").getpeercert(binary_form=True)

            await box.network.renew(authority=False)

            _, writer = await guest.raw()
            after = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            await speaking.send_bytes(SPEECH)
            await speaking.send_json({"type": "end_session"})
            kinds = [(await speaking.receive_json())["type"] for _ in range(2)]
        assert kinds == ["transcript", "session_ended"]
        assert before != after

    async def test_the_authority_survives_a_restart(self, open_box, tmp_path):
        first = await open_box(lan=LAN)
        kept = first.network.authority_der
        assert (await open_box(lan=LAN, folder=_copy(tmp_path))).network.authority_der != kept  # another box
        again = type(first.network.certificates)(
            tmp_path / "tls", first.network.certificates._safe, lambda: first.network.names
        )
        await again.look()
        assert again.authority.public_bytes(Encoding.DER) == kept


def _copy(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    return other


class TestPlain:
    async def plain(self, guest: Guest, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", guest.port)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer

    async def test_a_browser_that_forgot_the_s_is_sent_there(self, guest):
        host = f"localhost:{guest.port}".encode()
        answer = await self.plain(guest, b"GET /secret?token=x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 307 ")
        assert b"Location: https://" + host + b"/\r\n" in answer
        assert b"secret" not in answer

    async def test_a_foreign_name_is_not_sent_on(self, guest):
        answer = await self.plain(guest, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert b"evil" not in answer

    async def test_a_header_cannot_be_smuggled_into_the_answer(self, guest):
        answer = await self.plain(guest, b"GET / HTTP/1.1\r\nHost: localhost\rSet-Cookie: a=b\r\n\r\n")
        assert b"Set-Cookie" not in answer

    async def test_what_is_no_protocol_at_all_is_hung_up_on(self, guest):
        with suppress(ConnectionResetError):
            assert await self.plain(guest, b"\x00\x01\x02\x03") == b""


class TestHeaders:
    HARD = (
        "Content-Security-Policy",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "Referrer-Policy",
        "Permissions-Policy",
        "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy",
        "Cache-Control",
    )

    @pytest.mark.parametrize(
        "path", ["/", "/healthz", "/ca", "/nowhere", "/api/v1/sessions", "/ca.svg", "/ca.crt"]
    )
    async def test_every_answer_is_hardened(self, guest, path):
        _, headers, _ = await guest.get(path)
        assert not [name for name in self.HARD if name not in headers]
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"] or path == "/ca.svg"
        assert headers["Server"] == "ambientd"

    async def test_no_answer_lets_another_site_read_it(self, guest):
        _, headers, _ = await guest.get("/healthz", headers={"Origin": f"https://localhost:{guest.port}"})
        assert not [name for name in headers if name.startswith("Access-Control")]

    async def test_pages_may_run_and_fetch_nothing_from_elsewhere(self, guest):
        _, headers, _ = await guest.get("/")
        policy = dict(
            part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["connect-src"] == "'self'"

    async def test_a_name_is_bound_to_https_and_the_loopbacks_is_not(self, box, guest):
        name = next(name for name in box.network.names.names if name.endswith(".local"))
        _, headers, _ = await guest.get("/healthz", headers={"Host": f"{name}:{guest.port}"})
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        _, headers, _ = await guest.get("/healthz")
        assert "Strict-Transport-Security" not in headers

    async def test_the_plain_door_never_speaks_of_https(self, box):
        async with box.http.get(box.url + "/healthz") as answer:
            assert "Strict-Transport-Security" not in answer.headers
            assert answer.headers["X-Frame-Options"] == "DENY"


class TestNames:
    @pytest.mark.parametrize("door", ["network", "loopback"])
    async def test_a_name_that_is_not_the_boxs_is_refused(self, box, guest, door):
        """A site's own name can be made to point here (DNS rebinding); the browser then speaks for that site."""
        headers = {"Host": "evil.example"}
        if door == "network":
            status, _, body = await guest.get("/healthz", headers=headers)
        else:
            async with box.http.get(box.url + "/healthz", headers=headers) as answer:
                status, body = answer.status, await answer.read()
        assert status == 421
        assert b"evil" not in body

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "192.168.1.7"])
    async def test_its_names_and_addresses_are_taken(self, guest, host):
        status, _, _ = await guest.get("/healthz", headers={"Host": f"{host}:{guest.port}"})
        assert status == 200

    async def test_its_host_name_is_taken_with_and_without_local(self, guest):
        host = socket.gethostname().partition(".")[0]
        for name in (host, f"{host}.local"):
            status, _, _ = await guest.get("/healthz", headers={"Host": name})
            assert status == 200


class TestPage:
    async def test_it_shows_the_fingerprint_and_the_steps_without_any_script(self, box, guest):
        status, headers, body = await guest.get("/ca")
        page = body.decode()
        print_ = page[page.index('class="print">') + 14 :]
        shown = re.sub(r"[^0-9A-F]", "", print_[: print_.index("</p>")])
        assert status == 200
        assert box.network.standing.authority.sha256.replace(":", "") == shown
        for machine in ("iPad", "Android", "Windows", "Mac", "ChromeOS", "Firefox"):
            assert machine in page
        assert "<script" not in page
        assert " style=" not in page
        assert "script-src" not in headers["Content-Security-Policy"]

    async def test_the_certificate_comes_in_each_form(self, box, guest):
        der = box.network.authority_der
        _, headers, body = await guest.get("/ca.crt")
        assert (body, headers["Content-Type"]) == (der, "application/x-x509-ca-cert")
        _, _, body = await guest.get("/ca.pem")
        assert x509.load_pem_x509_certificate(body).public_bytes(Encoding.DER) == der
        _, headers, body = await guest.get("/ca.mobileconfig")
        profile = plistlib.loads(body)
        assert headers["Content-Type"] == "application/x-apple-aspen-config"
        assert profile["PayloadContent"][0]["PayloadType"] == "com.apple.security.root"
        assert profile["PayloadContent"][0]["PayloadContent"] == der

    async def test_the_code_is_a_picture_without_a_script(self, guest):
        status, headers, body = await guest.get("/ca.svg")
        assert status == 200
        assert headers["Content-Type"] == "image/svg+xml"
        assert body.startswith(b"<svg ")
        assert b"<script" not in body

    async def test_without_a_door_to_the_network_there_is_nothing_to_trust(self, open_box):
        box = await open_box(lan=Lan(enabled=False))
        async with box.http.get(box.url + "/ca") as answer:
            assert answer.status == 404


class TestKeeping:
    async def test_who_keeps_the_box_sees_and_renews_the_certificate(self, box):
        async with box.http.get(box.url + "/api/v1/certificate") as answer:
            before = await answer.json()
        async with box.http.post(box.url + "/api/v1/certificate/renew", json={"authority": False}) as answer:
            after = await answer.json()
        assert before["source"] == "own"
        assert before["certificate"]["sha256"] != after["certificate"]["sha256"]
        assert before["authority"] == after["authority"]

    async def test_nobody_from_the_network_renews_it(self, guest):
        status, _, _ = await guest.ask("POST", "/api/v1/certificate/renew", json={})
        assert status == 401

    async def test_a_banned_address_is_shown_and_freed_and_the_audit_tells(self, box, guest):
        box.network.limits.ban("127.0.0.1", "log-ins")
        with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
            await guest.get("/healthz")
        async with box.http.get(box.url + "/api/v1/limits") as answer:
            told = await answer.json()
        assert [(ban["address"], ban["reason"]) for ban in told["banned"]] == [("127.0.0.1", "log-ins")]
        async with box.http.delete(box.url + "/api/v1/limits/127.0.0.1") as answer:
            assert answer.status == 200
        status, _, _ = await guest.get("/healthz")
        assert status == 200
        async with box.http.get(box.url + "/api/v1/audit?format=ndjson") as answer:
            rows = await answer.text()
        assert "address.banned" in rows
        assert "address.freed" in rows

    async def test_freeing_who_is_not_banned_says_so(self, box):
        async with box.http.delete(box.url + "/api/v1/limits/192.168.1.9") as answer:
            assert answer.status == 404

    async def test_the_checks_tell_of_the_door_the_certificate_and_bans(self, box):
        box.network.limits.ban("192.168.1.9", "log-ins")
        found = {each.id: each for each in await box.network.findings()}
        assert found["lan.door"].severity is Severity.OK
        assert found["lan.certificate"].severity is Severity.OK
        assert found["lan.banned"].command == "ambientctl limits list"

    async def test_a_broken_certificate_is_a_warning_and_the_box_works(self, open_box, tmp_path):
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        box = await open_box(lan=LAN.model_copy(update={"certificate": str(broken), "key": str(broken)}))
        found = {each.id: each for each in await box.network.findings()}
        assert found["lan.certificate"].severity is Severity.WARNING
        assert (await Guest(box).get("/healthz"))[0] == 200

    async def test_a_port_that_is_taken_is_told_and_tried_again(self, open_box, monkeypatch):
        monkeypatch.setattr("ambientd.lan.AGAIN", 0.05)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            box = await open_box(lan=LAN.model_copy(update={"port": port}))
            found = {each.id: each for each in await box.network.findings()}
            assert found["lan.door"].severity is Severity.CRITICAL
        async with asyncio.timeout(5):
            while box.network.port is None:
                await asyncio.sleep(0.02)
        assert (await Guest(box).get("/healthz"))[0] == 200

    async def test_a_door_that_is_shut_and_that_systemd_holds_open_is_told(self, open_box):
        shut = LAN.model_copy(update={"enabled": False})
        box = await open_box(lan=shut)
        assert list(await box.network.findings()) == []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            async with open_lan(box.runner, box.network, shut, [listener.dup()]):
                (found,) = await box.network.findings()
        assert (found.severity, found.id) == (Severity.WARNING, "lan.door")
        assert str(port) in found.reason
        assert found.command == "systemctl disable --now ambientd-lan.socket"

    async def test_the_figures_tell_when_the_certificate_ends(self, box):
        async with box.http.get(box.url + "/metrics") as answer:
            figures = await answer.text()
        (ends,) = re.findall(r"^ambientd_certificate_expiry_timestamp_seconds (\S+)", figures, re.MULTILINE)
        assert float(ends) > datetime.now(UTC).timestamp() + 300 * 86_400
        assert "ambientd_lan_banned_addresses 0.0" in figures
