"""The worklet's resampler and framer, run inside the page's own JavaScript."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from scripted_server import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DEFINE = """
    (samples, from, block) => {
      const resampler = new (audioProcessor().Resampler)(from, 16000);
      const input = Float32Array.from(samples);
      const out = [];
      for (let i = 0; i < input.length; i += block) {
        resampler.push(input.subarray(i, i + block), (sample) => out.push(sample));
      }
      resampler.flush((sample) => out.push(sample));
      return out;
    }
"""

TONE = "Array.from({ length: length }, (_, n) => Math.sin((2 * Math.PI * hertz * n) / rate))"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    async with ScriptedServer() as server, await chromium.new_context() as context:
        page = await context.new_page()
        await page.add_init_script(f"globalThis.resample = {DEFINE};")
        await page.goto(server.url)
        yield page


async def resampled(page: Page, samples: np.ndarray, rate: int, block: int = 128) -> np.ndarray:
    return np.array(await page.evaluate("(given) => resample(...given)", [samples.tolist(), rate, block]))


async def resampled_tone(page: Page, hertz: float, rate: int, length: int) -> np.ndarray:
    """A full-scale sine of ``length`` samples, made where it is used: long lists are slow to hand over."""
    return np.array(
        await page.evaluate(f"([hertz, rate, length]) => resample({TONE}, rate, 128)", [hertz, rate, length])
    )


def level_db(samples: np.ndarray) -> float:
    """RMS against a full-scale sine, the run-in and run-out left out."""
    middle = samples[400:-400]
    return float(20 * np.log10(np.sqrt(2 * np.mean(middle**2)) + 1e-12))


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
async def test_speech_passes_and_what_16_khz_cannot_carry_does_not_fold_back(page: Page, rate: int) -> None:
    for hertz in (100, 1000, 3000, 7000):
        passed = level_db(await resampled_tone(page, hertz, rate, rate // 5))
        assert passed == pytest.approx(0, abs=0.5), hertz
    for hertz in (8200, 10000, 15000, 20000):
        assert level_db(await resampled_tone(page, hertz, rate, rate // 5)) < -60, hertz


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
async def test_a_tone_keeps_its_time_and_its_end(page: Page, rate: int) -> None:
    """Neither delayed nor cut: output n is the tone at n / 16000 s, to the last sample."""
    heard = await resampled_tone(page, 440, rate, rate // 5)

    assert len(heard) == 3200
    expected = np.sin(2 * np.pi * 440 * np.arange(3200) / 16000)
    assert np.abs(heard - expected)[300:-300].max() < 0.002


async def test_the_blocks_it_comes_in_make_no_difference(page: Page) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, 5000)

    whole = await resampled(page, noise, 44100, block=5000)

    for block in (1, 7, 128, 1000):
        assert np.array_equal(await resampled(page, noise, 44100, block), whole)
    assert len(whole) == int(np.ceil(5000 * 16000 / 44100))


async def test_a_steady_level_comes_out_steady(page: Page) -> None:
    heard = await resampled(page, np.full(6000, 0.25), 44100)

    assert np.abs(heard[300:-300] - 0.25).max() < 1e-6


async def test_frames_hold_every_sample_once_and_full_scale_does_not_wrap(page: Page) -> None:
    samples = [-2, -1, -0.5, 0, 0.5, 1, 2]
    frames = await page.evaluate(
        """(samples) => {
             const frames = [];
             const framer = new (audioProcessor().Framer)(6, (buffer) => frames.push([...new Int16Array(buffer)]));
             samples.forEach((sample) => framer.put(sample));
             framer.flush();
             framer.flush();
             return frames;
           }""",
        samples,
    )

    assert frames == [[-32768, -32768, -16384], [0, 16384, 32767], [32767]]


WORKLET = """
    async ([rate, length]) => {
      const context = new OfflineAudioContext(1, length, rate);
      await context.audioWorklet.addModule("audio-processor.js");
      const node = new AudioWorkletNode(context, "audio-processor", { processorOptions: { frameBytes: 3000 } });
      const frames = [];
      let flushed;
      const done = new Promise((resolve) => { flushed = resolve; });
      node.port.onmessage = ({ data }) => {
        if (data instanceof ArrayBuffer) frames.push([...new Int16Array(data)]);
        else flushed();
      };
      const buffer = context.createBuffer(1, length, rate);
      buffer.getChannelData(0).forEach((_, n, samples) => { samples[n] = n / 32768; });
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(node).connect(context.destination);
      source.start();
      await context.startRendering();
      node.port.postMessage("end");
      await done;
      return frames;
    }
"""


async def test_the_worklet_posts_every_sample_and_the_rest_at_the_end(page: Page) -> None:
    frames = await page.evaluate(WORKLET, [16000, 5120])

    assert [len(frame) for frame in frames] == [1500, 1500, 1500, 620]
    assert np.abs(np.concatenate(frames) - np.arange(5120)).max() <= 1  # the ramp, in order


async def test_the_worklet_at_another_rate_posts_as_much_time_as_it_heard(page: Page) -> None:
    frames = await page.evaluate(WORKLET, [48000, 15360])

    heard = np.concatenate(frames)
    assert len(heard) == 5120
    assert np.abs(heard - 3 * np.arange(5120))[200:-200].max() <= 2
