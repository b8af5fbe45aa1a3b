"""A whole day of the page at a real box: set up, a tablet paired, a visit spoken, cut off, read, exported, deleted.

``make walk`` takes the whole way: the visit to its end, the network away for 20 s, every view looked at by axe and kept
as a picture in three widths, with the figures, in build/walk.  Any other run takes a shorter visit and a shorter cut,
and looks at nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from barriers import barriers
from chromium import FAKE_MICROPHONE, QUIET, trust, write_wav
from playwright.async_api import BrowserContext, Page, Playwright, expect
from proxied import Proxy
from running import DATA, ROOT, Daemon

pytestmark = [pytest.mark.model, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


FULL = os.environ.get("AMBIENTD_WALK") == "full"
CUT_SECONDS = 20 if FULL else 3
SPEECH_SECONDS = 39.5 if FULL else 16.0
FIRST_SECONDS = 8.4
"""Where nobody speaks: so long into the visit it is paused."""
SILENCE_SECONDS = 6.0
"""What the microphone hears meanwhile: the fake one goes on by itself."""
PAGE_BYTES = 150_000
PASSWORD = "four words nobody joins"  # noqa: S105 - of nobody
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}
CUT_AFTER = 4.0
"""So long after the pause the network goes away."""
HEARD = 0.75
"""The share of the words said meanwhile that the smallest model must have heard; it writes numbers as digits."""

WEIGH = """async () => {
  const asked = performance.getEntriesByType("resource").map(({ name }) => name);
  const parts = new Set([location.pathname, ...asked.filter((name) => !name.includes("/api/"))]);
  const bodies = await Promise.all([...parts].map((part) => fetch(part).then((told) => told.blob())));
  return bodies.reduce((sum, { size }) => sum + size, 0);
}"""
"""Bytes of everything the page has asked for."""


@dataclass
class Views:
    """Looks at every view on the way, when the whole way is walked."""

    folder: Path
    faults: dict[str, Any] = field(default_factory=dict)

    async def see(self, page: Page, name: str) -> None:
        """Keeps what axe finds, and the view as it looks in each width."""
        if not FULL:
            return
        self.faults |= {f"{name}: {rule}": (where, why) for rule, where, why in await barriers(page)}
        before = page.viewport_size
        for width, (across, down) in SIZES.items():
            await page.set_viewport_size({"width": across, "height": down})
            await page.screenshot(path=self.folder / f"{name}_{width}.png")
            wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            if (excess := await page.evaluate(wide)) > 0:
                self.faults[f"{name}: {width}"] = f"{excess} px are cut off"
        await page.set_viewport_size(before)


@dataclass(frozen=True)
class Clinic:
    """A box with its network: ``door`` is where tablets knock, ``wire`` the cable that can be pulled."""

    box: Daemon
    here: aiohttp.ClientSession
    wire: Proxy
    door: str
    tablet: BrowserContext
    office: BrowserContext


def spoken(folder: Path) -> Path:
    """The sample visit with a silence in which to pause, and one at its end."""
    speech, rate = soundfile.read(DATA / "visit.flac", dtype="float64")
    first, whole = round(FIRST_SECONDS * rate), round(SPEECH_SECONDS * rate)
    pause = np.zeros(round(SILENCE_SECONDS * rate))
    return write_wav(
        folder / "visit.wav", np.concatenate([speech[:first], pause, speech[first:whole], pause]), rate
    )


@asynccontextmanager
async def opened(box: Daemon, playwright: Playwright, folder: Path) -> AsyncIterator[Clinic]:
    """Starts the box with its LAN door, and a browser that trusts it."""
    box.environment |= {
        "AMBIENTD_LAN__ENABLED": "true",
        "AMBIENTD_LAN__PORT": "0",
        "AMBIENTD_LAN__ANNOUNCE": "false",
    }
    await asyncio.to_thread(box.start)
    wire = Proxy(int(re.search(r"url=https://[^ ,]*?:(\d+)", box.log)[1]))
    await wire.open()
    home = folder / "home"
    home.mkdir()
    async with aiohttp.ClientSession(box.url) as here:
        async with here.get("/ca.pem") as answer:
            trust(home, await answer.text())
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                *QUIET,
                *FAKE_MICROPHONE,
                f"--use-file-for-fake-audio-capture={spoken(folder)}%noloop",
            ],
            env={**os.environ, "HOME": str(home)},
        )
        across, down = SIZES["tablet"]
        size = {"width": across, "height": down}
        tablet = await browser.new_context(viewport=size, accept_downloads=True)
        office = await browser.new_context(viewport=size)
        door = wire.url.replace("http://127.0.0.1", "https://localhost")
        yield Clinic(box, here, wire, door, tablet, office)
        await browser.close()
    wire.close()


async def paired(clinic: Clinic, views: Views) -> Page:
    """Sets the box up from the office, pairs a tablet and lets it in; gives the tablet's page."""
    office = await clinic.office.new_page()
    await office.goto(clinic.door)
    await expect(office.locator("#entry h1")).to_have_text("Set up this box")
    await views.see(office, "setup")
    await office.fill("[name=code]", re.search(r"setup_code=([A-Z0-9-]+)", clinic.box.log)[1])
    await office.fill("[name=name]", "Olga")
    await office.fill("[name=password]", PASSWORD)
    await office.click("text=Make the first account")
    await expect(office.locator(".verdict")).to_be_visible()

    page = await clinic.tablet.new_page()
    await page.goto(clinic.door)
    await expect(page.locator("#entry h1")).to_have_text("Pair this device")
    await views.see(page, "pair")
    await page.click("text=Log in with a name instead")
    await views.see(page, "login")
    await page.click("text=Pair this device instead")
    await page.fill("[name=name]", "Tablet, room 3")
    await page.click("text=Ask to be let in")
    await expect(office.locator(".asking .code")).to_have_text(await page.inner_text(".code"))
    await views.see(page, "waiting")
    await office.locator(".asking").scroll_into_view_if_needed()
    await views.see(office, "box")
    await office.locator(".asking >> text=Let in").click()
    await expect(page.locator("#start")).to_be_visible()
    await office.close()
    return page


