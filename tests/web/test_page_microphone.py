"""The microphone's way through the real page: getUserMedia, worklet, frames, socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from chromium import OpenPage, write_wav
from playwright.async_api import Page, expect
from scripted_server import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REFUSE_16_KHZ = """
    const Real = AudioContext;
    globalThis.AudioContext = class extends Real {
      constructor(options) {
        if (options?.sampleRate === 16000) throw new DOMException("no such rate", "NotSupportedError");
        super({ sampleRate: 48000 });
      }
    };
"""
"""A browser that will not make a 16 kHz context."""


def staircase(seconds_each: float = 0.4, rate: int = 48000) -> np.ndarray:
    """Four tones, one after the other, at half of full scale: order, rate and level can all be read off.

    It begins in silence, since the file plays while the page still connects, and ends in silence, since
    Chromium repeats the last 10 ms of the file when there is no more.
    """
    time = np.arange(int(seconds_each * rate)) / rate
    tones = [0.5 * np.sin(2 * np.pi * hertz * time) for hertz in TONES]
    return np.concatenate([np.zeros(rate // 2), *tones, np.zeros(rate // 10)])


TONES = (500, 1000, 2000, 4000)


def tones_heard(samples: np.ndarray, window: int = 800) -> list[tuple[int, float]]:
    """(Hz, amplitude in [0, 1]) of the strongest partial in each twentieth of a second."""
    heard = []
    for start in range(0, len(samples) - window, window):
        spectrum = np.abs(np.fft.rfft(samples[start : start + window] / 32768 * np.hanning(window))) / (
            window / 4
        )
        peak = int(spectrum.argmax())
        heard.append((peak * 16000 // window, float(spectrum[peak])))
    return heard


async def heard_for(page: Page, server: ScriptedServer, seconds: float) -> None:
    """Records until the server has that much sound, then ends the session."""
    await page.click("#start")
    await server.heard(seconds * 32000)
    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")


@pytest.mark.parametrize("script", ["", REFUSE_16_KHZ], ids=["context at 16 kHz", "worklet resamples"])
async def test_the_microphone_arrives_with_its_pitch_order_and_level(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path, script: str
) -> None:
    page = await open_page(microphone=write_wav(tmp_path / "tones.wav", staircase(), 48000), script=script)

    await heard_for(page, server, 2.5)

    heard = tones_heard(server.samples)
    loud = [(hertz, level) for hertz, level in heard if level > 0.05]
    order = [hertz for i, (hertz, _) in enumerate(loud) if i == 0 or hertz != loud[i - 1][0]]
    assert order == list(TONES)
    for tone in TONES:
        levels = [level for hertz, level in loud if hertz == tone]
        assert len(levels) in (7, 8, 9)  # 0.4 s at the right rate, give or take the joints
        assert max(levels) == pytest.approx(0.5, abs=0.03)
    assert set(server.frames[:-1]) == {8192}
    assert ("resampled from 48000 Hz" in await page.inner_text("#source-facts")) == bool(script)


async def test_frames_have_the_size_the_server_asks_for_and_the_end_flushes_the_rest(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    server.config["audio_buffer_size"] = 3000
    page = await open_page()

    await heard_for(page, server, 0.5)

    assert set(server.frames[:-1]) == {3000}
    assert 0 < server.frames[-1] <= 3000
    assert server.orders[-1] == "end_session"
    shown = await page.inner_text("#audio-sent")
    assert shown == f"0:{int(len(server.pcm) / 3200) / 10:04.1f}"


async def test_a_pause_sends_nothing_and_the_microphone_is_off(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    await page.click("#start")
    await server.heard(8192)

    await page.click("#pause")
    await expect(page.locator("#state")).to_have_text("Paused")
    at_pause = len(server.pcm)
    assert at_pause % 8192, "what was waiting is sent when the pause begins"
    assert not await page.evaluate("source.track.enabled")
    await asyncio.sleep(0.6)

    assert len(server.pcm) == at_pause
    await page.click("#pause")
    await expect(page.locator("#state")).to_have_text("Recording")
    await server.heard(at_pause + 8192)


async def test_a_stopped_audio_context_is_named_and_goes_on_by_a_button(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")

    await page.evaluate("source.context.suspend()")
    notice = page.locator("[data-key=suspended]")
    await expect(notice).to_contain_text("stopped the sound")
    await asyncio.sleep(0.3)
    stopped = len(server.pcm)
    await notice.get_by_text("Continue").click()

    await expect(notice).to_have_count(0)
    await server.heard(stopped + 16384)
    await page.evaluate("source.context.suspend()")
    await page.click("#end")  # a flush works in a stopped context too
    await expect(page.locator("#state")).to_have_text("Session ended")
    assert server.orders[-1] == "end_session"


async def test_five_seconds_of_silence_are_called_a_muted_microphone(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    page = await open_page(microphone=write_wav(tmp_path / "silence.wav", np.zeros(16000)))
    await page.clock.install()
    await page.click("#start")
    await server.heard(8192)

    await page.clock.fast_forward(3000)
    await expect(page.locator("[data-key=silence]")).to_have_count(0)
    await page.clock.fast_forward(3000)

    await expect(page.locator("[data-key=silence]")).to_contain_text("muted")


async def test_a_refused_microphone_is_explained_and_nothing_is_connected(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page(args=["--use-fake-device-for-media-stream", "--deny-permission-prompts"])

    await page.click("#start")

    await expect(page.get_by_role("alert")).to_contain_text("The microphone was refused. Click the icon")
    await expect(page.locator("#start")).to_be_enabled()
    assert server.target == ""


async def test_each_microphone_failure_says_what_to_do(open_page: OpenPage) -> None:
    page = await open_page()
    for name, advice in (
        ("NotFoundError", "Plug one in"),
        ("NotReadableError", "another program is using it"),
        ("OverconstrainedError", "choose another one"),
        ("SecurityError", "Click the icon"),
        ("StrangeError", "failed (StrangeError)"),
    ):
        fail = f"async () => {{ throw new DOMException('x', '{name}'); }}"
        await page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {fail}; }}")

        await page.click("#start")

        await expect(page.get_by_role("alert")).to_contain_text(advice)


async def test_the_microphone_is_asked_for_without_processing_unless_a_person_wants_it(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    asked = "source.track.getConstraints()"
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")
    off = await page.evaluate(asked)
    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")
    await page.check("#noise")
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")
    on = await page.evaluate(asked)

    assert (off["echoCancellation"], off["noiseSuppression"], off["autoGainControl"]) == (False, False, False)
    assert (on["echoCancellation"], on["noiseSuppression"], on["autoGainControl"]) == (False, True, False)


async def test_an_unplugged_microphone_leaves_the_session_open_for_another(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")

    await page.evaluate("source.track.dispatchEvent(new Event('ended'))")

    await expect(page.get_by_role("alert")).to_contain_text("unplugged")
    await expect(page.locator("#state")).to_have_text("Connected")
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")


async def test_on_an_insecure_page_the_microphone_is_disabled_with_the_reason(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    # Another name for the loopback that browsers do not trust as such.
    page = await open_page(
        url=f"http://box.test:{server.port}/", args=["--host-resolver-rules=MAP box.test 127.0.0.1"]
    )

    await expect(page.locator("#use-microphone")).to_be_disabled()
    await expect(page.locator("#microphone-reason")).to_contain_text(
        "only to pages opened by https:// or from localhost"
    )
    await expect(page.locator("#use-file")).to_be_checked()
