"""The rules of cutting, tested with a detector that reads its answer from the audio itself.

A frame whose samples are ``+x`` is speech with probability ``x``; so any conversation can be written as numbers.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientd.core.audio import RATE, Samples
from ambientd.core.segmenter import FRAME, Piece, Rules, Segmenter

SHORT = Rules(
    pre_roll=4 * FRAME,
    post_roll=2 * FRAME,
    pause=6 * FRAME,
    least=30 * FRAME,
    most=80 * FRAME,
    patience=20 * FRAME,
    search=20 * FRAME,
    min_speech=3 * FRAME,
)


def detect(frame: Samples) -> float:
    return float(abs(frame[0]))


def audio(*stretches: tuple[int, float]) -> Samples:
    """(frames, probability) in a row; every sample is unique within its level, so that order can be checked."""
    levels = np.concatenate([np.full(frames * FRAME, level, np.float32) for frames, level in stretches])
    return levels.astype(np.float32)


def cut(samples: Samples, *, blocks: list[int] | None = None, rules: Rules = SHORT) -> list[Piece]:
    segmenter = Segmenter(detect, rules)
    pieces, at = [], 0
    for size in blocks or [len(samples)]:
        pieces += segmenter.receive(samples[at : at + size])
        at += size
    pieces += segmenter.receive(samples[at:])
    return pieces + segmenter.finish()


def shape(pieces: list[Piece]) -> list[tuple[float, float, str]]:
    return [(piece.start / FRAME, piece.end / FRAME, piece.ended_by) for piece in pieces]


class TestCuts:
    def test_silence_gives_nothing(self):
        assert cut(audio((500, 0.1))) == []

    def test_a_long_enough_piece_ends_at_the_pause_with_pre_and_post_roll(self):
        assert shape(cut(audio((10, 0.0), (40, 0.9), (50, 0.0)))) == [(6, 52, "pause")]

    def test_a_short_piece_waits_for_more_and_ends_after_patience(self):
        assert shape(cut(audio((10, 0.0), (10, 0.9), (50, 0.0)))) == [(6, 22, "silence")]

    def test_two_short_utterances_within_patience_are_one_piece(self):
        assert shape(cut(audio((10, 0.0), (10, 0.9), (10, 0.0), (20, 0.9), (50, 0.0)))) == [(6, 52, "pause")]

    def test_endless_speech_is_cut_at_its_quietest_point(self):
        first, second = cut(audio((10, 0.0), (60, 0.9), (9, 0.6), (40, 0.9), (30, 0.0)))

        assert first.ended_by == "length"
        assert first.end == second.start == 75 * FRAME

    def test_a_click_is_not_speech(self):
        assert cut(audio((10, 0.0), (2, 0.9), (50, 0.0))) == []

    def test_noises_that_are_never_clearly_speech_are_dropped(self):
        assert cut(audio((10, 0.0), (10, 0.6), (50, 0.0))) == []

    def test_the_tail_of_a_cut_word_is_kept_however_short(self):
        pieces = cut(audio((10, 0.0), (66, 0.9), (9, 0.4), (1, 0.9), (60, 0.0)))

        assert [piece.ended_by for piece in pieces] == ["length", "silence"]
        assert pieces[0].end == pieces[1].start

    def test_a_voice_that_trails_off_is_still_speech(self):
        rules = Rules(**{name: getattr(SHORT, name) for name in SHORT.__slots__} | {"release": 0.3})

        assert shape(cut(audio((10, 0.0), (40, 0.9), (5, 0.35), (50, 0.0)), rules=rules)) == [
            (6, 57, "pause")
        ]

    def test_what_is_open_at_the_end_is_given_out_with_its_last_odd_samples(self):
        samples = np.concatenate((audio((10, 0.0), (10, 0.9)), np.full(100, 0.9, np.float32)))

        (piece,) = cut(samples)

        assert piece.ended_by == "end"
        assert piece.end == len(samples)

    def test_the_open_piece_can_be_looked_at_without_changing_it(self):
        segmenter = Segmenter(detect, SHORT)
        segmenter.receive(audio((10, 0.0), (10, 0.9)))

        seen = segmenter.open_piece()

        assert seen is not None
        assert (seen.start, seen.end, seen.ended_by) == (6 * FRAME, 20 * FRAME, "open")
        assert segmenter.finish()[0].start == seen.start

    def test_what_may_yet_be_noise_is_not_looked_at(self):
        segmenter = Segmenter(detect, SHORT)
        segmenter.receive(audio((10, 0.0), (2, 0.9), (4, 0.0)))

        assert segmenter.speaking
        assert segmenter.open_piece() is None

    def test_nobody_speaking_means_no_open_piece(self):
        segmenter = Segmenter(detect, SHORT)
        segmenter.receive(audio((10, 0.0)))

        assert segmenter.open_piece() is None


@st.composite
def conversations(draw: st.DrawFn) -> Samples:
    stretches = draw(
        st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.9])), max_size=12)
    )
    tail = draw(st.integers(0, FRAME - 1))
    samples = audio((1, 0.0), *stretches)
    samples = np.concatenate((samples, np.full(tail, 0.9, np.float32)))
    # Below the detector's resolution, so that every sample can be told from every other.
    return (samples + np.arange(len(samples)) * 1e-6).astype(np.float32)


class TestProperties:
    @settings(max_examples=150, deadline=None)
    @given(conversations(), st.data())
    def test_any_division_into_blocks_gives_the_same_pieces(self, samples: Samples, data: st.DataObject):
        blocks = data.draw(st.lists(st.integers(0, 3 * FRAME), max_size=40))

        whole, parts = cut(samples), cut(samples, blocks=blocks)

        assert shape(whole) == shape(parts)
        assert all(np.array_equal(a.audio, b.audio) for a, b in zip(whole, parts, strict=True))

    @settings(max_examples=150, deadline=None)
    @given(conversations())
    def test_pieces_hold_exactly_the_samples_of_their_place_and_never_overlap(self, samples: Samples):
        pieces = cut(samples)

        for piece in pieces:
            assert np.array_equal(piece.audio, samples[piece.start : piece.end])
        for before, after in pairwise(pieces):
            assert before.end <= after.start

    @settings(max_examples=150, deadline=None)
    @given(conversations())
    def test_no_piece_is_longer_than_allowed(self, samples: Samples):
        assert all(len(piece.audio) <= SHORT.most + FRAME for piece in cut(samples))

    @settings(max_examples=150, deadline=None)
    @given(conversations())
    def test_every_frame_of_clear_speech_is_in_a_piece_unless_it_was_a_click(self, samples: Samples):
        heard = np.zeros(len(samples), bool)
        for piece in cut(samples):
            heard[piece.start : piece.end] = True
        run = 0
        for begin in range(0, len(samples) - FRAME + 1, FRAME):
            run = run + 1 if samples[begin] >= SHORT.min_peak else 0
            if run * FRAME >= SHORT.min_speech:
                assert heard[begin - (run - 1) * FRAME : begin + FRAME].all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"release": 0.6, "threshold": 0.5},
        {"pause": RATE, "patience": RATE // 2},
        {"post_roll": RATE, "pause": RATE // 2},
        {"least": 17 * RATE},
        {"search": 16 * RATE},
    ],
)
def test_rules_that_contradict_each_other_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="need"):
        Rules(**wrong)  # type: ignore[arg-type]
