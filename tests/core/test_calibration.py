"""A line's probabilities are shares of words that are right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.calibration import calibrated, with_calibrated_words
from ambientd.core.transcript import Segment, Word


@given(st.floats(0, 1), st.floats(0, 1))
def test_it_is_a_probability_and_keeps_the_order(one: float, other: float):
    low, high = sorted((one, other))

    assert 0 < calibrated(low) <= calibrated(high) < 1


@pytest.mark.parametrize(("engine", "right"), [(0.45, 0.70), (0.65, 0.88), (0.85, 0.95), (0.99, 0.994)])
def test_the_engine_is_too_modest(engine: float, right: float):
    """The shares counted over four interviews, docs/benchmarks.md."""
    assert calibrated(engine) == pytest.approx(right, abs=0.05)


def test_only_the_probability_changes():
    word = Word("pain", 3, 7, 0.5)
    (segment,) = with_calibrated_words([Segment("pain", 3, 7, (word,))])

    assert segment == Segment("pain", 3, 7, (Word("pain", 3, 7, calibrated(0.5)),))
