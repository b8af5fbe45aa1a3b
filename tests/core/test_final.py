"""Refined lines and live words put together."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ambientd.core.audio import RATE
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


def placed(start: float, end: float, begins: list[float], words: str) -> Line:
    """A line from ``start`` to ``end``, and its words of half a second; all in seconds."""
    said = tuple(
        Word(word, round(at * RATE), round((at + 0.5) * RATE), 0.8)
        for word, at in zip(words.split(), begins, strict=True)
    )
    segment = Segment(words, said[0].start, said[-1].end, said)
    return Line(0, words, round(start * RATE), round(end * RATE), (segment,), 0.8, "en", "scripted", 1.0)


def test_live_words_that_are_late_are_not_written_twice_and_early_ones_not_lost():
    edge, end = round(9.5 * RATE), 12 * RATE
    refined = placed(8, 9.5, [8, 8.5, 9], "Yes, 600 mg")
    for begins in ([9, 9.5, 10, 10.5, 11], [7, 7.5, 8, 8.3, 9]):
        live = placed(7, 12, begins, "yes six hundred milligrams twice")
        found = final_lines([refined], [live], [(edge, end)])
        assert text(found) == "Yes, 600 mg twice"
        assert all(edge <= word.start <= word.end <= end for word in found[1].words)


def test_live_words_that_have_nothing_in_common_with_the_refined_ones_are_not_lost():
    refined = placed(8, 9.5, [8, 8.5, 9], "maybe I've lost")
    live = placed(8, 12, [8.5, 9, 9.5], "five pounds twice")
    found = final_lines([refined], [live], [(round(9.5 * RATE), 12 * RATE)])
    assert text(found) == "maybe I've lost five pounds twice"


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


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=7),
    st.booleans(),
    st.integers(3, 9),
    st.randoms(use_true_random=False),
)
def test_each_word_comes_once_however_its_times_are_off(lengths, first_kept, size, chance):
    """Stretches of so many words, every other one kept; every hearing places each word up to 1.5 s wrongly."""

    def hearing(words: range, start: float, end: float) -> Line:
        begins = sorted(max(0, min(word / 2 + chance.uniform(-1.5, 1.5), (count - 1) / 2)) for word in words)
        return placed(start, end, begins, " ".join(f"word{word}" for word in words))

    count = sum(lengths)
    live = [
        hearing(range(at, min(at + size, count)), at / 2, min(at + size, count) / 2)
        for at in range(0, count, size)
    ]
    refined, kept = [], []
    for at, (begin, end) in enumerate(pairwise(accumulate(lengths, initial=0))):
        if (at % 2 == 0) == first_kept:
            kept.append((begin * RATE // 2, end * RATE // 2))
        else:
            refined.append(hearing(range(begin, end), begin / 2, end / 2))
    found = final_lines(refined, live, kept)
    if refined:
        assert text(found).split() == [f"word{word}" for word in range(count)]
    assert all(before.start <= after.start for before, after in pairwise(found))
