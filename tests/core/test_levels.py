"""The meter shows what a person would say of the sound: how loud, too loud, switched off."""

import numpy as np
import pytest

from ambientd.core.levels import Meter
from ambientd.core.microphone import NO_SIGNAL

RATE = 48_000


def meter() -> Meter:
    return Meter(RATE, silence=3.0)


def tone(amplitude: float, seconds: float = 1.0, channels: int = 1) -> np.ndarray:
    wave = amplitude * 32_767 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * 440 / RATE)
    return np.repeat(wave.astype(np.int16)[:, None], channels, axis=1)


def play(to: Meter, sound: np.ndarray, block: int = RATE // 20) -> None:
    for begin in range(0, len(sound), block):
        to.receive(sound[begin : begin + block])


@pytest.mark.parametrize(("amplitude", "peak"), [(1.0, 0.0), (0.5, -6.0), (0.1, -20.0), (0.001, -60.0)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_has_its_level(amplitude: float, peak: float, channels: int):
    one = meter()
    play(one, tone(amplitude, channels=channels))

    assert one.level.peak_dbfs == pytest.approx(peak, abs=0.4)
    assert one.level.rms_dbfs == pytest.approx(peak - 3.0, abs=0.4)
    assert not one.level.silent


def test_digital_silence_has_no_level_and_counts_as_switched_off_after_its_time():
    one = meter()
    play(one, np.zeros((RATE * 2, 1), np.int16))
    assert one.level.rms_dbfs == one.level.peak_dbfs == NO_SIGNAL
    assert not one.level.silent

    play(one, np.zeros((RATE * 2, 1), np.int16))
    assert one.level.silent

    play(one, tone(0.001, 0.05))
    assert not one.level.silent


def test_a_constant_that_is_not_zero_is_digital_silence_too():
    one = meter()
    play(one, np.full((RATE * 4, 2), -37, np.int16))

    assert one.level.silent


def test_faint_noise_is_not_switched_off():
    one = meter()
    play(one, np.random.default_rng(5).integers(-1, 2, (RATE * 5, 1)).astype(np.int16))

    assert not one.level.silent


def test_clipping_is_shown_for_two_seconds():
    one = meter()
    loud = np.clip(tone(1.0).astype(np.int32) * 3, -32_768, 32_767).astype(np.int16)
    play(one, loud)
    assert one.level.clipping

    play(one, tone(0.1, 1.9))
    assert one.level.clipping
    play(one, tone(0.1, 0.2))
    assert not one.level.clipping


def test_one_sample_at_full_scale_is_no_clipping_and_three_across_two_blocks_are():
    one = meter()
    block = tone(0.1, 0.05)
    block[100] = 32_767
    one.receive(block)
    assert not one.level.clipping

    one.receive(np.concatenate((tone(0.1, 0.05), np.full((1, 1), -32_768, np.int16))))
    one.receive(np.concatenate((np.full((2, 1), -32_768, np.int16), tone(0.1, 0.05))))
    assert one.level.clipping


def test_the_smallest_sample_has_no_larger_absolute_value_than_full_scale():
    one = meter()
    play(one, np.full((RATE, 1), -32_768, np.int16))

    assert one.level.peak_dbfs == 0.0
