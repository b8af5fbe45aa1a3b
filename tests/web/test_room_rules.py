"""What the room's page promises of itself: no markup from words, every word translated, small, usable by everybody."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from barriers import barriers
from chromium import OpenPage
from playwright.async_api import Page, expect
from recorded import look_again, set_up_code, visit
from running import Daemon

WEB = Path(__file__).parents[2] / "web"
MODULES = sorted((WEB / "app").glob("*.js"))
LANGUAGES = sorted((WEB / "strings").glob("*.js"))
BUDGET = 150_000
"""Bytes that a page may weigh."""

PARSES = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc|\beval\(|"
    r"new Function|javascript:"
)
"""Every way in which words could become markup or code."""


def strings(path: Path) -> dict[str, str]:
    """The words of one language."""
    rows = re.findall(r'^  "([a-zA-Z0-9_.]+)": "((?:[^"\\]|\\.)*)",$', path.read_text(), re.MULTILINE)
    assert len(rows) == len([row for row in path.read_text().splitlines() if row.startswith('  "')])
    assert len(dict(rows)) == len(rows), "a key stands there twice"
    return dict(rows)


ENGLISH = strings(WEB / "strings" / "en.js")


@pytest.mark.parametrize("path", [*MODULES, WEB / "index.html"], ids=lambda path: path.name)
def test_no_word_becomes_markup(path: Path) -> None:
    assert PARSES.findall(path.read_text()) == []


def test_the_page_has_no_script_or_style_of_its_own_and_asks_nobody_else() -> None:
    text = (WEB / "index.html").read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", text) == []
    everything = "".join(path.read_text() for path in [*MODULES, WEB / "room.css", WEB / "index.html"])
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}", everything)) <= {"http://www.w3.org"}


@pytest.mark.parametrize(
    "path", [path for path in LANGUAGES if path.stem != "en"], ids=lambda path: path.stem
)
def test_every_language_has_the_same_keys_and_placeholders(path: Path) -> None:
    other = strings(path)

    def places(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    assert other.keys() == ENGLISH.keys()
    assert {key for key in ENGLISH if places(ENGLISH[key]) != places(other[key])} == set()


def test_german_is_there_as_proof_that_others_can_be() -> None:
    german = strings(WEB / "strings" / "de.js")
    same = {key for key in ENGLISH if len(ENGLISH[key]) > 12 and german[key] == ENGLISH[key]}
    assert same == set(), "not translated"


def test_every_word_that_is_asked_for_is_there() -> None:
    text = "".join(path.read_text() for path in MODULES)
    asked = set(re.findall(r'\bt\("([a-z0-9_.]+)"', text))
    counted = set(re.findall(r'\bcounted\("([a-z0-9_.]+)"', text))
    assert asked - ENGLISH.keys() == set()
    assert {key for key in counted if f"{key}.other" not in ENGLISH} == set()


def test_the_page_is_small_as_it_is_sent_and_as_a_visit_needs_it() -> None:
    others = {"box", "chart", "names", "people", "visits", "visit", "entry"}
    first = [WEB / "index.html", WEB / "room.css", WEB / "audio-processor.js", WEB / "strings" / "en.js"]
    first += [path for path in MODULES if path.stem not in others]
    assert sum(path.stat().st_size for path in first) < BUDGET
    assert sum(len(gzip.compress(path.read_bytes())) for path in {*first, *MODULES}) < BUDGET / 2


VIEWS = ("now", "visits", "visit", "edit", "box")


async def show(page: Page, room: Daemon, view: str, session_id: str) -> None:
    if view in {"now", "visits", "box"}:
        await page.goto(f"{room.url}/#{view}")
        await expect(page.locator(f"#nav-{view}")).to_have_attribute("aria-current", "page")
        await expect(page.locator(f"#{view} h1").first).to_be_attached()
    else:
        await page.goto(f"{room.url}/#visits/{session_id}")
        await expect(page.locator(".sheet .line").first).to_be_visible()
    if view == "edit":
        await page.click("#edit")
    if view == "box":
        await expect(page.locator(".verdict")).to_be_visible()
        await expect(page.locator(".people .card-body > *").first).to_be_visible()
        for summary in await page.locator(".health summary").all():
            await summary.click()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_barrier_in_any_view(open_page: OpenPage, room: Daemon, scheme: str) -> None:
    session_id = await visit(room, consent={"given_by": "the patient", "version": "1"})
    page = await open_page(f"{room.url}/", may_complain_of="404", color_scheme=scheme)
    faults = {}
    for view in VIEWS:
        await show(page, room, view, session_id)
        faults[view] = await barriers(page)
    assert faults == {view: [] for view in VIEWS}


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_barrier_while_a_visit_is_recorded(
    open_page: OpenPage, room: Daemon, spoken: Path, scheme: str
) -> None:
    page = await open_page(f"{room.url}/", microphone=spoken, may_complain_of="404", color_scheme=scheme)
    await page.check("#source-device")
    faults = {}
    await page.click("#start")
    await expect(page.locator("#consent-error")).to_be_visible()
    faults["refused"] = await barriers(page)
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator(".lines .line").first).to_be_visible(timeout=20_000)
    await expect(page.locator(".open .text")).to_be_visible(timeout=20_000)
    faults["recording"] = await barriers(page)
    await page.click("#bar-discard")
    faults["question"] = await barriers(page)
    await page.keyboard.press("Escape")
    await page.click("#bar-pause")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "paused")
    faults["paused"] = await barriers(page)
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible(timeout=20_000)
    faults["done"] = await barriers(page)
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_barrier_on_the_way_in(guarded: Daemon, open_page: OpenPage, scheme: str) -> None:
    box = guarded
    page = await open_page(f"{box.url}/", may_complain_of="status of 4", color_scheme=scheme)
    faults = {}
    title = page.locator("#entry h1")
    await expect(title).to_have_text("Set up this box")
    faults["set up"] = await barriers(page)
    await page.click("text=Log in with a name instead")
    faults["log in"] = await barriers(page)
    await page.click("text=Emergency")
    faults["emergency"] = await barriers(page)
    await page.reload()
    await page.fill("[name=code]", set_up_code(box))
    await page.fill("[name=name]", "Olga")
    await page.fill("[name=password]", "three quiet green herons")
    await page.click("text=Make the first account")
    await expect(page.locator("#nav-box")).to_be_visible()

    tablet = await open_page(f"{box.url}/", may_complain_of="status of 4", color_scheme=scheme)
    await expect(tablet.locator("#entry h1")).to_have_text("Pair this device")
    faults["pair"] = await barriers(tablet)
    await tablet.fill("[name=name]", "Tablet, room 3")
    await tablet.click("text=Ask to be let in")
    await expect(tablet.locator(".code")).to_be_visible()
    faults["waiting"] = await barriers(tablet)
    await look_again(page)
    await expect(page.locator(".asking")).to_be_visible()
    # Who asks stands first.
    assert await page.locator("#box .card h2").first.inner_text() == "Devices and accounts"
    faults["asking"] = await barriers(page)
    await page.click("#lock")
    await expect(title).to_have_text("Locked")
    faults["locked"] = await barriers(page)
    assert {name: found for name, found in faults.items() if found} == {}


UNFOLD = """() => {
  const folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
  return folded.length;
}"""


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["docs", "websocket_test.html", "ca"])
async def test_axe_finds_no_barrier_in_the_pages_beside_it(
    open_page: OpenPage, room: Daemon, path: str, scheme: str
) -> None:
    page = await open_page(f"{room.url}/{path}", color_scheme=scheme)
    await expect(page.locator("h1").first).to_be_visible()
    if path == "ca":
        assert await page.evaluate(UNFOLD) > 0
    assert await barriers(page) == []


SMALL_TARGETS = """
    () => [...document.querySelectorAll("main button, main select, main summary, " +
      "main input:not([type=checkbox]):not([type=radio]), " +
      "nav a, #bar button, #bar a, .check, main a.button, .visit-row")]
      .filter((node) => node.checkVisibility() && !node.matches(".original summary"))
      .map((node) => [node.textContent.trim().slice(0, 30), node.getBoundingClientRect().height])
      .filter(([, height]) => height < 43.5)
