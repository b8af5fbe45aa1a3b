"""The clinic's list of names in force."""

from pathlib import Path

import pytest

from ambientd.errors import OperatorError
from ambientd.glossary import LARGEST_LIST, Glossary


def opened(path: Path | None, *specialities: str) -> Glossary:
    return Glossary(path, specialities=specialities, ordinary=frozenset())


def test_without_a_list_there_are_no_names():
    assert opened(None).vocabulary.entries == ()


def test_only_the_chosen_specialities_count(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("Okonkwo\n[heart]\nEntresto\n[skin]\nacitretin\n")

    assert [entry.name for entry in opened(path, "Skin").vocabulary.entries] == ["Okonkwo", "acitretin"]


def test_a_speciality_that_the_list_does_not_have_is_told_with_those_it_has(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("[heart]\nEntresto\n")

    with pytest.raises(OperatorError) as told:
        opened(path, "hart")
    assert "[hart]" in str(told.value)
    assert "heart" in str(told.value)


@pytest.mark.parametrize("content", [None, b"\xff\xff", b"x" * (LARGEST_LIST + 1)])
def test_a_list_that_cannot_be_read_keeps_the_box_from_starting(tmp_path, content):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(OperatorError, match=r"names\.txt"):
        opened(path)
