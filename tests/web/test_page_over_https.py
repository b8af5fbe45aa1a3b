"""Debian's Chromium at the box's own door: it refuses the box until its authority is installed, and then all works."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chromium import CHROMIUM, FAKE_MICROPHONE, QUIET, trust
from playwright.async_api import Error, Page, async_playwright
from running import Daemon

pytestmark = [pytest.mark.model, pytest.mark.browser]

PASSWORD = "four words nobody joins"  # noqa: S105 - of nobody

POST = """async ([path, body]) => {
  const answer = await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'},
                                    body: JSON.stringify(body)});
  return [answer.status, await answer.json()];
}"""

CONNECT = """async ticket => {
  window.heard = [];
  window.line = new WebSocket('wss://' + location.host + '/ws/transcribe?ticket=' + ticket);
  window.line.onmessage = event => window.heard.push(JSON.parse(event.data).type);
  window.line.onclose = event => window.heard.push(event.code);
}"""


async def told(page: Page, *wanted: Any) -> None:
    """Waits until the page's WebSocket has had these, in this order."""
    await page.wait_for_function(
        "wanted => wanted.every(each => window.heard.includes(each))", arg=list(wanted)
    )


async def test_the_box_is_trusted_once_its_authority_is_installed(own_daemon: Daemon, tmp_path: Path) -> None:
    """Page, microphone and WebSocket in a secure context; a certificate renewed meanwhile disturbs nothing."""
    if not CHROMIUM.exists() or shutil.which("certutil") is None:
        pytest.skip("needs Debian's packages chromium and libnss3-tools")
    own_daemon.environment |= {
        "AMBIENTD_LAN__ENABLED": "true",
        "AMBIENTD_LAN__PORT": "0",
        "AMBIENTD_LAN__ANNOUNCE": "false",
    }
    own_daemon.start()
    port = re.search(r"url=https://[^ ,]*?:(\d+)", own_daemon.log)[1]
    code = re.search(r"setup_code=([A-Z0-9-]+)", own_daemon.log)[1]
    door, home = f"https://localhost:{port}", tmp_path / "home"
    home.mkdir()
    async with aiohttp.ClientSession(own_daemon.url) as here, async_playwright() as playwright:

        async def browser() -> Any:
            return await playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[*QUIET, *FAKE_MICROPHONE],
                env={**os.environ, "HOME": str(home)},
            )

        stranger = await browser()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            await (await stranger.new_page()).goto(door)
        await stranger.close()

        async with here.get("/ca.pem") as answer:
            trust(home, await answer.text())
        tablet = await browser()
        page = await tablet.new_page()
        before = await (await page.goto(f"{door}/ca")).security_details()
        assert before["protocol"] in {"TLS 1.3", "TLS 1.2"}
        assert await page.evaluate("isSecureContext && typeof navigator.mediaDevices") == "object"
        assert await page.locator("summary").count() == 7

        await page.goto(f"{door}/")
        microphone = "navigator.mediaDevices.getUserMedia({audio: true}).then(s => s.getAudioTracks().length)"
        assert await page.evaluate(microphone) == 1
        setup = {"code": code, "name": "Olga", "password": PASSWORD}
        assert (await page.evaluate(POST, ["/api/v1/setup", setup]))[0] == 200
        anna = {"name": "Anna", "role": "clinician", "password": PASSWORD}
        async with here.post("/api/v1/accounts", json=anna) as answer:
            assert answer.status == 201
        login = {"name": "Anna", "password": PASSWORD}
        assert (await page.evaluate(POST, ["/api/v1/login", login]))[0] == 200
        _, ticket = await page.evaluate(POST, ["/api/v1/tickets", {"purpose": "transcribe"}])
        await page.evaluate(CONNECT, ticket["ticket"])
        await told(page, "connected")

        async with here.post("/api/v1/certificate/renew", json={}) as answer:
            assert answer.status == 200
        await page.evaluate("window.line.send(JSON.stringify({type: 'ping'}))")
        await told(page, "connected", "pong")
        await page.evaluate("window.line.send(JSON.stringify({type: 'end_session'}))")
        await told(page, "session_ended", 1000)
        await tablet.close()

        tablet = await browser()
        after = await (await (await tablet.new_page()).goto(f"{door}/ca")).security_details()
        await tablet.close()
    assert after["validFrom"] > before["validFrom"]