"""


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("width", [360, 820, 1440])
async def test_every_target_is_large_and_nothing_is_cut_off(
    open_page: OpenPage, room: Daemon, width: int
) -> None:
    session_id = await visit(room)
    page = await open_page(f"{room.url}/", may_complain_of="404", viewport={"width": width, "height": 800})
    for view in VIEWS:
        await show(page, room, view, session_id)
        assert await page.evaluate(SMALL_TARGETS) == [], view
        wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(wide) <= 0, view
        inner = "() => { const m = document.getElementById('main'); return m.scrollWidth - m.clientWidth; }"
        assert await page.evaluate(inner) <= 0, view


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_a_visit_can_be_begun_within_a_second(open_page: OpenPage, room: Daemon) -> None:
    """The best of a few, since the machine does other things too."""
    page = await open_page(f"{room.url}/", may_complain_of="404")
    took = []
    for _ in range(4):
        await page.reload()
        await expect(page.locator("#start")).to_be_visible()
        took.append(
            await page.evaluate("() => Math.round(performance.getEntriesByName('usable')[0].startTime)")
        )
    assert min(took) < 1000


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_a_visit_can_be_begun_with_the_keyboard_alone(open_page: OpenPage, room: Daemon) -> None:
    page = await open_page(f"{room.url}/", may_complain_of="404")
    await expect(page.locator("#start")).to_be_visible()
    reached = []
    for _ in range(20):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id"))
        if reached[-1] == "consent":
            await page.keyboard.press("Space")
        if reached[-1] == "start":
            break
    await page.keyboard.press("Enter")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    assert reached[0] == "skip"
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible(timeout=20_000)


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_the_page_speaks_german_to_a_german_browser(open_page: OpenPage, room: Daemon) -> None:
    page = await open_page(f"{room.url}/", may_complain_of="404", locale="de-DE")
    await expect(page.locator("#start")).to_have_text("Aufnahme beginnen")
    assert await page.evaluate("document.documentElement.lang") == "de"
    await page.goto(f"{room.url}/#box")
    await page.select_option("#language", "en")
    await expect(page.locator("#nav-visits")).to_have_text("Visits")
