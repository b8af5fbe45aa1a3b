"""One text out of several hearings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.transcript import Segment, Word
from ambientd.core.vote import Ballot, aligned, plain, vote


def segments(*phrases: str, start: int = 0) -> tuple[Segment, ...]:
    found = []
    for phrase in phrases:
        words = tuple(
            Word(w, start + 100 * i, start + 100 * (i + 1), 0.5) for i, w in enumerate(phrase.split())
        )
        found.append(Segment(phrase, start, words[-1].end, words))
        start = words[-1].end
    return tuple(found)


def ballot(text: str, *, loose: bool = False) -> Ballot:
    return Ballot([word for segment in segments(text) for word in segment.words] if text else [], loose)


def voted(first: tuple[Segment, ...], others: list[Ballot]) -> tuple[Segment, ...]:
    return vote(first, others).segments


def said(found: tuple[Segment, ...]) -> str:
    return " ".join(segment.text for segment in found)


def test_two_against_one_are_right():
    first = segments("Any chest pane?", "No, not really.")
    assert said(
        voted(first, [ballot("any chest pain no not really"), ballot("Any chest pain? No, not really.")])
    ) == ("Any chest pain No, not really.")


def test_a_word_that_most_heard_is_put_in_and_one_that_most_did_not_is_taken_out():
    others = [ballot("it really hurts here"), ballot("it really hurts here")]
    assert said(voted(segments("It hurts hurts here."), others)) == "It really hurts here."


def test_without_a_majority_the_first_stands():
    first = segments("One two three.")
    assert voted(first, [ballot("one too three"), ballot("one to three")]) == first
    assert voted(first, [ballot("completely different words")]) == first
    assert voted(first, [ballot(""), ballot("one too three")]) == first


def test_what_a_loose_hearing_has_before_and_behind_has_no_vote():
    others = [
        ballot("so then one two three and on", loose=True),
        ballot("then one two three and", loose=True),
    ]
    assert said(voted(segments("One two three."), others)) == "One two three."


def test_fillers_have_no_vote_and_do_not_hide_that_two_agree():
    others = [ballot("so the pain is um really bad"), ballot("uh so the pain is really bad")]
    assert said(voted(segments("So, um, the pain is bad."), others)) == "So, um, the pain is really bad."


def test_it_is_told_how_far_each_hearing_was_used():
    second = ballot("it is on the left side", loose=True)
    outcome = vote(segments("It is on the"), [second, ballot("")])
    assert outcome.last == (second.words[3], None)


def test_phrases_stay_phrases():
    first = segments("Good morning.", "What brings you?")
    others = [ballot("good morning what brings you in"), ballot("good morning what brings you in")]
    assert [segment.text for segment in voted(first, others)] == ["Good morning.", "What brings you? in"]


WORDS = st.lists(st.sampled_from(["a", "b", "no", "pain", "it"]), max_size=14)


@given(WORDS, WORDS, st.booleans())
def test_an_alignment_has_every_place_once_and_in_order(frame, other, loose):
    pairs = aligned(frame, other, loose=loose)
    assert [mine for mine, _ in pairs if mine is not None] == list(range(len(frame)))
    assert [theirs for _, theirs in pairs if theirs is not None] == list(range(len(other)))


@given(st.lists(WORDS.filter(bool), max_size=4), WORDS, WORDS, st.booleans(), st.integers(-500, 500))
def test_order_and_times_never_go_back_and_segments_hold_their_words(first, second, third, loose, shift):
    mine = segments(*[" ".join(phrase) for phrase in first])
    other = Ballot(
        [w for s in segments(" ".join(second), start=max(0, shift)) for w in s.words] if second else []
    )
    found = voted(mine, [other, ballot(" ".join(third), loose=loose)])
    words = [word for segment in found for word in segment.words]
    for before, after in pairwise(words):
        assert before.start <= after.start
    for word in words:
        assert word.start <= word.end
    for segment in found:
        assert segment.words
        assert segment.start <= segment.words[0].start
        assert segment.words[-1].end <= segment.end


@given(st.lists(WORDS.filter(bool), min_size=1, max_size=4))
def test_when_all_agree_nothing_changes(phrases):
    mine = segments(*[" ".join(phrase) for phrase in phrases])
    same = ballot(" ".join(" ".join(phrase) for phrase in phrases))
    assert voted(mine, [same, same]) == mine


def test_words_are_compared_without_case_and_marks():
    assert plain("Don't,") == "don't"
    assert plain("'Okay.'") == "okay"
