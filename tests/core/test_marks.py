"""A name that was put in stays marked, wherever its words go."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.calibration import with_calibrated_words
from ambientd.core.marks import Mention, corrections, mentions, with_puts
from ambientd.core.record import full_text
from ambientd.core.transcript import Line, Put, Segment, Suggestion, Word
from ambientd.core.vote import Ballot, vote

HEARD = st.sampled_from(["I", "take", "own", "prazole", "the", "um", "five", "pylori"])
NAMES = {"omeprazole": "own prazole", "Helicobacter pylorus": "helicopter pylori", "Lasix.": "lay six"}
"""What is put in, no word of which is ever heard; and for what."""
PUT_TEXTS = {word for name in NAMES for word in name.split()}


def name_words(name: str) -> list[tuple[str, Put | None]]:
    return [(text, Put(NAMES[name], name, 0.9, part)) for part, text in enumerate(name.split())]


PHRASES = st.lists(
    st.one_of(HEARD.map(lambda text: [(text, None)]), st.sampled_from(sorted(NAMES)).map(name_words)),
    max_size=7,
).map(lambda parts: [pair for part in parts for pair in part])
SEGMENTS = st.lists(PHRASES.filter(bool), min_size=1, max_size=3)


def segments(phrases: list[list[tuple[str, Put | None]]], start: int = 0) -> tuple[Segment, ...]:
    found = []
    for phrase in phrases:
        words = tuple(
            Word(text, start + 100 * at, start + 100 * at + 100, 0.5, put)
            for at, (text, put) in enumerate(phrase)
        )
        found.append(Segment(" ".join(word.text for word in words), start, words[-1].end, words))
        start = words[-1].end
    return tuple(found)


def line_of(some: tuple[Segment, ...], index: int) -> Line:
    text = " ".join(segment.text for segment in some)
    end = some[-1].end
    return Line(
        index, text, 0, end, some, 0.9, "en", "scripted", 1.0, corrections=corrections(words_of(some))
    )


def words_of(some: tuple[Segment, ...]) -> list[Word]:
    return [word for segment in some for word in segment.words]


def test_a_mark_tells_what_was_heard_and_counts_the_words():
    text = segments([[("take", None), *name_words("Helicobacter pylorus"), ("now", None)]])

    assert corrections(words_of(text)) == (
        Suggestion(1, 3, "helicopter pylori", "Helicobacter pylorus", 0.9),
    )


def test_a_name_put_in_twice_in_a_row_has_two_marks():
    text = segments([name_words("omeprazole") + name_words("omeprazole")])

    assert [(mark.first, mark.last) for mark in corrections(words_of(text))] == [(0, 1), (1, 2)]


def test_half_a_name_is_marked_and_so_are_two_halves_with_a_word_between():
    first, second = name_words("Helicobacter pylorus")
    apart = words_of(segments([[first, ("um", None), second]]))

    assert [(mark.first, mark.last) for mark in corrections(apart[:1])] == [(0, 1)]
    assert [(mark.first, mark.last) for mark in corrections(apart)] == [(0, 1), (2, 3)]


@given(SEGMENTS)
def test_each_word_that_was_put_in_lies_in_one_mark_and_no_other_does(phrases):
    words = words_of(segments(phrases))

    marked = [at for mark in corrections(words) for at in range(mark.first, mark.last)]

    assert marked == [at for at, word in enumerate(words) if word.put]


@given(SEGMENTS)
def test_what_is_stored_as_marks_comes_back_with_the_words(phrases):
    text = segments(phrases)
    marks = corrections(words_of(text))
    bare = tuple(
        replace(segment, words=tuple(replace(word, put=None) for word in segment.words)) for segment in text
    )

    assert corrections(words_of(with_puts(bare, marks))) == marks


WINDOW = st.none() | st.tuples(st.integers(0, 300), st.integers(301, 2_000))


@given(SEGMENTS, SEGMENTS, SEGMENTS, st.integers(0, 900), st.integers(-150, 150), st.booleans(), WINDOW)
def test_no_word_that_was_put_in_is_unmarked_after_seam_vote_and_calibration(  # noqa: PLR0917
    frame, second, third, moment, shift, loose, window
):
    others = [
        Ballot(words_of(segments(second, start=200 + shift)), loose=loose),
        Ballot(words_of(segments(third, start=200)), loose=loose),
    ]
    text = vote(segments(frame, start=200), others, within=window).segments
    text = with_calibrated_words(segment.not_before(moment) for segment in text)

    words = words_of(text)
    marks = corrections(words)

    marked = {at for mark in marks for at in range(mark.first, mark.last)}
    assert marked >= {at for at, word in enumerate(words) if word.text in PUT_TEXTS}
    assert {mark.said for mark in marks} <= set(NAMES.values())


@given(st.lists(SEGMENTS, max_size=4))
def test_every_mark_is_found_in_the_text_by_its_characters(spoken):
    lines = [line_of(segments(phrases), index) for index, phrases in enumerate(spoken)]
    text = full_text(line.text for line in lines)

    found = mentions(lines, text)

    words = [[word.text for word in line.words] for line in lines]
    assert [text[each.start : each.end] for each in found] == [
        " ".join(words[number][mark.first : mark.last])
        for number, line in enumerate(lines)
        for mark in line.corrections
    ]
    assert all(text[: each.start].endswith((" ", "")) for each in found)
    assert [each.start for each in found] == sorted(each.start for each in found)


def test_a_mark_whose_words_are_not_in_the_text_is_told_of_the_whole_line():
    line = line_of(segments([name_words("omeprazole")]), 1)
    lines = [replace(line, text="Yes.", corrections=()), replace(line, text="Something else.")]

    assert mentions(lines, "Yes. Something else.") == (Mention(5, 20, "own prazole", "omeprazole"),)
    [beyond] = mentions(lines, "Yes")
    assert 0 <= beyond.start <= beyond.end <= 3


def test_a_name_that_only_some_of_the_majority_heard_themselves_is_marked():
    frame = segments([[("own", None), ("five", None)]])
    itself = Ballot(words_of(segments([[("omeprazole", None), ("five", None)]])))
    put = Ballot(words_of(segments([[*name_words("omeprazole"), ("five", None)]])))
    between = segments([[("five", None)]])

    for first in (frame, between):
        for others in ([itself, put], [put, itself]):
            assert [mark.said for mark in corrections(words_of(vote(first, others).segments))] == [
                "own prazole"
            ]
