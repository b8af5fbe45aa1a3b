"""Samples lie where the clock puts them, or, on a device without a clock, where their rate does."""

import pytest

from ambientd.capture.pace import SECOND, Pace

RATE = 16_000
BLOCK = 800


def test_the_last_sample_is_as_old_as_what_lies_behind_it_in_the_buffer():
    pace = Pace(RATE, 0)
    for number in range(100):
        pace.end(BLOCK, (number + 1) * SECOND // 20, 0)

    now = 10 * SECOND
    assert pace.end(BLOCK, now, 0) == now
    assert pace.end(BLOCK, now, 1_600) == now - SECOND // 10
    assert pace.ahead(now) == 0


def test_no_sample_is_older_than_its_stream():
    pace = Pace(RATE, 5 * SECOND)

    assert pace.end(BLOCK, 5 * SECOND + 10, 16_000) >= 5 * SECOND + BLOCK * SECOND // RATE


def test_a_device_without_a_clock_is_read_at_its_rate():
    pace = Pace(RATE, 0)
    now = reads = 0
    ends = []
    while now < 60 * SECOND:
        ends.append(pace.end(BLOCK, now, 12_345))
        now += 100_000 + round(pace.ahead(now) * SECOND)
        reads += 1

    assert pace.clockless
    assert reads == pytest.approx(60 * 20, abs=1)
    assert ends[-1] == reads * BLOCK * SECOND // RATE


def test_a_clock_that_is_a_little_fast_is_still_a_clock():
    pace = Pace(RATE, 0)
    for number in range(20 * 7_200):
        now = round((number + 1) * SECOND / 20 * 0.9995)
        assert pace.end(BLOCK, now, 0) == pytest.approx(now, abs=SECOND // 500)

    assert not pace.clockless


def test_what_a_sound_server_has_buffered_does_not_make_it_clockless():
    pace = Pace(RATE, 0)
    now = SECOND // 10
    for _ in range(15):
        pace.end(BLOCK, now, 0)

    assert not pace.clockless
