"""A connection that breaks in the middle: the page goes on with its session, and no sample is lost or sent twice."""

from __future__ import annotations

import pytest
from conftest import OpenPage
from playwright.async_api import expect
from scripted_server import ScriptedServer, transcript

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_broken_connection_is_mended_and_every_sample_arrives_once(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    server.resumable = True
    page = await open_page()
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")
    await server.heard(64_000)
    await server.say(**transcript(0, "Good morning.", 0.0, 1.0))
    await expect(page.locator("#lines .line")).to_have_count(1)
    assert server.session is not None

    del server.pcm[48_000:]  # what the server had taken in and lost again with its memory
    server.session._req.transport.abort()  # type: ignore[union-attr]
    await expect(page.locator("[data-key=connection]")).to_contain_text("taken up again")
    await server.heard(160_000)

    await expect(page.locator("[data-key=connection]")).to_have_count(0)
    await expect(page.locator("#state")).to_have_text("Recording")
    await expect(page.locator("#lines .line")).to_have_count(1)
    assert server.target == "/ws/transcribe/made-by-server?partials=1&resume=1"
    assert server.tickets == [{"type": "resume", "token": "known to us two", "next_line": 1}]
    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")
    assert len(server.pcm) == 2 * await page.evaluate("connection.samplesSent")
    assert "lost" not in server.orders


async def test_a_server_that_stays_away_is_given_up(open_page: OpenPage, server: ScriptedServer) -> None:
    server.resumable = True
    page = await open_page(may_complain_of="WebSocket connection to")
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    assert server.session is not None
    server.session._req.transport.abort()  # type: ignore[union-attr]
    await expect(page.locator("[data-key=connection]")).to_contain_text("taken up again")

    await page.click("#end")  # or a person who does not want to wait
    await page.click("#end")

    await expect(page.locator("#state")).to_have_text("Not connected")
