"""``ambientctl vocabulary``."""

from click.testing import CliRunner

from ambientd.ctl import main
from ambientd.ctl import vocabulary as command


def check(path, monkeypatch, ordinary=("lithium",)):
    monkeypatch.setattr(command, "_ordinary", lambda: frozenset(ordinary))
    return CliRunner().invoke(main, ["vocabulary", "check", str(path)])


def test_a_good_list_is_counted(tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_text("Okonkwo\n[heart]\nEntresto\n")

    result = check(path, monkeypatch)

    assert (result.exit_code, result.output) == (0, "2 names, 1 specialities\n")


def test_lines_that_cannot_be_used_are_told_by_number(tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_text("Entresto\nentresto\n" + "x" * 70 + "\n")

    result = check(path, monkeypatch)

    assert result.exit_code == 1
    assert "names.txt:2: the name stands in the list already: not used" in result.output
    assert "names.txt:3: the name is longer" in result.output


def test_names_that_had_better_not_be_there_are_told(tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_text("lithium\nAva\ncephalexin\ncefalexin\n")

    result = check(path, monkeypatch)

    assert result.exit_code == 0
    assert "lithium: an ordinary word" in result.output
    assert "Ava: too short" in result.output
    assert "cefalexin: sounds exactly like cephalexin" in result.output


def test_a_file_that_is_no_text_is_told_without_a_traceback(tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xff\xfe\x00")

    result = check(path, monkeypatch)

    assert result.exit_code == 1
    assert "it is not UTF-8 text" in result.output
