"""The whole way: a voice in Chromium's microphone, the real daemon, words in the page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import CHROMIUM, FAKE_MICROPHONE, QUIET, write_wav
from playwright.async_api import async_playwright, expect
from running import DATA, Daemon

pytestmark = [pytest.mark.browser, pytest.mark.model]

CONTENT_WORDS = {
    "burning",
    "stomach",
    "ibuprofen",
    "knee",
    "milligrams",
    "vomiting",
    "pounds",
    "omeprazole",
    "breakfast",
    "stools",
    "weight",
}
"""What a reader of the visit must find; no ordinary sentence has eight of them by chance."""


SECONDS = 29.5
"""Of the visit: to the pause after "breakfast".  It is spoken in real time."""


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium: install Debian's package chromium")
async def test_a_visit_spoken_into_the_microphone_is_read_in_the_page(daemon: Daemon, tmp_path: Path) -> None:
    visit, rate = soundfile.read(DATA / "visit.flac")
    visit = visit[: round(SECONDS * rate)]
    # A second before, while the page connects; one after, since Chromium repeats the last 10 ms of a file.
    quiet = np.zeros(rate)
    wav = write_wav(tmp_path / "visit.wav", np.concatenate([quiet, visit, quiet]), rate)
    args = [*QUIET, *FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={wav}%noloop"]

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        page = await browser.new_page()
        await page.goto(f"{daemon.url}/websocket_test.html")
        await page.click("#start")
        await expect(page.locator("#state")).to_have_text("Recording", timeout=15_000)
        spoken = len(visit) / rate + 1.5
        # Polled from here: the page's own content policy forbids what wait_for_function does inside it.
        async with asyncio.timeout(60):
            while not await page.evaluate(f"connection.samplesSent > {spoken} * 16000 || state === 'idle'"):
                await asyncio.sleep(0.1)
        lines_while_speaking = await page.locator("#lines .line").count()
        await page.click("#end")
        await expect(page.locator("#state")).to_have_text("Session ended", timeout=30_000)
        text = await page.inner_text("#lines")
        ended = await page.inner_text("#notices")
        gaps = await page.locator("#lines .gap").count()
        await browser.close()

    found = {word for word in CONTENT_WORDS if word in text.lower()}
    assert len(found) >= 8, f"only {sorted(found)}"
    assert lines_while_speaking >= 2, "words come while somebody speaks, not only at the end"
    assert gaps == 0
    assert ended
