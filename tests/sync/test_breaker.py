"""When calling the centre makes sense."""

from __future__ import annotations

from ambientd.core.retry import Backoff
from ambientd.sync.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker(Backoff(8, 60), clock, lambda: 0.5)


def failing(row: str, there: Breaker, *, everyone: bool = False, retry_after: float | None = None) -> bool:
    return there.fail(row, everyone=everyone, retry_after=retry_after)


def test_one_row_that_always_fails_never_stops_the_others() -> None:
    there = breaker(Clock())

    assert not any(failing("a", there) for _ in range(50))
    assert there.remaining == 0


def test_three_rows_that_fail_are_the_centre_s_trouble() -> None:
    there = breaker(Clock())

    assert [failing(row, there) for row in "aabc"] == [False, False, False, True]
    assert there.remaining == 4
    assert there.lets_new_ones


def test_a_success_between_makes_it_theirs() -> None:
    there = breaker(Clock())
    failing("a", there)
    failing("b", there)
    there.succeed()

    assert not failing("c", there)


def test_what_concerns_everyone_stops_at_once_and_longer_each_time() -> None:
    clock = Clock()
    there = breaker(clock)
    pauses = []
    for _ in range(5):
        assert failing("a", there, everyone=True)
        assert not there.lets_new_ones
        pauses.append(there.remaining)
        clock.now += there.remaining
        assert there.remaining == 0

    assert pauses == [4, 8, 16, 30, 30]


def test_a_wait_that_the_centre_asks_for_is_kept() -> None:
    there = breaker(Clock())
    failing("a", there, everyone=True, retry_after=120)

    assert there.remaining == 120
