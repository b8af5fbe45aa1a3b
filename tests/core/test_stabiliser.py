"""LocalAgreement-2 on growing hypotheses."""

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.stabiliser import Stabiliser


def test_the_first_hypothesis_is_not_stable():
    assert Stabiliser().receive(["I", "have"]) == 0


def test_words_two_hypotheses_agree_on_are_stable():
    stabiliser = Stabiliser()
    stabiliser.receive(["I", "have", "pane"])

    assert stabiliser.receive(["I", "have", "pain", "here"]) == 2


def test_case_and_punctuation_do_not_make_words_differ():
    stabiliser = Stabiliser()
    stabiliser.receive(["Hello", "there"])

    assert stabiliser.receive(["hello,", "there."]) == 2


def test_a_new_utterance_starts_from_nothing():
    stabiliser = Stabiliser()
    stabiliser.receive(["I"])
    stabiliser.receive(["I"])
    stabiliser.reset()

    assert stabiliser.receive(["I"]) == 0


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8))
def test_the_stable_part_never_shrinks_while_its_words_exist(hypotheses: list[list[str]]):
    stabiliser, before = Stabiliser(), 0
    for words in hypotheses:
        stable = stabiliser.receive(words)
        assert min(before, len(words)) <= stable <= len(words)
        before = stable
