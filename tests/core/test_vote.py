"""One text out of several hearings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.alignment import aligned
from ambientd.core.numerals import plain
from ambientd.core.transcript import Segment, Word
from ambientd.core.vote import Ballot, vote


def segments(*phrases: str, start: int = 0) -> tuple[Segment, ...]:
    found = []
    for phrase in phrases:
        words = tuple(
            Word(w, start + 100 * i, start + 100 * (i + 1), 0.5) for i, w in enumerate(phrase.split())
        )
        found.append(Segment(phrase, start, words[-1].end, words))
        start = words[-1].end
    return tuple(found)


def ballot(text: str, *, loose: bool = False, start: int = 0) -> Ballot:
    words = [word for segment in segments(text, start=start) for word in segment.words] if text else []
    return Ballot(words, loose)


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


def test_what_the_first_lost_at_an_end_and_both_others_have_is_put_back():
    first = segments("Maybe I've lost.", start=1000)
    others = [
        ballot("So then maybe I've lost five pounds, and now", loose=True, start=800),
        ballot("and then maybe I've lost 5 pounds and on", loose=True, start=800),
    ]
    outcome = vote(first, others, within=(900, 1500))
    assert said(outcome.segments) == "then Maybe I've lost. five pounds,"
    assert [word.text for word in outcome.restored] == ["five", "pounds,"]
    assert outcome.last == (others[0].words[6], others[1].words[6])
    assert outcome.segments[0].end == 1500


def test_the_mean_of_their_times_tells_which_window_has_a_word():
    early, late = ballot("it hurts badly", loose=True), ballot("it hurts badly", loose=True, start=150)
    for cut, expected in ((330, "It hurts. badly"), (320, "It hurts.")):
        assert said(vote(segments("It hurts."), [early, late], within=(0, cut)).segments) == expected
    for cut, expected in ((320, "badly and more"), (330, "and more")):
        again = segments("and more", start=cut)
        others = [Ballot([*each.words[2:], *again[0].words], loose=True) for each in (early, late)]
        assert said(vote(again, others, within=(cut, 900)).segments) == expected


def test_numbers_are_the_same_however_they_are_written():
    first = segments("Maybe I've lost. I'd like")
    others = [ballot("maybe I've lost five pounds I'd like"), ballot("Maybe I've lost 5 pounds. I'd like")]
    assert said(voted(first, others)) == "Maybe I've lost. five pounds I'd like"
    ways = segments("take six", "hundred milligrams daily")
    assert voted(ways, [ballot("take 600 mg daily"), ballot("take 600mg daily")]) == ways
    wrong = segments("take sixteen uh mg daily")
    right = voted(wrong, [ballot("take 600 mg daily"), ballot("take six hundred milligrams daily")])
    assert said(right) == "take 600 mg uh daily"
    [segment] = right
    assert [(word.start, word.end) for word in segment.words[1:3]] == [(100, 200), (200, 200)]
    assert (
        said(voted(segments("take 25 mg"), [ballot("take 2.5 mg"), ballot("take 2.5 mg")])) == "take 2.5 mg"
    )


def test_who_was_not_listening_has_no_vote():
    first = segments("no pain but it really hurts here")
    others = [ballot("no pain but hurts here"), ballot("no pain but hurts here")]
    assert said(voted(first, others)) == "no pain but hurts here"
    for who in ({0}, {1}, {0, 1}):
        holed = [replace(each, holes=frozenset({3} if at in who else ())) for at, each in enumerate(others)]
        assert voted(first, holed) == first
    ends = [ballot("pain but it really"), ballot("pain but it really")]
    assert said(voted(first, ends)) == "pain but it really"
    assert voted(first, [replace(each, holes=frozenset({0, 4})) for each in ends]) == first


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
