"""What was captured and what is missing add up to the time that has passed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.core.continuity import SECOND, Continuity

SAMPLE = SECOND // RATE
"""Nanoseconds: 62,500, without a rest."""


class Room:
    """Streams of blocks, each where it lies in the time of the room."""

    def __init__(self, rate: int = RATE) -> None:
        self.rate = rate
        self.account = Continuity()
        self.now = 7 * SECOND
        self.captured = self.missing = 0

    def block(self, count: int = 800, *, late: int = 0, broken: bool = False) -> int:
        self.now += count * SECOND // self.rate
        gap = self.account.missing(count, self.rate, self.now + late, broken=broken)
        self.captured += count
        self.missing += gap
        return gap

    def blocks(self, seconds: float) -> list[int]:
        return [self.block() for _ in range(round(seconds * 20))]


def test_nothing_is_missing_while_sound_comes_in():
    room = Room()

    assert not any(room.blocks(60))


def test_nothing_is_missing_before_the_first_sound():
    room = Room()
    room.now += 100 * SECOND

    assert room.block() == 0


def test_between_two_streams_the_time_is_missing_to_the_sample():
    room = Room()
    room.blocks(3)
    room.account.interrupt()
    room.now += 54_321 * SAMPLE

    assert room.block() == 54_321
    assert not any(room.blocks(3))


def test_what_the_device_says_it_dropped_is_missing():
    room = Room()
    room.blocks(3)
    room.now += 1_234 * SAMPLE

    assert room.block(broken=True) == 1_234


def test_a_burst_of_a_sound_server_is_no_gap():
    room = Room()
    room.blocks(5)

    late = [room.block(late=delay * SECOND // 20) for delay in (0, 8, 7, 6, 5, 4, 3, 2, 1, 0) * 6]

    assert not any(late)


def test_what_is_lost_without_a_word_is_missing_once_it_is_certain():
    room = Room()
    room.blocks(5)
    room.now += SECOND

    assert room.blocks(5).count(RATE) == 1
    assert room.missing == RATE


def test_small_losses_without_a_word_add_up_however_long_they_go_on():
    room = Room()
    room.blocks(5)
    lost = 0
    for _ in range(30):
        room.blocks(2)
        room.now += SECOND // 5
        lost += RATE // 5
    room.blocks(4)

    # What is not told yet is less than is worth telling; a clock may have drifted over the 70 s.
    assert lost - RATE // 4 - 70 * RATE // 500 <= room.missing <= lost


def test_a_block_that_was_handed_over_late_does_not_hide_a_loss():
    room = Room()
    room.block(late=SECOND // 5)
    room.blocks(5)
    room.now += 3 * SECOND // 10
    room.blocks(5)

    assert room.missing == 3 * RATE // 10


@pytest.mark.parametrize("drift", [-200, 200])
def test_a_clock_that_is_a_little_off_is_forgiven(drift: int):
    room = Room()
    gaps = 0
    for _ in range(20 * 600):
        room.now += drift * 50  # parts in a million of 50 ms
        gaps += room.block()

    assert gaps == 0


def test_a_stream_that_seems_to_begin_before_the_other_ended_takes_nothing_back():
    room = Room()
    room.blocks(3)
    room.account.interrupt()
    room.now -= 800 * SAMPLE

    assert room.block() == 0


def test_a_wait_is_told_in_parts_that_add_up():
    room = Room()
    room.blocks(2)
    end = room.now
    room.account.interrupt()

    parts = [room.account.waited(end + round(moment * SECOND)) for moment in (1, 2.5, 2.5, 4)]
    room.now = end + 5 * SECOND
    rest = room.block()

    assert sum(parts) + rest == 5 * RATE
    assert all(part >= 0 for part in parts)


def test_the_end_of_a_recording_misses_what_passed_since_the_last_sound():
    room = Room()
    room.blocks(2)

    assert room.account.trailing(room.now + SECOND // 20) == 0
    assert room.account.trailing(room.now + 3 * SECOND) == 3 * RATE
    assert Continuity().trailing(SECOND) == 0


@given(
    st.sampled_from([8_000, 16_000, 44_100, 48_000, 96_000]),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5 * SECOND)), min_size=1, max_size=40),
)
def test_however_often_it_breaks_the_sum_is_the_time_that_passed(rate, lives):
    """Each life: so many blocks, and so many nanoseconds until the next."""
    room = Room(rate)
    begin = None
    for blocks, pause in lives:
        for _ in range(blocks):
            gap = room.block(rate // 20)
            if begin is None:
                begin = room.now - rate // 20 * SECOND // rate
            assert gap >= 0
        room.account.interrupt()
        room.now += pause
    if begin is None:
        return

    room.block(rate // 20)
    passed = room.now - begin
    told = room.captured * RATE / rate + room.missing
    # Block ends are whole nanoseconds, so each life may be off by one.
    assert abs(told - passed * RATE / SECOND) <= 0.5 + len(lives) * 41 * RATE / SECOND
