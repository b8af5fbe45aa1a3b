"""A screen that is locked while the room's microphone records: the recording goes on, and the page says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from chromium import OpenPage
from playwright.async_api import Page, expect
from recorded import box_at, set_up_code
from running import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


DEAF = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); window.sockets.push(this); }
};
"""
"""Lets a test take away what a socket hears: the last message before a connection broke."""


IMPATIENT = """
const every = window.setInterval;
window.setInterval = (act, time) => every(act, Math.min(time, 2000));
"""
"""Has the page ask the box as often as it may whether it is locked, which must keep it from nothing."""


class Clinic:
    """A box with an operator and a clinician."""

    def __init__(self, box: Daemon, operator: aiohttp.ClientSession, password: str) -> None:
        self.box = box
        self.operator = operator
        self.password = password

    async def microphone(self) -> Any:
        """What the box says of its microphone."""
        async with self.operator.get("/api/v1/microphone") as answer:
            return await answer.json()

    async def page(self, open_page: OpenPage, script: str = "", *, name: str = "Anna") -> Page:
        """The clinician's page."""
        page = await open_page(f"{self.box.url}/", may_complain_of="status of 4", script=script)
        await page.click("text=Log in with a name instead")
        await page.fill("[name=name]", name)
        await page.fill("[name=password]", self.password)
        await page.click("form button")
        await expect(page.locator("#source-room")).to_be_checked()
        return page

    async def recording(self, open_page: OpenPage) -> Page:
        """The same, with a recording of the room's microphone under way."""
        page = await self.page(open_page)
        await page.check("#consent")
        await page.click("#start")
        await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
        return page


async def clinic_at(state: Path, **settings: str) -> AsyncIterator[Clinic]:
    """Started and set up; stopped at the end."""
    box = box_at(state, AMBIENTD_ACCESS__TRUST_LOOPBACK="false", **settings)
    await asyncio.to_thread(box.start)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(box.url, cookie_jar=jar, headers={"Origin": box.url}) as operator:
        first = {"code": set_up_code(box), "name": "Olga", "password": "three quiet green herons"}
        async with operator.post("/api/v1/setup", json=first) as answer:
            assert answer.status == 200, await answer.text()
        async with operator.post("/api/v1/accounts", json={"name": "Anna", "role": "clinician"}) as answer:
            password = (await answer.json())["password"]
        yield Clinic(box, operator, password)
    await asyncio.to_thread(box.stop)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def clinic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    async for each in clinic_at(tmp_path_factory.mktemp("clinic")):
        yield each


async def unlock(page: Page, clinic: Clinic) -> None:
    await page.fill("[name=password]", clinic.password)
    await page.click("form button")


async def test_the_rooms_recording_outlives_the_lock_and_is_shown_again_after_it(
    clinic: Clinic, open_page: OpenPage
) -> None:
    page = await clinic.recording(open_page)
    await page.click("#lock")
    await expect(page.locator("#entry h1")).to_have_text("Locked")
    await asyncio.sleep(3)  # the socket has been closed, and the page has tried again
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    assert (await clinic.microphone())["session"]["state"] == "recording"

    # What would let the microphone hear again, or destroy, asks for the unlocking, and says so.
    await page.click("#bar-discard")
    await page.click("dialog .danger")
    await expect(page.locator("#notices")).to_contain_text("unlock it first")
    assert (await clinic.microphone())["session"]["state"] == "recording"

    await unlock(page, clinic)
    await expect(page.locator(".live")).to_be_visible()
    await expect(page.locator("#problems .notice")).to_have_count(0)
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible()
    assert (await clinic.microphone())["session"] is None


async def test_a_locked_screen_still_pauses_and_stops_what_it_records(
    clinic: Clinic, open_page: OpenPage
) -> None:
    page = await clinic.recording(open_page)
    await page.click("#lock")
    await expect(page.locator("#entry h1")).to_have_text("Locked")
    await page.click("#bar-pause")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "paused")
    assert (await clinic.microphone())["session"]["state"] == "paused"
    await page.click("#bar-resume")
    await expect(page.locator("#notices")).to_contain_text("unlock it first")
    assert (await clinic.microphone())["session"]["state"] == "paused"
    await page.click("#bar-stop")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "idle")
    assert (await clinic.microphone())["session"] is None
    await unlock(page, clinic)
    await expect(page.locator(".done")).to_be_visible()


async def test_a_page_reloaded_behind_the_lock_is_offered_its_recording_again_and_nobody_elses_is(
    clinic: Clinic, open_page: OpenPage
) -> None:
    page = await clinic.recording(open_page)
    await page.click("#lock")
    await expect(page.locator("#entry h1")).to_have_text("Locked")
    await page.reload()
    await expect(page.locator("#entry h1")).to_have_text("Locked")
    await expect(page.locator("text=Show it")).to_have_count(0)
    await unlock(page, clinic)
    await page.click("text=Show it")
    await expect(page.locator(".live")).to_contain_text("Good morning")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")

    async with clinic.operator.post("/api/v1/accounts", json={"name": "Bert", "role": "clinician"}) as answer:
        password = (await answer.json())["password"]
    other = await Clinic(clinic.box, clinic.operator, password).page(open_page, name="Bert")
    await expect(other.locator("#now .notice")).to_contain_text("has been recording since")
    await expect(other.locator("text=Show it")).to_have_count(0)
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible()


async def test_a_touch_is_told_and_who_touches_nothing_meets_the_lock(
    tmp_path: Path, open_page: OpenPage
) -> None:
    async for clinic in clinic_at(tmp_path, AMBIENTD_ACCESS__IDLE_LOCK="6"):
        page = await clinic.page(open_page, IMPATIENT)
        for _ in range(5):
            await asyncio.sleep(1.6)
            await page.click("#start-title")
        assert await page.get_attribute("body", "data-view") == "now"
        await page.check("#consent")
        await page.click("#start")
        await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
        await asyncio.sleep(9)  # two people talk: nobody touches it
        assert await page.get_attribute("body", "data-view") == "now"
        await page.click("#bar-stop")
        await expect(page.locator(".done")).to_be_visible()
        await expect(page.locator("#entry h1")).to_have_text("Locked", timeout=40_000)
        await page.close()  # before its box is stopped


async def test_a_recording_that_waits_for_the_unlocking_says_so(clinic: Clinic, open_page: OpenPage) -> None:
    page = await clinic.page(open_page, DEAF)
    await page.check("#source-device")
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    async with clinic.operator.get("/api/v1/websocket/sessions") as answer:
        (session_id,) = (each["session_id"] for each in (await answer.json())["sessions"])
    await page.click("#lock")
    await expect(page.locator("#entry h1")).to_have_text("Locked")
    await page.evaluate("sockets.at(-1).onmessage = null")
    async with clinic.operator.post(f"/api/v1/websocket/sessions/{session_id}/end") as answer:
        assert answer.status == 200
    # What was said after that begins another session, and a locked page begins none.
    await expect(page.locator("#entry .notice")).to_contain_text("once this page is unlocked")
    await unlock(page, clinic)
    await expect(page.locator("#problems")).to_contain_text("goes on as a second one")
    await expect(page.locator("#problems")).not_to_contain_text("once this page is unlocked")
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible()
