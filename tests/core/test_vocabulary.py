"""The list of names as a clinic writes it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.vocabulary import LONGEST_NAME, MOST_NAMES, Entry, Vocabulary, parse, spelling

SHIPPED = Path(__file__).parent.parent.parent / "config" / "vocabulary.txt"


def test_names_aliases_and_headings_are_read():
    found = parse("# ours\nDr Okonkwo\n\n[heart]\nlisinopril = listen a pril, lysine  # twice\nEntresto\n")

    assert found.entries == (
        Entry("Dr Okonkwo"),
        Entry("lisinopril", ("listen a pril", "lysine"), "heart"),
        Entry("Entresto", (), "heart"),
    )
    assert found.specialities == ("heart",)
    assert found.faults == ()


def test_what_stands_above_the_first_heading_belongs_to_every_speciality():
    found = parse("Okonkwo\n[Heart]\nEntresto\n[skin]\nacitretin")

    assert [entry.name for entry in found.limited_to(["heart"]).entries] == ["Okonkwo", "Entresto"]
    assert found.limited_to([]) == found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x" * (LONGEST_NAME + 1), "longer"),
        ("a b c d e f", "longer"),
        ("1234", "no letter"),
        ("ace<|endoftext|>", "character"),
        ("Entresto", "already"),
        ("entresto", "already"),
        ("En-tresto", "already"),
        ("a = " + ", ".join("bcdefghij"), "aliases"),
    ],
)
def test_a_line_that_cannot_be_used_is_passed_over_and_told(line: str, reason: str):
    found = parse(f"Entresto\n{line}\nLasix")

    assert [entry.name for entry in found.entries] == ["Entresto", "Lasix"]
    assert [fault.line for fault in found.faults] == [2]
    assert reason in found.faults[0].reason


def test_a_list_has_a_largest_length():
    found = parse("\n".join(f"name {number}" for number in range(MOST_NAMES + 1)))

    assert len(found.entries) == MOST_NAMES
    assert len(found.faults) == 1


def test_names_of_a_session_stand_in_front_and_replace_the_same_ones():
    found = parse("lisinopril\nEntresto").with_names(["Zorbanix", "entresto"])

    assert [entry.name for entry in found.entries] == ["Zorbanix", "entresto", "lisinopril"]


@given(st.text(max_size=300))
def test_any_text_is_read_and_every_name_is_usable(text: str):
    found = parse(text)

    assert all(0 < len(entry.name) <= LONGEST_NAME and spelling(entry.name) for entry in found.entries)
    assert len({spelling(entry.name) for entry in found.entries}) == len(found.entries)


def test_the_shipped_list_is_large_and_without_fault():
    found = parse(SHIPPED.read_text("utf-8"))

    assert found.faults == ()
    assert len(found.entries) >= 500
    assert len(found.specialities) >= 8
    assert Vocabulary().entries == ()
