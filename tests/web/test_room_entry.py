"""The way in: the first account, a tablet that is paired, what each role sees, lock and log-out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chromium import OpenPage
from playwright.async_api import Page, expect
from recorded import look_again, set_up_code
from running import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PASSWORD = "three quiet green herons"  # noqa: S105 - of a box that lives for a test


async def opened(open_page: OpenPage, box: Daemon, **options: object) -> Page:
    page = await open_page(f"{box.url}/", may_complain_of="status of 4", **options)
    await expect(page.locator("#entry h1")).to_be_visible()
    return page


async def set_up(page: Page, box: Daemon) -> None:
    await page.fill("[name=code]", set_up_code(box))
    await page.fill("[name=name]", "Olga")
    await page.fill("[name=password]", PASSWORD)
    await page.click("text=Make the first account")
    await expect(page.locator("#nav-box")).to_be_visible()


async def paired_again(operator: Page, tablet: Page) -> None:
    """A tablet of which nobody knows the PIN begins anew; not before the box has taken back what it had."""
    await tablet.click("#lock")
    await expect(tablet.locator("#entry h1")).to_have_text("Locked")
    busy = {"code": "too_many_requests", "detail": "Not just now."}
    await tablet.route("**/logout", lambda route: route.fulfill(status=429, json=busy))
    await tablet.click("text=Pair again")
    await tablet.click("dialog button:text-is('Pair again')")
    await expect(tablet.locator("#notices .error")).to_contain_text("Not just now.")
    await expect(tablet.locator("#entry h1")).to_have_text("Locked")
    await tablet.unroute("**/logout")
    await tablet.click("text=Pair again")
    await tablet.click("dialog button:text-is('Pair again')")
    await expect(tablet.locator("#entry h1")).to_have_text("Pair this device")
    await tablet.fill("[name=name]", "Tablet, room 4")
    await tablet.click("text=Ask to be let in")
    await expect(tablet.locator(".code")).to_be_visible()
    await look_again(operator)
    await operator.locator(".asking >> text=Let in").click()
    await tablet.click("dialog button:text-is('Not now')")
    await expect(tablet.locator("#start")).to_be_visible()  # and not the visit that another had open
    await expect(operator.get_by_role("button", name="Revoke Tablet, room 4")).to_be_visible()


async def test_from_the_first_account_to_a_visit_on_a_paired_tablet(
    guarded: Daemon, open_page: OpenPage, spoken: Path
) -> None:
    operator = await opened(open_page, guarded)
    await expect(operator.locator("#entry h1")).to_have_text("Set up this box")
    await set_up(operator, guarded)
    # Who keeps the box does not read.
    assert await operator.locator("#nav a").all_inner_texts() == ["Box"]
    await expect(operator.locator(".people")).to_be_visible()

    tablet = await opened(open_page, guarded, microphone=spoken)
    await expect(tablet.locator("#entry h1")).to_have_text("Pair this device")
    await tablet.fill("[name=name]", "Tablet, room 3")
    await tablet.click("text=Ask to be let in")
    code = await tablet.inner_text(".code")
    await expect(operator.locator(".asking .code")).to_have_text(code)
    await operator.locator(".asking >> text=Let in").click()

    # Who works at a tablet may have no account to unlock it with.
    await expect(tablet.locator("dialog h2")).to_have_text("A PIN for this device")
    await tablet.click("dialog button:text-is('Not now')")
    await expect(tablet.locator("#start")).to_be_visible()
    assert await tablet.locator("#nav a").all_inner_texts() == ["Now", "Visits"]
    await tablet.check("#source-device")
    await tablet.check("#consent")
    await tablet.click("#start")
    await expect(tablet.locator(".open .text, .lines .text").first).to_be_visible()
    await tablet.click("#set-pin")
    await tablet.fill("dialog input", "4711")
    await tablet.click("dialog button:text-is('Keep it')")
    await expect(tablet.locator("#notices")).to_contain_text("The PIN is set.")
    await tablet.click("#lock")
    await expect(tablet.locator("#entry h1")).to_have_text("Locked")
    await expect(tablet.locator("#bar")).to_have_attribute("data-phase", "recording")
    await expect(tablet.locator("text=Pair again")).to_have_count(0)  # what it records would be nobody's
    await tablet.fill("[name=pin]", "4711")
    await tablet.click("form >> nth=0 >> button")
    await expect(tablet.locator(".live")).to_be_visible()
    await tablet.click("#bar-stop")
    await expect(tablet.locator(".done")).to_be_visible()
    await tablet.click("text=Read and correct")
    await expect(tablet.locator(".sheet")).to_contain_text("Good morning")

    await paired_again(operator, tablet)
    await operator.get_by_role("button", name="Revoke Tablet, room 4").click()
    await operator.click("dialog button:text-is('Revoke')")
    await tablet.reload()
    await expect(tablet.locator("#entry h1")).to_have_text("Pair this device")


async def test_logging_in_and_out_and_a_wrong_password(guarded: Daemon, open_page: OpenPage) -> None:
    page = await opened(open_page, guarded)
    await set_up(page, guarded)
    await page.click("#log-out")
    await expect(page.locator("#entry h1")).to_have_text("Pair this device")
    await page.click("text=Log in with a name instead")
    await page.fill("[name=name]", "Olga")
    await page.fill("[name=password]", "something else")
    await page.click("form button")
    await expect(page.locator("[role=alert]")).to_be_visible()
    assert await page.input_value("[name=password]") == ""
    await asyncio.sleep(1.2)  # one wrong log-in a second is allowed
    await page.fill("[name=password]", PASSWORD)
    await page.click("form button")
    await expect(page.locator("#nav-box")).to_be_visible()


async def test_a_tablet_that_is_refused_says_so(guarded: Daemon, open_page: OpenPage) -> None:
    operator = await opened(open_page, guarded)
    await set_up(operator, guarded)
    tablet = await opened(open_page, guarded)
    await tablet.fill("[name=name]", "Somebody's phone")
    await tablet.click("text=Ask to be let in")
    await expect(tablet.locator(".code")).to_be_visible()
    await look_again(operator)
    await operator.locator(".asking >> text=Refuse").click()
    await expect(tablet.locator("#entry .notice")).to_contain_text("was refused")
