"""Numbers are the same however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.numerals import terms


def keys(text: str) -> list[str]:
    return [term.key for term in terms(text.split())]


@pytest.mark.parametrize(
    "ways",
    [
        ("five pounds", "5 pounds", "Five pounds."),
        ("six hundred milligrams,", "600 mg", "600mg.", "6 hundred milligrams", "six-hundred mg"),
        ("twenty-five", "twenty five", "25"),
        ("a hundred and twenty over eighty", "120 over 80", "one hundred twenty over eighty"),
        ("two point five milligrams", "2.5 mg", "2.5mg", "two and a half milligrams"),
        ("two thousand five hundred", "2,500", "2500", "two thousand and five hundred"),
        ("ninety eight percent", "98%", "98 percent", "ninety-eight %"),
        ("a thousand", "1,000", "one thousand"),
    ],
)
def test_all_ways_to_write_it_are_one(ways):
    assert len({tuple(keys(way)) for way in ways}) == 1, [keys(way) for way in ways]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2.5 mg", "25 mg"),
        ("50 mg", "15 mg"),
        ("five six", "11"),
        ("twenty, five", "25"),
        ("one. Hundred", "100"),
        ("007", "7"),
        ("a pill", "1 pill"),
        ("5 mg", "5 mcg"),
        ("four", "for"),
    ],
)
def test_what_is_not_the_same_stays_apart(one, other):
    assert keys(one) != keys(other)


def test_words_that_are_no_numbers_are_compared_by_letters():
    assert keys("Don't, take it - and a half.") == ["don't", "take", "it", "", "and", "a", "half"]
    assert keys("point five") == ["point", "5"]


WORDS = "five hundred a and 600mg 2.5 twenty twenty-five point half thousand percent mg pounds, one. - one-hundred ''"


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12))
def test_every_word_is_in_one_term(words):
    found = terms(words)
    assert sum(term.count for term in found) == len(words)
    assert all(term.count > 0 for term in found)


@given(st.integers(0, 999_999))
def test_figures_with_and_without_commas_are_one(number):
    assert keys(f"{number:,}") == keys(str(number)) == [str(number)]
