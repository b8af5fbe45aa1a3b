"""The page opened as a file, without any server of its own; and what it is made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chromium import OpenPage
from playwright.async_api import expect
from scripted_server import WEB, ScriptedServer


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_opened_from_disk_the_microphone_streams(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await open_page(url=(WEB / "websocket_test.html").as_uri())
    assert await page.input_value("#address") == "ws://localhost:8000/ws/transcribe"
    await page.fill("#address", f"ws://127.0.0.1:{server.port}/ws/transcribe")

    await page.click("#start")
    await server.heard(16384)
    await page.click("#end")

    await expect(page.locator("#state")).to_have_text("Session ended")
    assert server.samples.any()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_alone_without_its_scripts_the_page_says_what_is_missing(
    open_page: OpenPage, tmp_path: Path
) -> None:
    lonely = tmp_path / "websocket_test.html"
    lonely.write_text((WEB / "websocket_test.html").read_text(encoding="utf-8"), encoding="utf-8")

    page = await open_page(url=lonely.as_uri(), may_complain_of="ERR_FILE_NOT_FOUND")

    await expect(page.locator("#broken")).to_contain_text("Keep the whole folder web/ together")


def test_the_page_is_small_and_asks_nobody_else() -> None:
    room = {"index.html", "room.css"}  # the other page: see test_room_rules
    files = [path for path in WEB.iterdir() if path.is_file() and path.name not in room]

    assert sum(path.stat().st_size for path in files) <= 64 * 1024
    for path in files:
        outside = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text(encoding="utf-8"))
        assert set(outside) <= {"http://www.w3.org"}, path.name  # a namespace, never fetched