async def begun(page: Page, views: Views) -> None:
    """Asks for consent and begins to record with the tablet's microphone."""
    await page.check("#source-device")
    await page.fill("#encounter", "E-2048")
    await views.see(page, "now")
    await page.click("#start")
    await expect(page.locator("#consent-error")).to_be_visible()
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")


async def visited(clinic: Clinic, page: Page, views: Views) -> float:
    """The visit, with its pause and its cut; gives how many seconds were recorded."""
    began = time.monotonic()

    async def at(seconds: float) -> None:
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    await at(FIRST_SECONDS + 1)
    await page.click("#bar-pause")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "paused")
    paused = time.monotonic()
    await views.see(page, "paused")
    await at(FIRST_SECONDS + SILENCE_SECONDS - 1.5)
    await page.click("#bar-resume")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    paused = time.monotonic() - paused

    await at(FIRST_SECONDS + SILENCE_SECONDS + CUT_AFTER)
    clinic.wire.close()
    cut = time.monotonic()
    await expect(page.locator("#problems")).to_contain_text("Recording goes on here")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await views.see(page, "cut")
    await asyncio.sleep(max(0.0, cut + CUT_SECONDS - time.monotonic()))
    await clinic.wire.open()
    await expect(page.locator("#problems")).not_to_contain_text("Recording goes on here", timeout=30_000)

    await at(SPEECH_SECONDS + SILENCE_SECONDS + 2)
    await expect(page.locator(".lines .line").nth(1 if FULL else 0)).to_be_visible()
    await views.see(page, "recording")
    recorded = time.monotonic() - began - paused
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible(timeout=60_000)
    return recorded


def words(text: str) -> list[str]:
    """The words without case and punctuation."""
    return re.findall(r"[\w']+", text.lower())


