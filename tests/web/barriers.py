"""What keeps somebody from using a page, as axe finds it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

SETTLED = """() => {
  const ends = (each) => each.effect.getComputedTiming().endTime !== Infinity;
  return Promise.allSettled(document.getAnimations().filter(ends).map((each) => each.finished));
}"""
"""Half-way between two colours there is a contrast that nobody sees for long."""


async def barriers(page: Page) -> list[tuple[str, str, str]]:
    """In the page as it is, once it stands still: rule, first element, what is wrong with it."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe is not installed")
    await page.evaluate(SETTLED)
    found = await axe.Axe().run(page, options={"runOnly": RULES})
    return [
        (each["id"], each["nodes"][0]["html"], each["nodes"][0].get("failureSummary", ""))
        for each in found.response["violations"]
    ]
