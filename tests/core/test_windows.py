"""Where the second hearing cuts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.core.segmenter import FRAME
from ambientd.core.windows import USUAL, Judged, Window, next_window

SECOND = RATE / FRAME


def talk(*seconds: float) -> Judged:
    """Speech and silence by turns, speech first."""
    parts = [np.full(round(n * SECOND), 0.02 if i % 2 else 0.9, np.float32) for i, n in enumerate(seconds)]
    return np.concatenate(parts)


def windows(judged: Judged) -> list[tuple[int, int, bool]]:
    found, at = [], 0
    while at < len(judged):
        window = next_window(judged[at:], complete=True)
        assert window is not None
        assert window.end > 0
        found.append((at, at + window.end, window.speech))
        at += window.end
    return found


def test_the_longest_pause_in_reach_is_where_a_window_ends():
    judged = talk(21, 0.3, 2, 1.0, 2, 0.4, 30)
    window = next_window(judged, complete=False)
    assert window is not None
    assert 23.3 < window.end / SECOND < 24.3


def test_without_a_pause_the_cut_is_where_speech_is_least_likely():
    judged = talk(60)
    judged[round(24 * SECOND) : round(24.3 * SECOND)] = 0.6
    window = next_window(judged, complete=False)
    assert window is not None
    assert abs(window.end / SECOND - 24.15) < 0.3


def test_silence_is_passed_over_to_half_a_second_before_speech():
    window = next_window(np.concatenate([talk(0, 3), talk(30)]), complete=False)
    assert window is not None
    assert not window.speech
    assert abs(window.end / SECOND - 2.5) < 0.05


def test_a_long_silence_ends_a_window_early():
    window = next_window(talk(3, 6, 30), complete=False)
    assert window is not None
    assert 3 < window.end / SECOND <= 3.5


def test_nothing_is_cut_before_enough_is_known():
    assert next_window(talk(20), complete=False) is None
    assert next_window(talk(20), complete=True) == Window(round(20 * SECOND), speech=True)


def test_what_is_left_at_the_end_is_divided_near_its_middle():
    assert min((end - start) / SECOND for start, end, _ in windows(talk(30))) > 7


def test_silence_is_passed_over_but_for_the_beginning_of_what_may_follow():
    silent = next_window(talk(0, 10), complete=False)
    assert silent is not None
    assert not silent.speech
    assert abs(silent.end / SECOND - 9.5) < 0.05


@given(st.lists(st.floats(0.05, 40), min_size=1, max_size=12))
def test_every_frame_of_speech_is_in_one_window_and_none_is_too_long(turns):
    judged = talk(*turns)
    if not len(judged):
        return
    for start, end, speech in windows(judged):
        if speech:
            assert (end - start) * FRAME <= USUAL.most + USUAL.lead
        else:
            assert (judged[start:end] < 0.5).all()


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=2500))
def test_any_judgements_are_divided_without_remainder(values):
    judged = np.array(values, np.float32)
    assert windows(judged)[-1][1] == len(judged)


@given(st.lists(st.floats(0.05, 20), min_size=4, max_size=12), st.integers(0, 500))
def test_a_cut_does_not_depend_on_what_comes_later(turns, less):
    judged = talk(*turns)
    early = next_window(judged[: max(0, len(judged) - less)], complete=False)
    if early is not None and early.speech:
        assert early == next_window(judged, complete=False)
