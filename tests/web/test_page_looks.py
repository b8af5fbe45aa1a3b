"""The page on small and large screens, light and dark, mid-conversation."""

from __future__ import annotations

from typing import Any

import pytest
from chromium import OpenPage
from playwright.async_api import Page, expect
from scripted_server import ScriptedServer, transcript

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

CONTRASTS = """
    () => {
      const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const luminance = ([r, g, b]) => [r, g, b]
        .map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const colour = channels(getComputedStyle(at).backgroundColor);
          if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
      };
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = [];
      while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const words = walker.currentNode.textContent.trim();
        if (!words || node.closest("script, :disabled") || !node.checkVisibility()) continue;
        const light = [channels(getComputedStyle(node).color), behind(node)].map(luminance).sort((a, b) => b - a);
        found.push([words, (light[0] + 0.05) / (light[1] + 0.05)]);
      }
      return found;
    }
"""
"""Each visible text with its contrast ratio.  Source: WCAG 2.2, relative luminance and success criterion 1.4.3."""


async def converse(page: Page, server: ScriptedServer) -> None:
    """Every kind of thing the page can show, at once."""
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    await server.say(**transcript(0, "Good morning, what brings you in today?", 0.4, 3.1))
    await server.say(type="gap", start_time=3.1, end_time=5.0, reason="the decode took too long")
    await server.say(**transcript(1, "My stomach. " * 12, 5.0, 9.0, confidence=0.7))
    await server.say(
        **transcript(2, "Helicobacterpyloriandotherverylongwordswithoutspaces", 9, 12, confidence=0.4)
    )
    await server.say(
        type="partial", text="Since when is it", stable_text="Since when", start_time=12, end_time=13
    )
    await server.say(type="error", code="some_code", message="Something to read.")
    await server.say(type="announcement", message="Something else to read.")
    await page.evaluate("notices.show('x', 'warning', 'A warning to read.', { label: 'Act', act() {} })")
    await page.click("#info")
    await expect(page.locator("#info-list")).to_contain_text("real time factor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_has_the_contrast_that_weak_eyes_need(
    open_page: OpenPage, server: ScriptedServer, scheme: str
) -> None:
    page = await open_page(color_scheme=scheme)
    await converse(page, server)

    contrasts = await page.evaluate(CONTRASTS)

    assert len(contrasts) > 60
    assert [(words, round(ratio, 2)) for words, ratio in contrasts if ratio < 4.5] == []


async def test_on_a_phone_nothing_is_wider_than_the_screen_and_buttons_fit_fingers(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page(**PHONE)
    await converse(page, server)

    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    for name in ("Start", "Pause", "End session"):
        box = await page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 36
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390


async def test_on_a_phone_the_words_are_in_sight_once_the_talk_begins(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page(**PHONE)
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")

    await server.say(**transcript(0, "Good morning.", 0.4, 3.1))

    await expect(page.locator("#lines .text")).to_be_in_viewport()


async def test_the_view_follows_the_talk_until_the_reader_looks_back(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    for i in range(40):
        await server.say(**transcript(i, f"Line {i}.", i, i + 1))
    lines = page.locator("#lines .text")
    await expect(lines.last).to_be_in_viewport()

    await page.evaluate("document.getElementById('transcript').scrollTop = 0")
    await expect(page.locator("#latest")).to_be_visible()
    await server.say(**transcript(40, "Line 40.", 40, 41))
    await expect(lines).to_have_count(41)
    await expect(lines.first).to_be_in_viewport()
    await page.click("#latest")

    await expect(lines.last).to_be_in_viewport()
    await expect(page.locator("#latest")).to_be_hidden()


async def test_everything_one_can_operate_has_a_name_and_can_be_reached_by_keyboard(
    open_page: OpenPage,
) -> None:
    page = await open_page()

    unnamed = await page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [tabindex], [role=meter]")]
             .filter((node) => !(node.labels?.length || node.textContent.trim() || node.ariaLabel
                                 || node.getAttribute("aria-labelledby")))
             .map((node) => node.id)"""
    )
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))

    assert unnamed == []
    for name in ("start", "connect", "address", "session-id", "partials", "use-microphone", "microphone"):
        assert name in reached
