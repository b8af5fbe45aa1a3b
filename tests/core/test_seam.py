"""What is heard again at the beginning of a decode is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.core.decoding import Heard
from ambientd.core.seam import MARGIN, Seam, breath, without_repetition
from ambientd.core.segmenter import FRAME, Piece
from ambientd.core.transcript import Segment, Word

END = 10 * RATE
"""Where the last line ends."""


def spoken(text: str, *, begin: int, pace: int = RATE // 4) -> Heard:
    """A decode of audio that begins at ``begin`` (samples), ``pace`` samples a word."""
    words = tuple(
        Word(word, begin + at * pace, begin + (at + 1) * pace, 0.9) for at, word in enumerate(text.split())
    )
    segment = Segment(text, begin, begin + pace * len(words), words)
    return Heard((segment,), "en", 0.1, "test", tokens=len(words))


def narrow(*words: str) -> Seam:
    return Seam(words, END - MARGIN, END)


def wide(words: str, seconds: float = 2.0) -> Seam:
    return Seam(tuple(words.split()), END - round(seconds * RATE), END)


def rest(text: str, seam: Seam) -> str:
    return without_repetition(spoken(text, begin=seam.begin), seam).text


class TestNarrowSeams:
    """A tenth of a second is heard again: the words at the seam may come twice, or not."""

    def test_words_at_the_seam_are_not_said_twice(self):
        seam = narrow("anything", "that", "makes", "the", "pain", "worse")
        heard = spoken("the pain worse. Besides laying down?", begin=seam.begin, pace=RATE // 10)
        assert without_repetition(heard, seam).text == "Besides laying down?"

    def test_the_longest_repetition_goes(self):
        heard = spoken("no, no, and no.", begin=END - MARGIN, pace=RATE // 10)
        assert without_repetition(heard, narrow("no,", "no,")).text == "and no."

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (["any", "pain", "no"], "No pain at all."),
            (["take", "aspirin"], "So so so so so so so so aspirin."),
            (["the", "pain"], "Besides laying down?"),
        ],
        ids=["a short word may be an answer", "far behind the seam it was said again", "nothing is the same"],
    )
    def test_what_was_said_again_stays(self, before: list[str], after: str):
        heard = spoken(after, begin=END - MARGIN, pace=RATE // 10)
        assert without_repetition(heard, narrow(*before)) is heard


class TestWideSeams:
    """Whole words are heard again, from a breath on."""

    @pytest.mark.parametrize(
        ("line", "again", "left"),
        [
            ("weight loss? No vomiting, maybe I've lost", "maybe I've lost five pounds.", "five pounds."),
            ("and met for men. Yes, it is.", "Yes, it is. We'll also test you", "We'll also test you"),
            ("No vomiting, maybe I lost", "Maybe I've lost five pounds.", "five pounds."),
            ("black stools, vomiting, maybe weight", "vomiting, maybe wait loss? No.", "loss? No."),
            ("where is the pain", "the pain? The pain is here.", "The pain is here."),
        ],
        ids=[
            "a sentence cut in two",
            "a whole answer",
            "a word heard otherwise",
            "the last word heard otherwise",
            "what is said twice stays once",
        ],
    )
    def test_the_words_of_the_line_go_and_what_follows_stays(self, line: str, again: str, left: str):
        assert rest(again, wide(line, seconds=1.5)) == left

    def test_where_nothing_is_the_same_everything_stays(self):
        assert rest("five pounds or so.", wide("No vomiting, maybe I've lost")) == "five pounds or so."

    @given(
        st.lists(st.sampled_from(["one", "two", "three", "four", "five", "six"]), min_size=1, max_size=8),
        st.lists(st.sampled_from(["seven", "eight", "nine", "ten"]), max_size=8),
        st.integers(1, 8),
    )
    def test_of_words_heard_alike_each_is_there_once(
        self, line: list[str], following: list[str], common: int
    ):
        again = line[-common:]
        seam = wide(" ".join(line), seconds=max(0.4, len(again) / 4))
        assert rest(" ".join([*again, *following]), seam).split() == following


class TestBreath:
    def piece(self, voiced: str) -> Piece:
        """A piece from second 20 on; a letter is a frame, ``-`` a silent one."""
        mask = np.array([letter != "-" for letter in voiced])
        return Piece(20 * RATE, np.zeros(len(voiced) * FRAME, np.float32), mask, 0.9, "pause")

    def again(self, voiced: str, reached: int) -> float:
        """The frame at which a text that came as far as this one is taken up again."""
        piece = self.piece(voiced)
        begin = breath(piece, piece.start + reached * FRAME, after=piece.start + 10 * FRAME)
        return (begin - piece.start) / FRAME

    def test_it_is_the_last_silence_before(self):
        voiced = "s" * 40 + "-" * 8 + "s" * 20 + "-" * 8 + "s" * 60
        assert self.again(voiced, 100) == 40 + 8 + 20 + 2

    def test_a_silence_just_behind_is_meant_as_well(self):
        voiced = "s" * 100 + "-" * 8 + "s" * 60
        assert self.again(voiced, 102) == pytest.approx(102 - MARGIN / FRAME)

    @pytest.mark.parametrize(
        "voiced",
        ["s" * 160, "s" * 2 + "-" * 6 + "s" * 152, "s" * 40 + "-" * 5 + "s" * 115],
        ids=["nobody breathes", "so early that nothing would be gained", "the stop of a consonant"],
    )
    def test_without_one_it_is_hardly_before(self, voiced: str):
        assert self.again(voiced, 100) == pytest.approx(100 - MARGIN / FRAME)

    def test_nobody_hears_half_a_minute_again(self):
        assert self.again("s" * 12 + "-" * 8 + "s" * 300, 300) == pytest.approx(300 - MARGIN / FRAME)
