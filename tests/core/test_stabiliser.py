"""Frozen words stand, and later decodes go on behind them."""

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.stabiliser import Stabiliser


def shown(*decodes: str) -> tuple[str, int]:
    """What is shown after these decodes, and how many words of it stand."""
    stabiliser = Stabiliser()
    words = []
    for decode in decodes:
        words = stabiliser.receive(decode.split())
    return " ".join(words), stabiliser.frozen


def test_the_first_decode_is_shown_and_nothing_stands():
    assert shown("I have") == ("I have", 0)


def test_words_two_decodes_agree_on_stand():
    assert shown("I have pane", "I have pain here") == ("I have pain here", 2)


def test_what_stands_stays_whatever_a_later_decode_says():
    assert shown("I have pain", "I have pain in", "I had pain in my") == ("I have pain in my", 4)


def test_a_decode_that_leaves_out_or_adds_a_word_goes_on_at_the_right_place():
    assert shown("Um I have", "Um I have", "I have a cough") == ("Um I have a cough", 3)
    assert shown("I have", "I have", "Um I have a cough") == ("I have a cough", 2)


def test_a_decode_that_falls_short_takes_nothing_back():
    assert shown("I have pain", "I have pain", "I have") == ("I have pain", 3)


def test_case_and_punctuation_do_not_make_words_differ():
    assert shown("Hello there", "hello, there.") == ("hello, there.", 2)


def test_a_new_utterance_starts_from_nothing():
    stabiliser = Stabiliser()
    stabiliser.receive(["I"])
    stabiliser.receive(["I"])
    stabiliser.reset()

    assert stabiliser.frozen == 0
    assert stabiliser.receive(["You"]) == ["You"]


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=10))
def test_a_standing_word_never_changes_and_never_goes(decodes: list[list[str]]):
    stabiliser, standing = Stabiliser(), []
    for words in decodes:
        now = stabiliser.receive(words)
        assert now[: len(standing)] == standing
        assert len(standing) <= stabiliser.frozen <= len(now)
        standing = now[: stabiliser.frozen]
