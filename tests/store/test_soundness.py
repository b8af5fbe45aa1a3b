"""A damaged file is set aside and named; it never stops the box, and nothing of it is deleted."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from stored_speech import begin, figures, line

from ambientd.errors import StoreUnavailable
from ambientd.store import database, rotation, soundness
from ambientd.store.audit import Audit
from ambientd.store.database import open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.facts import box_id
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.store.soundness import damage

PAGE = 4096


async def fill(path: Path) -> None:
    """A file of some hundred pages."""
    async with open_database(path) as database:
        sessions, lines = Sessions(database), Lines(database)
        await begin(sessions, "s")
        for index in range(100):
            await lines.append_line("s", line(index), figures([line(index)]))


def scribble(path: Path, first: int = 4) -> None:
    """Ten pages of the file become noise; its header stays as it was."""
    with path.open("r+b") as file:
        file.seek(first * PAGE)
        file.write(b"\xa5" * PAGE * 10)


def scribble_lines(path: Path) -> None:
    """The lines become noise, and nothing else."""
    with closing(sqlite3.connect(path)) as shell:
        (page,) = shell.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'realtime_transcript_chunks'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def aside(path: Path, suffix: str = "") -> list[Path]:
    """What was set aside: the files themselves, or their companions."""
    return sorted(path.parent.glob(f"ambientd.db.corrupt.*Z{suffix}"))


def contents_of(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, contents: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(contents)


async def open_and_use(path: Path) -> None:
    async with open_database(path) as database:
        sessions = Sessions(database)
        assert await sessions.count() == 0
        await begin(sessions, "after")
        assert await sessions.count() == 1


class TestDamage:
    @pytest.mark.parametrize(
        "contents",
        [
            b"not a database at all, but long enough to look like one" * 100,
            b"SQLite format 3\0" + bytes(8000),
        ],
        ids=["another kind of file", "a header and nothing"],
    )
    async def test_a_file_of_noise(
        self, path: Path, caplog: pytest.LogCaptureFixture, contents: bytes
    ) -> None:
        """It is renamed unchanged, an error is logged that says where it is, and recording goes on."""
        write(path, contents)
        await open_and_use(path)

        (kept,) = aside(path)
        assert kept.read_bytes() == contents
        (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert str(kept) in told.getMessage()

    async def test_damage_inside(self, path: Path) -> None:
        """Damage beyond the header is found too, before a session is lost to it."""
        await fill(path)
        scribble(path)
        damaged = contents_of(path)
        await open_and_use(path)

        (kept,) = aside(path)
        assert kept.read_bytes() == damaged

    async def test_a_file_cut_short(self, path: Path) -> None:
        await fill(path)
        with path.open("r+b") as file:
            file.truncate(PAGE * 6)
        await open_and_use(path)

        assert len(aside(path)) == 1

    async def test_its_log_goes_with_it(self, path: Path, tmp_path: Path) -> None:
        """After a crash the write-ahead log holds the last lines: it is kept beside the damaged file, under
        the name by which sqlite3 will find it, and never met by the fresh one."""
        crashed = tmp_path / "crashed" / "ambientd.db"
        crashed.parent.mkdir()
        async with open_database(path) as database:
            await begin(Sessions(database), "s")
            for index in range(40):
                await Lines(database).append_line("s", line(index), figures([line(index)]))
            async with database.write() as connection:
                await connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(path.with_name(path.name + suffix), crashed.with_name(crashed.name + suffix))
        log = crashed.with_name("ambientd.db-wal").read_bytes()
        crashed.write_bytes(b"\xa5" * PAGE)
        assert len(log) > 40 * 700
        await open_and_use(crashed)

        (kept,) = aside(crashed)
        (kept_log,) = aside(crashed, "-wal")
        assert kept_log.name == f"{kept.name}-wal"
        assert kept_log.read_bytes() == log

    async def test_each_damaged_file_is_kept(self, path: Path) -> None:
        """A second one does not overwrite the first."""
        for contents in (b"first" * 1000, b"second" * 1000):
            write(path, contents)
            await open_and_use(path)

        assert [name.read_bytes()[:5] for name in aside(path)] == [b"first", b"secon"]


class TestSound:
    async def test_a_crash_is_no_damage(self, path: Path, tmp_path: Path) -> None:
        """Commits that sit in the write-ahead log of a crash are read, whether or not its index is there."""
        for present in ([".db", ".db-wal", ".db-shm"], [".db", ".db-wal"]):
            crashed = tmp_path / f"crashed{len(present)}" / "ambientd.db"
            crashed.parent.mkdir()
            async with open_database(path) as database:
                await begin(Sessions(database), f"s{len(present)}")
                for suffix in present:
                    shutil.copy(path.with_suffix(suffix), crashed.with_suffix(suffix))
                shutil.copy(path.with_name("box.key"), crashed.with_name("box.key"))
            async with open_database(crashed) as database:
                assert await Sessions(database).get(f"s{len(present)}") is not None

            assert aside(crashed) == []

    async def test_an_empty_file_is_a_fresh_one(self, path: Path) -> None:
        write(path, b"")
        await open_and_use(path)

        assert aside(path) == []

    async def test_checking_changes_nothing(self, path: Path) -> None:
        await fill(path)
        before = contents_of(path)

        assert damage(path) is None
        assert contents_of(path) == before

    def test_unreadable_is_not_damaged(self, tmp_path: Path) -> None:
        """What cannot be read at all is not called corrupt: nothing is renamed on a guess."""
        with pytest.raises(StoreUnavailable, match="unable to open"):
            damage(tmp_path / "nothing.db")

    async def test_damage_found_later_names_the_remedy(self, path: Path) -> None:
        """A file damaged under the running daemon gives an error that says a restart sets it aside."""
        await fill(path)
        async with open_database(path) as database:
            with closing(sqlite3.connect(path)) as shell:
                shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            scribble(path, first=2)
            with pytest.raises(StoreUnavailable, match="malformed") as refusal:
                await Lines(database).lines("s")

        assert "Restart" in refusal.value.hint


class TestOrderlyStop:
    """A large file that was closed in order is not read from end to end at the next start."""

    @pytest.fixture(autouse=True)
    def _everything_is_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(soundness, "SMALL", 0)

    @pytest.fixture
    def checks(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The files that were checked."""
        seen: list[Path] = []

        def looked(path: Path) -> str | None:
            seen.append(path)
            return damage(path)

        monkeypatch.setattr(database, "damage", looked)
        return seen

    async def test_no_check_after_it(self, path: Path, checks: list[Path]) -> None:
        await fill(path)
        checks.clear()
        await open_and_close(path)

        assert checks == []

    async def test_a_check_after_any_other(self, path: Path, checks: list[Path], tmp_path: Path) -> None:
        """Killed, the file has no mark; and a mark taken at the start is not there for the next kill."""
        await fill(path)
        crashed = tmp_path / "crashed" / path.name
        async with open_database(path):
            shutil.copytree(path.parent, crashed.parent)
        checks.clear()
        await open_and_close(crashed)

        assert checks == [crashed]

    async def test_a_check_when_somebody_wrote_to_it(self, path: Path, checks: list[Path]) -> None:
        await fill(path)
        scribble(path)
        await open_and_use(path)

        assert len(aside(path)) == 1

    async def test_a_check_when_the_last_is_old(
        self, path: Path, checks: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Counted from the check, not from the last stop: a box that is switched off each night is checked too."""
        await fill(path)
        await open_and_close(path)
        now = time.time()
        checks.clear()
        monkeypatch.setattr(time, "time", lambda: now + soundness.CHECK_AGAIN + 1)
        await open_and_close(path)
        await open_and_close(path)

        assert checks == [path]

    async def test_a_check_when_damage_was_met_in_use(self, path: Path, checks: list[Path]) -> None:
        await fill(path)
        async with open_database(path) as opened:
            with closing(sqlite3.connect(path)) as shell:
                shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            scribble(path, first=2)
            with pytest.raises(StoreUnavailable, match="malformed"):
                await Lines(opened).lines("s")
        await open_and_use(path)

        assert len(aside(path)) == 1

    async def test_a_mark_that_means_nothing_is_none(self, path: Path, checks: list[Path]) -> None:
        await fill(path)
        for nonsense in (b"", b"[]", b"{}", b'{"file": 1, "checked": "x"}', b"\xff"):
            write(path.with_name(path.name + soundness.MARK), nonsense)
            checks.clear()
            await open_and_close(path)
            assert checks == [path]


class TestFreshFile:
    async def test_the_box_goes_on_with_its_key_and_a_new_audit(self, path: Path) -> None:
        """The key stays, so that what is rescued from the damaged file can be read; the delivery starts empty."""
        await fill(path)
        key = contents_of(path.with_name("box.key"))
        scribble_lines(path)
        async with open_database(path) as opened:
            assert opened.quarantined == aside(path)[0]
            sessions = Sessions(opened)
            await begin(sessions, "after")
            await Lines(opened).append_line("after", line(0), figures([line(0)]))
            await sessions.recover()
            assert len(await Outbox(opened).named("after")) == 1
            verdict = await Audit(opened).verify()

        assert contents_of(path.with_name("box.key")) == key
        assert (verdict.broken_at, verdict.anchor.number) == (None, 0)

    async def test_it_knows_who_it_is_and_its_recovery_key(self, path: Path, tmp_path: Path) -> None:
        """The centre sees the same box, and what was printed still brings the key back."""
        await fill(path)
        async with open_database(path) as opened:
            before = await box_id(opened)
        printed = await rotation.print_recovery(path)
        scribble_lines(path)
        async with open_database(path) as opened:
            assert opened.quarantined is not None
            assert await box_id(opened) == before
        remove(path.with_name("box.key"))
        await rotation.restore(path, printed)
        await open_and_close(path)

    async def test_where_nothing_can_be_read_it_is_another_box(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        await fill(path)
        async with open_database(path) as opened:
            before = await box_id(opened)
        write(path, b"noise" * 10_000)
        async with open_database(path) as opened:
            assert await box_id(opened) != before

        assert "the box gets a new id" in caplog.text


def remove(path: Path) -> None:
    path.unlink()


async def open_and_close(path: Path) -> None:
    async with open_database(path):
        pass
