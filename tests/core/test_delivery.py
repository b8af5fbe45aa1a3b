"""Long texts are cut into parts that give the text again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.delivery import PART_CHARACTERS, cuts


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(1, 40))
def test_the_parts_joined_are_the_text(turns: list[str], most: int) -> None:
    """Whatever is said: no part is empty or too long, and nothing is between two of them."""
    text = " ".join(turns)
    begins = [sum(len(turn) + 1 for turn in turns[:number]) for number in range(len(turns))]
    found = cuts(text, begins, most)

    assert "".join(text[start:end] for start, end in found) == text
    assert all(0 < end - start <= most for start, end in found)


def test_a_part_ends_with_a_turn() -> None:
    assert cuts("Good day. Hello. Goodbye.", [0, 10, 17], 18) == [(0, 17), (17, 25)]


def test_a_turn_longer_than_a_part_is_cut_after_a_space() -> None:
    assert cuts("Good day to you", [0], 10) == [(0, 9), (9, 15)]


def test_a_word_longer_than_a_part_is_cut_anywhere() -> None:
    assert cuts("Taumatawhaka", [0], 5) == [(0, 5), (5, 10), (10, 12)]


def test_a_centre_that_takes_any_length_gets_one_part() -> None:
    assert cuts("x" * 200_000, [], None) == [(0, 200_000)]


def test_no_text_has_no_part() -> None:
    assert cuts("", []) == []


def test_a_part_is_within_what_the_centre_takes() -> None:
    assert PART_CHARACTERS <= 50_000
