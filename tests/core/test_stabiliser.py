"""What is shown of a growing utterance stands, and what is committed of it is not said again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.core.stabiliser import OVERDUE, Reading, Stabiliser, chance
from ambientd.core.transcript import Word


def words(text: str, *, until: float = 0.0) -> list[Word]:
    """A word for each in ``text``; ``pain/0.3`` has that probability, others 0.98.  They end at ``until`` seconds."""
    found = []
    for item in text.split():
        name, _, probability = item.partition("/")
        found.append(Word(name, 0, round(until * RATE), float(probability or 0.98)))
    return found


def read(*decodes: str, stabiliser: Stabiliser | None = None) -> Reading:
    """What to make of the last of these decodes."""
    stabiliser = stabiliser or Stabiliser()
    for decode in decodes[:-1]:
        stabiliser.receive(words(decode), end=0)
    return stabiliser.receive(words(decodes[-1]), end=0)


def shown(*decodes: str) -> str:
    return " ".join(read(*decodes).shown)


def test_what_is_clearly_heard_is_shown_at_once():
    assert shown("I have pain/0.4") == "I have"


def test_a_doubtful_word_waits_until_it_is_heard_again():
    assert shown("I have pain/0.6 here") == "I have"
    assert shown("I have pain/0.6 here", "I have pain/0.6 here") == "I have pain here"


def test_a_doubtful_word_is_shown_all_the_same_when_it_is_old():
    stabiliser = Stabiliser()
    reading = stabiliser.receive(words("I have pain/0.1 here"), end=OVERDUE)

    assert reading.shown == ("I", "have", "pain", "here")


def test_what_is_shown_stays_whatever_a_later_decode_says():
    assert shown("I have pain here", "I had pain in my chest", "I had pain in my chest").startswith(
        "I have pain here"
    )


def test_a_decode_that_leaves_out_or_adds_a_word_goes_on_at_the_right_place():
    assert shown("Um I have", "I have a cough", "I have a cough now") == "Um I have a cough now"
    assert shown("I have", "Um I have a cough", "Um I have a cough now") == "I have a cough now"


def test_a_decode_that_falls_short_takes_nothing_back():
    assert shown("I have pain now", "I have") == "I have pain now"


def test_words_are_stable_once_they_were_heard_again():
    assert read("I have pain").stable == 0
    assert read("I have pain", "I have pain").stable == 3
    assert read("I have pain", "I had pain").stable == 1


def test_an_utterance_is_settled_once_all_its_words_are_next_to_certain():
    assert not read("It hurts.").settled
    assert read("It hurts.", "It hurts.").settled
    assert not read("It hurts.", "It hurts here.").settled
    assert not read("It hurts/0.5 here.", "It hurts/0.5 here.").settled


def test_what_is_committed_is_not_shown_again_and_what_follows_goes_on_behind_it():
    stabiliser = Stabiliser()
    reading = read("It hurts.", "It hurts.", "It hurts.", stabiliser=stabiliser)
    stabiliser.commit(words("It hurts.")[reading.fresh :])

    after = read("It hurt. Where now", stabiliser=stabiliser)

    assert (after.fresh, after.shown, after.stable, after.settled) == (2, ("Where", "now"), 0, False)


def test_where_words_cannot_tell_what_is_committed_their_times_do():
    """One word fewer of the committed ones, or one of the new ones more: both take the same number of edits."""
    stabiliser = Stabiliser()
    stabiliser.commit(words("six hundred milligrams", until=2.0))
    dose, often = words("600 mg", until=2.1), words("twice daily", until=3.0)

    assert stabiliser.fresh([*dose, *often]) == 2


def test_a_new_utterance_starts_from_nothing():
    stabiliser = Stabiliser()
    read("I have pain", "I have pain", "I have pain", stabiliser=stabiliser)
    stabiliser.reset()

    assert read("You have", stabiliser=stabiliser) == Reading(("You", "have"), 0, 0, settled=False)


@pytest.mark.parametrize(
    ("likelier", "than"),
    [
        ({"probability": 0.9}, {"probability": 0.6}),
        ({"agreed": 1}, {"agreed": 0}),
        ({"agreed": 3}, {"agreed": 1}),
        ({"following": 0.9}, {"following": 0.2}),
        ({"agreed": 4}, {"agreed": 0, "probability": 0.99}),
    ],
)
def test_a_word_is_likelier_to_stay(likelier, than):
    usual = {"probability": 0.8, "behind": 2, "following": 0.7, "agreed": 1}

    assert 0 < chance(**(usual | than)) < chance(**(usual | likelier)) < 1


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1)), max_size=8),
        max_size=10,
    )
)
def test_a_shown_word_never_changes_and_never_goes(decodes: list[list[tuple[str, float]]]):
    stabiliser = Stabiliser()
    before = Reading((), 0, 0, settled=False)
    for decode in decodes:
        now = stabiliser.receive([Word(text, 0, 0, sure) for text, sure in decode], end=0)
        assert now.shown[: len(before.shown)] == before.shown
        assert before.stable <= now.stable <= len(now.shown)
        before = now
