"""What a person wrote, put in place of what was heard."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.correction import corrected, needed
from ambientd.core.transcript import Line, Segment, Word


def line(index: int, *words: str) -> Line:
    start = index * 10_000
    placed = tuple(Word(word, start + i * 100, start + (i + 1) * 100, 0.5) for i, word in enumerate(words))
    text = " ".join(words)
    segments = (Segment(text, start, start + 100 * len(words), placed),)
    return Line(index, text, start, start + 9_000, segments, 0.5, "en", "scripted", 1.0)


def test_words_that_stay_keep_their_times_and_the_new_one_gets_that_of_the_old() -> None:
    heard = [line(0, "takes", "metro", "pole", "daily")]
    [found] = corrected(heard, {0: "takes metoprolol daily"})

    assert found.text == "takes metoprolol daily"
    assert [(word.text, word.start, word.end) for word in found.words] == [
        ("takes", 0, 100),
        ("metoprolol", 100, 300),
        ("daily", 300, 400),
    ]
    assert [word.probability for word in found.words] == [0.5, 1.0, 0.5]


def test_an_empty_text_takes_a_line_out_and_the_others_are_numbered_anew() -> None:
    found = corrected([line(0, "a"), line(1, "b"), line(2, "c")], {1: ""})
    assert [(each.index, each.text) for each in found] == [(0, "a"), (1, "c")]


def test_only_what_differs_is_needed() -> None:
    heard = [line(0, "good", "day"), line(1, "yes")]
    assert needed(heard, {0: "  good\n day ", 1: " no  more "}) == {1: "no more"}


def test_lines_that_nobody_changed_are_the_very_ones() -> None:
    heard = [line(0, "a"), line(1, "b")]
    assert corrected(heard, {1: "B"})[0] == heard[0]


@given(
    st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcx"), min_size=1, max_size=8)
)
def test_every_word_has_a_place_within_the_line_and_they_are_in_order(
    said: list[str], wanted: list[str]
) -> None:
    heard = line(3, *said)
    [found] = corrected([heard], {3: " ".join(wanted)})

    assert [word.text for word in found.words] == wanted
    assert all(heard.start <= word.start <= word.end <= heard.end for word in found.words)
    assert all(before.end <= after.start for before, after in pairwise(found.words))
