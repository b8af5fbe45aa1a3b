"""A box whose engine is scripted, and visits on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from chromium import write_wav
from playwright.async_api import Page
from running import Daemon

TALKING_BOX = Path(__file__).parent.parent / "talking_box.py"

SETTINGS = {
    "AMBIENTD_SEGMENTATION__CHUNK_DURATION": "2",
    "AMBIENTD_SEGMENTATION__MAX_DURATION": "6",
    "AMBIENTD_REFINEMENT__WAIT": "5",
}
"""Lines come soon."""


def box_at(state: Path, **settings: str) -> Daemon:
    """A box with no weights; not yet started."""
    return Daemon(state, state, SETTINGS | settings, program=(str(TALKING_BOX),))


def speech(seconds: float, rate: int = 16_000) -> np.ndarray:
    """What the box takes for speech: a tone with a pause every four seconds; float64[n]."""
    time = np.arange(round(seconds * rate)) / rate
    return np.where(time % 4 < 3.5, 0.4 * np.sin(2 * np.pi * 220 * time), 0)


def talk(folder: Path, seconds: float = 90) -> Path:
    """The same as a file for the fake microphone."""
    return write_wav(folder / "talk.wav", speech(seconds))


async def visit(box: Daemon, seconds: float = 12, **configure: Any) -> str:
    """Records a visit as fast as the box takes it; gives its id."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{box.url}/ws/transcribe?refined=1", max_msg_size=0) as socket,
    ):
        session_id: str = (await socket.receive_json())["session_id"]
        if configure:
            await socket.send_json({"type": "configure", **configure})
        pcm = (speech(seconds) * 32767).astype("<i2").tobytes()
        for start in range(0, len(pcm), 32_000):
            await socket.send_bytes(pcm[start : start + 32_000])
        await socket.send_json({"type": "end_session"})
        async for message in socket:
            if message.json()["type"] == "refined":
                break
    return session_id


async def asked(box: Daemon, path: str) -> Any:
    """What the box answers, as JSON."""
    async with aiohttp.ClientSession() as http, http.get(box.url + path) as answer:
        return await answer.json()


def set_up_code(box: Daemon) -> str:
    """The code that a box without accounts shows."""
    found = re.search(r"setup_code=(\S+)", box.log)
    assert found is not None, "the box shows no code"
    return found[1]


async def look_again(page: Page) -> None:
    """Has the view asked for anew at once, as whoever comes back to it has; by itself it may take 10 s."""
    await page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
