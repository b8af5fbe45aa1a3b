"""An audio file's way through the real page."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import OpenPage, write_wav
from playwright.async_api import Page, expect
from scripted_server import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def loud_noise(seconds: float) -> np.ndarray:
    """Noise through the whole 16-bit range, both ends included; float64[n] on the 16-bit grid."""
    steps = np.random.default_rng(7).integers(-32768, 32768, int(seconds * 16000))
    steps[:2] = -32768, 32767
    return steps / 32768


async def choose(page: Page, file: Path, *, fast: bool) -> None:
    await page.check("#use-file")
    await page.set_input_files("#file", file)
    await page.set_checked("#fast", fast)
    await page.click("#start")


async def test_a_file_arrives_sample_for_sample_and_ends_its_session(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    file = write_wav(tmp_path / "noise.wav", loud_noise(5.3))
    expected, _ = soundfile.read(file, dtype="int16")
    page = await open_page()

    await choose(page, file, fast=True)
    await expect(page.locator("#state")).to_have_text("Session ended")

    assert len(server.samples) == len(expected)
    assert np.array_equal(server.samples, expected)
    assert server.frames == [8192] * 20 + [5.3 * 32000 - 20 * 8192]
    assert server.orders[-1] == "end_session"
    await expect(page.locator("#lines")).to_contain_text("The last words.")


async def test_a_file_is_sent_in_the_time_it_takes_to_speak_it(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    page = await open_page()
    await choose(page, write_wav(tmp_path / "noise.wav", loud_noise(2.0)), fast=False)
    await expect(page.locator("#state")).to_have_text("Recording")
    begun = time.monotonic()

    await asyncio.sleep(1.0)
    half_way = len(server.pcm) / 32000
    await expect(page.locator("#meter-words")).to_have_text(
        "-5 dBFS, too loud"
    )  # full-scale noise: 1 / sqrt(3)
    await expect(page.locator("#state")).to_have_text("Session ended")
    took = time.monotonic() - begun

    await expect(page.locator("#meter-words")).to_have_text("off")
    # Not faster than it is spoken; how much slower is the busy machine's affair.
    assert 0.2 < half_way < 1.7
    assert took > 1.6
    assert len(server.pcm) == 64000


async def test_ending_in_the_middle_of_a_file_sends_all_that_was_spoken_so_far(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    file = write_wav(tmp_path / "noise.wav", loud_noise(5.0))
    expected, _ = soundfile.read(file, dtype="int16")
    page = await open_page()
    await choose(page, file, fast=False)
    await server.heard(8192)
    await asyncio.sleep(0.1)

    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")

    assert 8192 < len(server.pcm) < 5 * 32000
    assert len(server.pcm) % 8192, "the last frame is a part of one"
    assert np.array_equal(server.samples, expected[: len(server.samples)])


async def test_stereo_at_another_rate_becomes_mono_at_16_khz(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    time_axis = np.arange(44100) / 44100
    stereo = np.stack([0.8 * np.sin(2 * np.pi * 1000 * time_axis), np.zeros(44100)], axis=1)
    page = await open_page()

    await choose(page, write_wav(tmp_path / "stereo.wav", stereo, 44100), fast=True)
    await expect(page.locator("#state")).to_have_text("Session ended")

    assert len(server.samples) == pytest.approx(16000, abs=2)
    middle = server.samples[4000:12000] / 32768
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(8000))) / 2000
    assert spectrum.argmax() * 2 == 1000
    assert spectrum.max() == pytest.approx(0.4, abs=0.01)


async def test_a_file_that_is_no_audio_is_refused_with_advice(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear colleague, …")
    page = await open_page()

    await choose(page, letter, fast=True)

    await expect(page.get_by_role("alert")).to_contain_text("cannot decode that file. WAV, FLAC and MP3")
    await expect(page.locator("#state")).to_have_text("Not connected")


async def test_a_server_slower_than_speech_is_named_and_nothing_is_lost(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    """The server stops reading.  The kernel's buffers hide the first megabytes, hence so much sound."""
    page = await open_page()
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    server.reading.clear()

    await page.evaluate("for (let i = 0; i < 400; i += 1) connection.sendAudio(new ArrayBuffer(64000))")

    await expect(page.locator("[data-key=backlog]")).to_contain_text("More than 30 s of sound wait")
    server.reading.set()
    await expect(page.locator("[data-key=backlog]")).to_have_count(0)
    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")
    assert len(server.pcm) == 25_600_000