def said_in_the_cut() -> list[str]:
    """What was said, from its first word to its last, while the network was away."""
    turns = json.loads((DATA / "visit.turns.json").read_text())
    begin, end = FIRST_SECONDS + CUT_AFTER, FIRST_SECONDS + CUT_AFTER + CUT_SECONDS
    return words(" ".join(turn["text"] for turn in turns if begin <= turn["end"] and turn["start"] < end))


def heard_of(said: list[str], found: list[str]) -> float:
    """The share of the words that were found, in their order."""
    blocks = SequenceMatcher(None, said, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(said)


async def corrected(page: Page, views: Views) -> None:
    """Reads the visit, and corrects its first line."""
    await expect(page.locator(".done")).to_contain_text("final", timeout=120_000)
    await views.see(page, "done")
    await page.click("text=Read and correct")
    await expect(page.locator(".sheet .line").first).to_be_visible()
    await views.see(page, "visit")
    await page.click("#edit")
    first = page.locator("textarea").first
    await first.fill((await first.input_value()).replace("Alvarez", "Álvarez-Ruiz"))
    await views.see(page, "edit")
    await page.click("#edit-save")
    await expect(page.locator(".history")).to_contain_text("Correction 1")
    await expect(page.locator(".sheet")).to_contain_text("Álvarez-Ruiz")
    await views.see(page, "corrected")


async def exported(page: Page, form: str) -> str:
    """What the page saves as a file of this form."""
    await page.click("summary:has-text('Export')")
    async with page.expect_download() as download:
        await page.click(f".menu-list button:text-is('{form}')")
    return (await (await download.value).path()).read_text()


async def test_a_day_with_the_box_from_its_first_start_to_a_visit_deleted(
    own_daemon: Daemon, playwright: Playwright, tmp_path: Path
) -> None:
    if shutil.which("certutil") is None:
        pytest.skip("needs Debian's package libnss3-tools")
    folder = ROOT / "build" / "walk" if FULL else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    views = Views(folder)
    async with opened(own_daemon, playwright, tmp_path) as clinic:
        page = await paired(clinic, views)
        weight = await weighed(page)
        await begun(page, views)
        seconds = await visited(clinic, page, views)
        async with clinic.here.get("/api/v1/sessions?limit=5") as answer:
            [record] = (await answer.json())["sessions"]
        received = record["metrics"]["received_samples"] / 16_000
        session = f"/api/v1/sessions/{record['session_id']}"
        async with clinic.here.get(f"{session}/transcript") as answer:
            transcript = await answer.json()
        assert received == pytest.approx(seconds, abs=2.5)  # the clicks of a busy machine; the cut is longer
        assert transcript["gaps"] == []
        assert heard_of(said_in_the_cut(), words(transcript["text"])) >= HEARD

        await corrected(page, views)
        text = await exported(page, "Text")
        assert "Álvarez-Ruiz" in text
        bundle = json.loads(await exported(page, "FHIR bundle"))
        assert bundle["resourceType"] == "Bundle"
        assert len(bundle["entry"]) > 1

        await page.click("#delete")
        await views.see(page, "delete")
        await page.click("dialog button:text-is('Delete it')")
        await expect(page.locator("#notices")).to_contain_text("The visit is deleted.")
        await views.see(page, "visits")
        async with clinic.here.get(session) as answer:
            assert answer.status == 404
        await page.click("#lock")
        await expect(page.locator("#entry h1")).to_have_text("Locked")
        await views.see(page, "locked")
    figures = weight | {"seconds_recorded": round(seconds, 1), "seconds_received": round(received, 1)}
    (folder / "figures.json").write_text(json.dumps(figures))
    assert views.faults == {}


async def weighed(page: Page) -> dict[str, int]:
    """What the page weighs as it is opened, and how many ms until a visit can be begun: the best of a few."""
    took = []
    for _ in range(4):
        await page.reload()
        await expect(page.locator("#start")).to_be_visible()
        took.append(await page.evaluate("Math.round(performance.getEntriesByName('usable')[0].startTime)"))
    sent = await page.evaluate(WEIGH)
    assert sent < PAGE_BYTES
    assert min(took) < 1000
    return {"bytes": sent, "milliseconds": min(took)}
