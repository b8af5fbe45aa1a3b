"""Refined lines and live words put together."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.final import final_lines, joined, open_gaps
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word


def line(index: int, start: int, *words: str, step: int = 100) -> Line:
    placed = tuple(Word(w, start + i * step, start + (i + 1) * step, 0.8) for i, w in enumerate(words))
    end = start + len(words) * step
    text = " ".join(words)
    return Line(index, text, start, end, (Segment(text, start, end, placed),), 0.8, "en", "scripted", 1.0)


def text(lines: list[Line]) -> str:
    return " ".join(each.text for each in lines)


def test_live_words_stand_where_nothing_was_refined():
    live = [line(0, 0, "one", "two"), line(1, 200, "three", "four", "five"), line(2, 500, "six")]
    refined = [line(0, 400, "FIVE"), line(1, 500, "SIX")]
    assert text(final_lines(refined, live, [(0, 400)])) == "one two three four FIVE SIX"


def test_without_kept_stretches_nothing_of_the_live_text_is_left():
    assert text(final_lines([line(0, 0, "A")], [line(0, 0, "a")], [])) == "A"


def test_the_marks_of_live_words_that_stand_go_with_them():
    live = replace(
        line(0, 0, "I", "take", "own", "prazole", "and", "Lasix"),
        suggestions=(Suggestion(2, 4, "own prazole", "omeprazole", 0.9), Suggestion(0, 1, "I", "Eye", 0.8)),
        corrections=(Suggestion(5, 6, "lay six", "Lasix", 0.9),),
    )
    [kept] = final_lines([], [live], [(200, 500)])
    assert kept.text == "own prazole and"
    assert kept.suggestions == (Suggestion(0, 2, "own prazole", "omeprazole", 0.9),)
    assert kept.corrections == ()


def test_lines_are_numbered_anew():
    found = final_lines([line(0, 300, "B")], [line(0, 0, "a")], [(0, 200)])
    assert [each.index for each in found] == [0, 1]


def test_a_gap_that_the_second_hearing_filled_is_none():
    gaps = [Gap(0, 100, "loop"), Gap(900, 1000, "lost")]
    assert open_gaps([line(0, 0, "word")], gaps) == [gaps[1]]


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=8))
def test_joined_stretches_hold_the_same_samples_and_do_not_touch(stretches):
    found = joined(stretches)
    assert {n for a, b in found for n in range(a, b)} == {n for a, b in stretches for n in range(a, b)}
    assert all(a[1] < b[0] for a, b in pairwise(found))


@given(st.integers(1, 40), st.lists(st.integers(0, 45), max_size=6, unique=True).map(sorted))
def test_each_word_comes_once_and_in_order(count, edges):
    words = [f"w{n}" for n in range(count)]
    live = [line(i, at * 100, *words[at : at + 7]) for i, at in enumerate(range(0, count, 7))]
    bounds = [0, *[edge * 100 for edge in edges], 10_000]
    pairs = list(pairwise(bounds))
    kept, heard = pairs[::2], pairs[1::2]
    refined = []
    for start, end in heard:
        said = words[start // 100 : end // 100]
        if said:
            refined.append(line(len(refined), start, *said))
    assert text(final_lines(refined, live, kept)).split() == words
