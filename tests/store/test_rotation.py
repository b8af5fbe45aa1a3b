"""The box's key changed, printed and brought back, with the words staying readable to the right one alone."""

from __future__ import annotations

import base64
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_speech import begin, figures, line

from ambientd.errors import OperatorError, StoreUnavailable
from ambientd.store import recovery, rotation
from ambientd.store.database import open_database
from ambientd.store.keys import Keys
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions


@pytest.fixture
async def filled(path: Path) -> Path:
    async with open_database(path) as database:
        for name in ("a", "b"):
            await begin(Sessions(database), name)
            await Lines(database).append_line(name, line(0, f"It is {name}."), figures([line(0)]))
    return path


async def said(path: Path) -> list[str]:
    async with open_database(path) as database:
        return [each.text for name in ("a", "b") for each in await Lines(database).lines(name)]


def key_file(path: Path) -> Path:
    return path.with_name("box.key")


def contents_of(path: Path) -> bytes:
    return path.read_bytes()


def wrapped(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as shell:
        return [row[0] for row in shell.execute("SELECT wrapped FROM session_keys").fetchall()]


BOTH = ["It is a.", "It is b."]


class TestRotation:
    async def test_the_words_stay_and_the_old_key_opens_nothing(self, filled: Path) -> None:
        old, before = contents_of(key_file(filled)), wrapped(filled)
        assert await rotation.rotate(filled, force=True) == 2
        new = contents_of(key_file(filled))

        assert await said(filled) == BOTH
        assert len(Keys(filled.parent).filed) == 1
        assert stat.S_IMODE(key_file(filled).stat().st_mode) == 0o400
        assert old.strip() not in new
        assert not [each for each in before if each in contents_of(filled)]
        key_file(filled).unlink()
        key_file(filled).write_bytes(old)
        with pytest.raises(StoreUnavailable, match="another one"):
            await said(filled)

    async def test_what_only_the_old_key_opens_is_not_lost_unawares(self, filled: Path) -> None:
        """Backups without a recovery key, and files set aside, whose own note of it may be damaged."""
        key = contents_of(key_file(filled))
        with pytest.raises(OperatorError, match="no recovery key"):
            await rotation.rotate(filled)
        await rotation.print_recovery(filled)
        for kind in (".corrupt.1", ".replaced.1"):
            aside = filled.with_name(filled.name + kind)
            aside.touch()
            with pytest.raises(OperatorError, match=aside.name):
                await rotation.rotate(filled)
            assert contents_of(key_file(filled)) == key
            assert await rotation.rotate(filled, force=True) == 2
            key = contents_of(key_file(filled))
            aside.unlink()
        assert await rotation.rotate(filled) == 2

    async def test_again_and_again(self, filled: Path) -> None:
        for turn in range(3):
            assert rotation.status(filled).retired == turn
            await rotation.rotate(filled, force=True)

        assert await said(filled) == BOTH
        assert rotation.status(filled).sessions == 2

    async def test_not_while_the_daemon_runs(self, filled: Path) -> None:
        key = contents_of(key_file(filled))
        async with open_database(filled):
            with pytest.raises(StoreUnavailable, match="another ambientd"):
                await rotation.rotate(filled, force=True)

        assert contents_of(key_file(filled)) == key

    @pytest.mark.parametrize("finished", [True, False])
    async def test_cut_off_it_is_finished_or_undone_at_the_next_start(
        self, filled: Path, *, finished: bool
    ) -> None:
        """Whichever key the database is sealed with is the one that stays."""
        old = Keys(filled.parent).filed[0]
        if finished:
            await rotation.rotate(filled, force=True)
            new = Keys(filled.parent).filed[0]
        else:
            new = bytes(32)
        Keys(filled.parent).keep([old], successor=new)

        assert await said(filled) == BOTH
        kept = Keys(filled.parent)
        assert (kept.filed, kept.successor) == ([new if finished else old], None)

    async def test_a_key_nobody_knows_is_left_where_it_is(self, filled: Path) -> None:
        """It may open another copy of the database."""
        keys = Keys(filled.parent)
        keys.keep([*keys.filed, bytes(32)])

        assert await said(filled) == BOTH
        assert bytes(32) in Keys(filled.parent).filed

    async def test_there_must_be_a_database(self, path: Path) -> None:
        for attempt in (rotation.rotate(path), rotation.print_recovery(path), rotation.restore(path, "x")):
            with pytest.raises(OperatorError, match="no database"):
                await attempt
        assert not list(path.parent.parent.glob("*/*.db"))


class TestCredential:
    @pytest.fixture
    def credentials(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "credentials"
        folder.mkdir()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        return folder

    async def test_it_is_not_rotated_behind_your_back(self, filled: Path, credentials: Path) -> None:
        key_file(filled).rename(credentials / "ambientd-box-key")
        with pytest.raises(OperatorError, match="credential") as refusal:
            await rotation.rotate(filled)

        assert "ambientd-box-key-new" in refusal.value.hint
        assert await said(filled) == BOTH

    async def test_with_both_supplied_the_new_one_takes_over(self, filled: Path, credentials: Path) -> None:
        key_file(filled).rename(credentials / "ambientd-box-key")
        (credentials / "ambientd-box-key-new").write_bytes(base64.b64encode(b"n" * 32) + b"\n")
        await rotation.rotate(filled)

        assert not key_file(filled).exists()
        (credentials / "ambientd-box-key-new").rename(credentials / "ambientd-box-key")
        assert await said(filled) == BOTH
        assert rotation.status(filled).origin == "credential"

    async def test_a_filed_key_can_move_to_a_credential(self, filled: Path, credentials: Path) -> None:
        """Then no key is left beside the database."""
        (credentials / "ambientd-box-key").write_bytes(base64.b64encode(b"n" * 32))
        await rotation.rotate(filled, force=True)

        assert not key_file(filled).exists()
        assert await said(filled) == BOTH


class TestRecovery:
    async def test_the_printed_key_brings_the_lost_one_back(self, filled: Path) -> None:
        printed = await rotation.print_recovery(filled)
        key = contents_of(key_file(filled))
        key_file(filled).unlink()
        assert rotation.status(filled).origin == "missing"
        name = await rotation.restore(filled, printed.lower().replace("-", " "))

        assert contents_of(key_file(filled)) == key
        assert rotation.status(filled).key_id == name
        assert await said(filled) == BOTH

    async def test_it_still_does_after_a_rotation(self, filled: Path) -> None:
        printed = await rotation.print_recovery(filled)
        await rotation.rotate(filled)
        key_file(filled).unlink()
        await rotation.restore(filled, printed)

        assert await said(filled) == BOTH

    async def test_it_opens_a_copy_from_before_the_rotation(self, filled: Path, tmp_path: Path) -> None:
        printed = await rotation.print_recovery(filled)
        copy = tmp_path / "copy" / "ambientd.db"
        copy.parent.mkdir()
        shutil.copy(filled, copy)
        await rotation.rotate(filled)
        await rotation.restore(copy, printed)

        assert await said(copy) == BOTH

    async def test_one_printed_later_voids_it(self, filled: Path) -> None:
        printed = await rotation.print_recovery(filled)
        await rotation.print_recovery(filled)
        with pytest.raises(OperatorError, match="does not open"):
            await rotation.restore(filled, printed)

    async def test_it_is_nowhere_on_the_disk(self, filled: Path) -> None:
        printed = await rotation.print_recovery(filled)
        private = recovery.parse(printed)

        for file in filled.parent.iterdir():
            assert private not in contents_of(file)
            assert base64.b64encode(private) not in contents_of(file)

    async def test_without_one_there_is_no_way_back(self, filled: Path) -> None:
        printed, _ = recovery.make()
        assert not rotation.status(filled).recoverable
        with pytest.raises(StoreUnavailable, match="no recovery key"):
            await rotation.restore(filled, printed)

    @given(st.binary(min_size=32, max_size=32))
    def test_what_is_printed_is_read_back(self, private: bytes) -> None:
        printed = recovery.spelt(private)

        assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){13}[0-9A-HJKMNP-TV-Z]{4}", printed)
        assert recovery.parse(printed) == private
        assert recovery.parse(printed.lower().replace("0", "o").replace("1", "l")) == private

    @given(
        st.binary(min_size=32, max_size=32),
        st.integers(0, 55),
        st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    )
    def test_a_wrong_letter_is_noticed(self, private: bytes, place: int, letter: str) -> None:
        letters = list(recovery.spelt(private).replace("-", ""))
        if letters[place] != letter:
            letters[place] = letter
            with pytest.raises(OperatorError, match="letter"):
                recovery.parse("".join(letters))

    @pytest.mark.parametrize("typed", ["", "-", "7", "é", "0" * 56, "0" * 55, "0" * 64])
    def test_nonsense_is_refused(self, typed: str) -> None:
        with pytest.raises(OperatorError, match="letter"):
            recovery.parse(typed)
