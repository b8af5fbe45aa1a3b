"""Chromium and a scripted server for the tests of the web page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chromium import CHROMIUM, FAKE_MICROPHONE, QUIET, OpenPage
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect
from recorded import box_at, talk
from running import Daemon
from scripted_server import ScriptedServer

expect.set_options(timeout=20_000)  # a machine with two cores runs the box and the browser


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.skip("no /usr/bin/chromium: install Debian's package chromium to test the page")
    async with async_playwright() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    """One browser for all tests that need no particular sound; its fake microphone beeps."""
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *FAKE_MICROPHONE])
    yield browser
    await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(
    playwright: Playwright, chromium: Browser, server: ScriptedServer
) -> AsyncIterator[OpenPage]:
    """Opens the page: ``await open_page(url=…, microphone=wav, args=[…], script=…, **context options)``.

    The page may complain of nothing (script errors, content policy) and may ask nobody but its own server.
    """
    async with AsyncExitStack() as cleanup:
        faults: list[str] = []
        expected: list[str] = []

        async def opened(
            url: str = "",
            microphone: Path | None = None,
            args: list[str] | None = None,
            script: str = "",
            may_complain_of: str = "",
            **options: Any,
        ) -> Page:
            browser = chromium
            if microphone is not None or args is not None:
                sound = [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=[*QUIET, *(args or FAKE_MICROPHONE), *sound]
                )
                cleanup.push_async_callback(browser.close)
            context: BrowserContext = await browser.new_context(**options)
            cleanup.push_async_callback(context.close)
            if script:
                await context.add_init_script(script)
            page = await context.new_page()
            address = url or server.url
            origin = (
                "/".join(address.split("/")[:3]) if address.startswith("http") else address.rsplit("/", 1)[0]
            )
            own = (origin, server.url, "data:", "blob:")
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda line: line.type == "error" and faults.append(line.text))
            page.on("request", lambda request: request.url.startswith(own) or faults.append(request.url))
            expected.extend([may_complain_of] if may_complain_of else [])
            page.set_default_timeout(10_000)
            await page.goto(address)
            return page

        yield opened
        assert [fault for fault in faults if not any(words in fault for words in expected)] == []


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A box with the room's page and its door to the network, whose engine hears the same visit whatever is said."""
    door = {"ENABLED": "true", "PORT": "0", "ANNOUNCE": "false"}
    box = box_at(
        tmp_path_factory.mktemp("room"), **{f"AMBIENTD_LAN__{key}": value for key, value in door.items()}
    )
    box.start()
    yield box
    box.stop()


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech for the fake microphone."""
    return talk(tmp_path_factory.mktemp("sound"))


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A box that trusts nobody for being near."""
    box = box_at(tmp_path, AMBIENTD_ACCESS__TRUST_LOOPBACK="false")
    await asyncio.to_thread(box.start)
    yield box
    await asyncio.to_thread(box.stop)
