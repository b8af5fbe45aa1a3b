"""When a sample came in."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.session.arrivals import GRAIN, Arrivals

FRAMES = st.lists(st.tuples(st.integers(1, RATE), st.floats(0.01, 1)), min_size=1, max_size=40)


@given(FRAMES, st.data())
def test_a_sample_came_when_its_frame_came_or_a_grain_later(frames, data):
    ends = list(accumulate(size for size, _ in frames))
    times = list(accumulate(pause for _, pause in frames))
    arrivals = Arrivals()
    for end, time in zip(ends, times, strict=True):
        arrivals.note(end, time)
    sample = data.draw(st.integers(0, ends[-1] - 1))
    forgotten = data.draw(st.integers(0, sample))

    before = arrivals.at(sample)
    arrivals.forget(before=forgotten)

    assert arrivals.at(sample) == before
    true = next(time for end, time in zip(ends, times, strict=True) if end > sample)
    late = next((time for end, time in zip(ends, times, strict=True) if end > sample + GRAIN), times[-1])
    early = next((time for end, time in zip(ends, times, strict=True) if end > sample - GRAIN), times[-1])
    assert early <= before <= max(late, true)


def test_what_is_forgotten_takes_no_room():
    arrivals = Arrivals()
    for second in range(1, 7200):
        arrivals.note(second * RATE, float(second))
        arrivals.forget(before=(second - 60) * RATE)

    assert len(arrivals._ends) <= 62
    assert arrivals.at(7150 * RATE) == 7151
