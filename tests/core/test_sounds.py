"""How alike names sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.sounds import coded, likeness, likenesses, sounds, weight

spoken = st.text(alphabet="abdfgiklmnoprstuzCS", max_size=14)


@pytest.mark.parametrize(
    ("misheard", "name"),
    [
        ("listen-upril", "lisinopril"),
        ("Lysinopperl", "lisinopril"),
        ("own Prasol", "omeprazole"),
        ("met Foreman", "metformin"),
        ("a pick sabon", "apixaban"),
        ("Helicopter Pylori", "Helicobacter pylori"),
        ("trillicity", "Trulicity"),
    ],
)
def test_what_a_model_writes_for_a_name_sounds_like_it(misheard: str, name: str):
    assert likeness(sounds(misheard), sounds(name)) > 0.8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("metformin", "methadone"),
        ("sertraline", "citalopram"),
        ("my left leg", "Lipitor"),
        ("lisinopril", "losartan"),
    ],
)
def test_different_names_do_not_sound_alike(one: str, other: str):
    assert likeness(sounds(one), sounds(other)) < 0.7


def test_spaces_hyphens_case_and_accents_make_no_sound():
    assert sounds("Sjögren\u2019s  syndrome") == sounds("sjogren's syndrome")
    assert sounds("Co-Amoxiclav") == sounds("coamoxiclav")


@given(spoken, spoken)
def test_likeness_is_symmetric_and_between_nothing_and_the_same(one: str, other: str):
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, other) == pytest.approx(likeness(other, one), abs=1e-5)
    assert likeness(one, one) == 1


@given(st.lists(st.tuples(spoken, spoken), max_size=8))
def test_many_pairs_at_once_give_what_each_gives_alone(pairs: list[tuple[str, str]]):
    found = likenesses(coded([one for one, _ in pairs]), coded([other for _, other in pairs]))

    assert found == pytest.approx([likeness(one, other) for one, other in pairs], abs=1e-5)


def test_a_vowel_weighs_half_a_consonant():
    assert weight("tito") == 3
