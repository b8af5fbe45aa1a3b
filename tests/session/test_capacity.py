"""How busy the box is: who is let in, how often previews come, and that an idle box refuses nobody."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.core.decoding import Rank, Request
from ambientd.session.capacity import FIRST_GUESS, LONGEST_BEAT, NO_CEILING, Capacity, Ceiling


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def piece(seconds: float = 10, rank: Rank = Rank.FINAL) -> Request:
    return Request(np.zeros(round(seconds * RATE), np.float32), 0, 0, "en", rank=rank)


def rooms(capacity: Capacity, clock: Clock, count: int, *, cost: float, minutes: int = 2) -> None:
    """So many rooms that speak without a break, each second of which costs ``cost`` lane seconds."""
    for _ in range(6 * minutes):
        clock.now += 10
        for _ in range(count):
            capacity.decoded(piece(10), 0, 10 * cost)


def test_utilisation_is_the_share_of_lane_time_that_finals_took_in_the_last_minute(clock):
    capacity = Capacity(2, clock=clock)
    rooms(capacity, clock, 10, cost=0.06)
    assert capacity.utilisation == pytest.approx(0.3, rel=0.2)

    clock.now += 61
    assert capacity.utilisation == 0


def test_previews_and_background_work_do_not_count_as_load(clock):
    capacity = Capacity(1, clock=clock)
    for rank in (Rank.PARTIAL, Rank.BACKGROUND):
        capacity.decoded(piece(rank=rank), 0, 30)
    assert capacity.utilisation == 0


class TestAdmission:
    @pytest.mark.parametrize(("cost", "expected"), [(0.06, 29), (0.072, 24), (0.1, 17)])
    def test_rooms_are_let_in_up_to_the_ceiling_and_not_beyond(self, clock, cost, expected):
        """Rooms open one after the other, a moment apart, before any has given a line."""
        capacity = Capacity(2, Ceiling(utilisation=0.9), clock=clock)
        rooms(capacity, clock, 4, cost=cost, minutes=20)  # earlier in the day, to know the cost
        clock.now += 60
        opened: list[float] = []
        while not capacity.refusal([clock.now - at for at in opened], [0.0] * len(opened)):
            opened.append(clock.now)
            clock.now += 0.2

        assert len(opened) == pytest.approx(expected, abs=1)

    def test_rooms_that_have_long_been_open_count_as_what_they_cost(self, clock):
        """Forty rooms in which hardly anybody speaks leave room for more."""
        capacity = Capacity(2, clock=clock)
        rooms(capacity, clock, 2, cost=0.07)
        assert capacity.refusal([600.0] * 40, [0.0] * 40) is None

    @given(st.floats(0.001, 100), st.floats(0, 1000))
    def test_a_box_without_a_room_refuses_nobody(self, cost, lag):
        capacity = Capacity(1, clock=Clock())
        capacity.decoded(piece(1), 0, cost)
        capacity.lagged(lag)
        assert capacity.refusal([], []) is None

    def test_late_text_shuts_the_door_whatever_the_forecast_says(self, clock):
        capacity = Capacity(8, Ceiling(lag=10), clock=clock)
        for _ in range(20):
            capacity.lagged(12)
        assert "12 s late" in str(capacity.refusal([100.0], [0.0]))

        clock.now += 61
        assert capacity.refusal([100.0], [0.0]) is None

    def test_a_room_that_waits_at_this_moment_counts_as_late(self, clock):
        capacity = Capacity(8, Ceiling(lag=10), clock=clock)
        assert capacity.refusal([100.0] * 2, [30.0, 0.0])

    def test_one_late_line_of_many_is_no_reason(self, clock):
        capacity = Capacity(8, Ceiling(lag=10), clock=clock)
        for lag in [1.0] * 40 + [15.0]:
            capacity.lagged(lag)
        assert capacity.refusal([100.0], [0.0]) is None

    def test_without_a_ceiling_nobody_is_refused(self, clock):
        assert Capacity(1, NO_CEILING, clock=clock).refusal([1.0] * 10_000, [99.0] * 10_000) is None


def test_the_cost_of_talk_is_guessed_first_and_then_measured(clock):
    capacity = Capacity(1, clock=clock)
    assert capacity.cost == pytest.approx(FIRST_GUESS)
    rooms(capacity, clock, 1, cost=0.5, minutes=20)
    assert capacity.cost == pytest.approx(0.5, rel=0.05)


class TestPreviews:
    def interval(self, clock: Clock, *, count: int, watching: int) -> float:
        capacity = Capacity(2, clock=clock)
        capacity.watchers = lambda: watching
        rooms(capacity, clock, count, cost=0.07)
        return capacity.spacing(0.4)

    def test_few_rooms_are_held_back_by_nothing_but_the_cost_itself(self, clock):
        assert self.interval(clock, count=1, watching=1) < 0.75
        assert self.interval(Clock(), count=6, watching=6) < 3

    def test_a_full_box_previews_next_to_never(self, clock):
        assert self.interval(clock, count=24, watching=24) > 60

    def test_previews_of_all_rooms_together_take_a_small_part_of_a_full_box(self, clock):
        assert 24 * 0.4 / self.interval(clock, count=24, watching=24) / 2 < 0.05

    def test_it_grows_smoothly_with_the_load(self):
        intervals = [self.interval(Clock(), count=n, watching=n) for n in range(1, 28)]
        assert intervals == sorted(intervals)
        assert all(after / before < 2.5 for before, after in pairwise(intervals[:24]))

    def test_beyond_full_load_there_are_none(self, clock):
        assert self.interval(clock, count=40, watching=1) == math.inf

    def test_thinned_is_told(self, clock):
        capacity = Capacity(2, clock=clock)
        capacity.decoded(piece(rank=Rank.PARTIAL), 0, 0.4)
        assert not capacity.thinned
        rooms(capacity, clock, 20, cost=0.07)
        assert capacity.thinned


def test_an_idle_box_judges_each_sound_at_once_and_a_full_one_half_a_second_at_a_time(clock):
    capacity = Capacity(1, clock=clock)
    assert capacity.beat == 0
    rooms(capacity, clock, 30, cost=0.07)
    assert capacity.beat == LONGEST_BEAT
