"""Words of one hearing found again in another."""

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.alignment import continuation, matches, plain

texts = st.lists(st.sampled_from("abcd"), max_size=9)


def test_case_and_punctuation_do_not_make_words_differ():
    assert [plain(word) for word in ("Hello,", "HELLO", "don't")] == ["hello", "hello", "dont"]


def test_words_are_found_again_around_what_was_left_out_or_added():
    assert matches(["um", "i", "have", "pain"], ["i", "have", "a", "pain"]) == {0: 1, 1: 2, 3: 3}


def test_what_is_new_begins_behind_what_fits_best():
    assert continuation(["um", "i", "have"], ["i", "have", "a", "cough"]) == 2
    assert continuation(["i", "have"], ["um", "i", "have", "a", "cough"]) == 3
    assert continuation([], ["i", "have"]) == 0
    assert continuation(["i", "have", "pain"], ["i", "have"]) == 2


@given(texts, texts)
def test_matched_words_are_equal_and_in_order(old: list[str], new: list[str]):
    found = sorted(matches(old, new).items())

    assert all(old[was] == new[now] for now, was in found)
    assert [was for _, was in found] == sorted({was for _, was in found})


@given(texts, texts)
def test_a_text_is_found_whole_in_itself_and_in_what_begins_with_it(old: list[str], more: list[str]):
    assert matches(old, old) == {at: at for at in range(len(old))}
    assert len(matches(old, old + more)) == len(old)
