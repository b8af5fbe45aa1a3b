"""What is on the disk cannot be read without the box's key, nor be moved about with it."""

# ruff: noqa: S608 - the statements are put together from this file's own constants

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import file_of_0001
import pytest
from file_of_0001 import CANARY
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.record import Consent, Details, EndReason, Refinement, SessionState
from ambientd.errors import StoreUnavailable
from ambientd.store import selftest
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.endings import destroy
from ambientd.store.lines import Lines
from ambientd.store.refusals import SealBroken
from ambientd.store.sessions import Sessions
from ambientd.store.vault import Seal

TABLES = "realtime_transcript_chunks", "realtime_refined_chunks"


def readable(path: Path, *words: str) -> list[str]:
    """The files beside ``path``, itself included, in which one of the words stands."""
    return sorted(
        file.name
        for file in path.parent.rglob("*")
        if file.is_file() and any(word.encode() in file.read_bytes() for word in words)
    )


def contents_of(path: Path) -> bytes:
    return path.read_bytes()


def change(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as shell:
        shell.execute(statement, values)
        shell.commit()


async def say(sessions: Sessions, lines: Lines, name: str, *texts: str) -> None:
    """A whole visit, refined."""
    await begin(sessions, name)
    for index, text in enumerate(texts):
        await lines.append_line(name, line(index, text), figures([]))
    await sessions.describe(name, Details(f"{CANARY}-enc", f"{CANARY}-pat", Consent(CANARY, BEGAN, "1")))
    await sessions.finalise(
        name,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN + timedelta(minutes=5),
        metrics=figures([]),
        refinement=Refinement.WAITING,
    )
    refined = [line(index, text.upper()) for index, text in enumerate(texts)]
    assert await sessions.refined(name, refined, "m")


class TestNoWordIsReadable:
    async def test_in_the_file_or_its_log(
        self, path: Path, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        """Neither while it is in use nor afterwards; the test itself finds what is not sealed."""
        await say(sessions, lines, "visit-quartz", f"{CANARY} hurts.", "It does.")

        assert readable(path, "visit-quartz") == ["ambientd.db-wal"]
        assert readable(path, CANARY, CANARY.upper()) == []
        await database.scrub()
        assert readable(path, "visit-quartz") == ["ambientd.db"]
        assert readable(path, CANARY, CANARY.upper()) == []
        assert await sessions.text("visit-quartz") == f"{CANARY.upper()} HURTS. IT DOES."

    async def test_the_key_is_for_the_daemon_alone(self, path: Path, database: Database) -> None:
        assert stat.S_IMODE(path.with_name("box.key").stat().st_mode) == 0o400


class TestKey:
    async def test_made_at_the_first_start_it_opens_the_file_ever_after(self, path: Path) -> None:
        async with open_database(path) as database:
            await say(Sessions(database), Lines(database), "s", "Yes.")
        key = path.with_name("box.key").read_bytes()
        async with open_database(path) as database:
            assert await Sessions(database).text("s") == "YES."

        assert path.with_name("box.key").read_bytes() == key

    @pytest.mark.parametrize("other", [True, False], ids=["another", "none"])
    async def test_without_it_the_start_is_refused_and_nothing_changed(
        self, path: Path, tmp_path: Path, *, other: bool
    ) -> None:
        async with open_database(path) as database:
            await begin(Sessions(database), "s")
        key = path.with_name("box.key")
        key.unlink()
        if other:
            async with open_database(tmp_path / "other" / "ambientd.db"):
                pass
            shutil.copy(tmp_path / "other" / "box.key", key)
        # But for the mark of a clean stop, which each start takes away.
        before = {file: file.read_bytes() for file in path.parent.iterdir() if file.suffix != ".closed"}
        with pytest.raises(StoreUnavailable, match="another one" if other else "missing") as refusal:
            async with open_database(path):
                pass

        assert "ambientctl key restore" in refusal.value.hint
        assert {file: file.read_bytes() for file in before} == before
        # SQLite makes its companions for a reader too.
        assert not path.with_name("ambientd.db-wal").read_bytes()
        assert other or not key.exists()

    async def test_a_damaged_key_file_is_not_taken_for_none(self, path: Path) -> None:
        path.parent.mkdir()
        path.with_name("box.key").write_text("no key\n")
        with pytest.raises(StoreUnavailable, match="base64"):
            async with open_database(path):
                pass

        assert path.with_name("box.key").read_text() == "no key\n"

    async def test_a_credential_comes_first(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then there is no key beside what it opens."""
        async with open_database(tmp_path / "other" / "ambientd.db"):
            pass
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        shutil.copy(tmp_path / "other" / "box.key", tmp_path / "ambientd-box-key")
        async with open_database(path) as database:
            await say(Sessions(database), Lines(database), "s", "Yes.")
        assert not path.with_name("box.key").exists()
        monkeypatch.delenv("CREDENTIALS_DIRECTORY")
        with pytest.raises(StoreUnavailable, match="missing"):
            async with open_database(path):
                pass


class TestTampering:
    @pytest.fixture
    async def two(self, path: Path) -> Path:
        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
            await say(sessions, lines, "a", "One.", "Two.")
            await say(sessions, lines, "b", "Three.", "Four.")
        return path

    async def refuses(self, path: Path, *names: str) -> None:
        """Opens, and gives out nothing of these sessions but everything of the others."""
        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
            for name in ("a", "b"):
                readings = [
                    lines.lines(name),
                    lines.refined(name),
                    sessions.text(name),
                    sessions.details(name),
                ]
                failed = 0
                for reading in readings:
                    try:
                        await reading
                    except SealBroken:
                        failed += 1
                assert (failed > 0) == (name in names)

    @pytest.mark.parametrize("table", TABLES)
    async def test_one_changed_bit_is_found(self, two: Path, table: str) -> None:
        with closing(sqlite3.connect(two)) as shell:
            query = f"SELECT words FROM {table} WHERE session_id = 'a' AND chunk_index = 1"
            (words,) = shell.execute(query).fetchone()
        for place in (0, 1, 13, len(words) - 1):
            bad = bytearray(words)
            bad[place] ^= 1
            change(
                two, f"UPDATE {table} SET words = ? WHERE session_id = 'a' AND chunk_index = 1", bytes(bad)
            )
            await self.refuses(two, "a")
        change(two, f"UPDATE {table} SET words = ? WHERE session_id = 'a' AND chunk_index = 1", words)
        await self.refuses(two)

    @pytest.mark.parametrize("stump", [b"", b"\x01", b"\x01" + bytes(12), b"\x01" + bytes(28)])
    async def test_a_stump_is_found(self, two: Path, stump: bytes) -> None:
        change(two, "UPDATE realtime_sessions SET full_text = ? WHERE session_id = 'a'", stump)
        await self.refuses(two, "a")

    async def test_two_lines_cannot_change_places(self, two: Path) -> None:
        with closing(sqlite3.connect(two)) as shell:
            (one,), (other,) = shell.execute(
                "SELECT words FROM realtime_transcript_chunks WHERE session_id = 'a' ORDER BY chunk_index"
            ).fetchall()
        for index, words in ((0, other), (1, one)):
            change(
                two,
                "UPDATE realtime_transcript_chunks SET words = ? WHERE session_id = 'a' AND chunk_index = ?",
                words,
                index,
            )
        await self.refuses(two, "a")

    @pytest.mark.parametrize(
        "statement",
        [
            (
                "UPDATE realtime_refined_chunks SET words = (SELECT words FROM realtime_transcript_chunks AS c "
                "WHERE c.session_id = 'a' AND c.chunk_index = 0) WHERE session_id = 'a' AND chunk_index = 0"
            ),
            (
                "UPDATE realtime_transcript_chunks SET words = (SELECT words FROM realtime_transcript_chunks AS c "
                "WHERE c.session_id = 'b' AND c.chunk_index = 0) WHERE session_id = 'a' AND chunk_index = 0"
            ),
            (
                "UPDATE realtime_sessions SET details = (SELECT details FROM realtime_sessions AS s "
                "WHERE s.session_id = 'b') WHERE session_id = 'a'"
            ),
            "UPDATE realtime_sessions SET full_text = details WHERE session_id = 'a'",
            (
                "UPDATE session_keys SET wrapped = (SELECT wrapped FROM session_keys AS k "
                "WHERE k.session_id = 'b') WHERE session_id = 'a'"
            ),
            "DELETE FROM session_keys WHERE session_id = 'a'",
        ],
        ids=["table", "session's line", "session's details", "column", "session's key", "no key"],
    )
    async def test_nothing_opens_in_another_place(self, two: Path, statement: str) -> None:
        change(two, statement)
        await self.refuses(two, "a")


class TestBrokenSession:
    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM session_keys WHERE session_id = 'a'",
            "UPDATE realtime_transcript_chunks SET words = x'01' WHERE session_id = 'a'",
        ],
        ids=["no key", "no words"],
    )
    async def test_one_left_open_by_a_crash_does_not_stop_the_box(self, path: Path, statement: str) -> None:
        """It is ended without its words; the others are recovered with theirs."""
        async with open_database(path) as database:
            for name in ("a", "b"):
                await begin(Sessions(database), name)
                await Lines(database).append_line(name, line(0, "Yes."), figures([line(0)]))
        change(path, statement)
        async with open_database(path) as database:
            sessions = Sessions(database)
            assert await sessions.recover() == ["a", "b"]
            broken = await sessions.get("a")
            assert broken is not None
            assert (broken.state, broken.reason) == (SessionState.INTERRUPTED, EndReason.ERROR)
            assert await sessions.text("b") == "Yes."
            assert await sessions.reopen("a") is None
            assert await sessions.recover() == []


class TestPurge:
    async def test_a_copy_of_the_words_is_worth_nothing_without_the_key(
        self, path: Path, database: Database, sessions: Sessions, lines: Lines, tmp_path: Path
    ) -> None:
        """Rows saved before the purge and put back after it, into the same file, stay shut."""
        await say(sessions, lines, "s", f"{CANARY}.")
        await database.scrub()
        rows = {}
        with closing(sqlite3.connect(path)) as shell:
            for table in ("realtime_sessions", "realtime_session_metrics", *TABLES):
                rows[table] = shell.execute(f"SELECT * FROM {table}").fetchall()
            ((wrapped,),) = shell.execute("SELECT wrapped FROM session_keys").fetchall()
        assert wrapped in contents_of(path)

        assert await database.transact(lambda connection: destroy(connection, "s"))
        assert await database.scrub()
        assert wrapped not in contents_of(path)
        assert contents_of(path.with_name("ambientd.db-wal")) == b""
        with closing(sqlite3.connect(path)) as shell:
            for table, kept in rows.items():
                marks = ",".join("?" * len(kept[0]))
                shell.executemany(f"INSERT INTO {table} VALUES ({marks})", kept)
            shell.commit()
        with pytest.raises(SealBroken):
            await lines.lines("s")
        with pytest.raises(SealBroken):
            await sessions.text("s")

    async def test_a_new_session_of_that_name_has_a_key_of_its_own(
        self, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        await say(sessions, lines, "s", "One.")
        await database.transact(lambda connection: destroy(connection, "s"))
        await say(sessions, lines, "s", "Two.")

        assert await sessions.text("s") == "TWO."

    async def test_of_hundreds_no_key_is_left_in_the_file(
        self, path: Path, database: Database, sessions: Sessions
    ) -> None:
        """Nor in the pages that SQLite has moved rows between as the table grew."""
        for number in range(300):
            await begin(sessions, f"session-{number * 7919 % 300}")
        await database.scrub()
        with closing(sqlite3.connect(path)) as shell:
            keys = dict(shell.execute("SELECT session_id, wrapped FROM session_keys").fetchall())
        gone = [name for name in keys if int(name.split("-")[1]) % 3]
        for name in gone:
            await database.transact(lambda connection, name=name: destroy(connection, name))
        await database.scrub()
        left = contents_of(path)

        assert [name for name in gone if keys[name] in left] == []


class TestSelfTest:
    async def test_leaves_nothing(self, path: Path) -> None:
        async with open_database(path) as database:
            assert await Sessions(database).count() == 0

    async def test_a_box_that_stores_words_in_the_clear_does_not_start(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Seal, "_close", lambda _self, version, content, _place: version + content)
        with pytest.raises(StoreUnavailable, match="words are readable"):
            async with open_database(path):
                pass

    async def test_a_file_that_keeps_what_was_deleted_is_not_used(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selftest, "_destroy", lambda _connection: None)
        with pytest.raises(StoreUnavailable, match="still there"):
            async with open_database(path):
                pass


class TestFileOfBefore:
    async def test_says_the_same_and_is_sealed(self, path: Path) -> None:
        """Every word opens from its new place; none can be read in the file, its log or a backup."""
        file_of_0001.write(path)
        assert readable(path, CANARY)
        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
            for number in range(3):
                said = file_of_0001.texts(number, 4)
                assert await lines.lines(f"s{number}") == [line(i, text) for i, text in enumerate(said)]
                assert await sessions.text(f"s{number}") == " ".join(said)
            assert await sessions.recover() == ["s2"]
            assert readable(path, CANARY) == []
        assert readable(path, CANARY) == []
        assert not list(path.parent.glob("*backup*"))

    async def test_what_ended_before_there_was_an_outbox_is_delivered_once(self, path: Path) -> None:
        file_of_0001.write(path)
        for _ in range(2):
            async with open_database(path) as database:
                await Sessions(database).recover()
                rows = await Outbox(database).items()
        sizes = {row.session_id: row.size for row in rows}
        assert sizes == {f"s{number}": len(" ".join(file_of_0001.texts(number, 4))) for number in range(3)}
        assert len(rows) == 3

    async def test_the_backup_stays_until_every_word_is_proven(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A crash between the migration and its proof is made good at the next start."""
        file_of_0001.write(path)

        def crash(*_: Any) -> bool:
            raise OSError

        with monkeypatch.context() as patched:
            patched.setattr("ambientd.store.migrate.same_words", crash)
            with pytest.raises(StoreUnavailable):
                async with open_database(path):
                    pass
        assert readable(path, CANARY) == ["ambientd.db.backup-0001"]
        async with open_database(path) as database:
            assert await Sessions(database).count() == 3
        assert readable(path, CANARY) == []

    async def test_a_backup_half_destroyed_is_destroyed_at_the_next_start(self, path: Path) -> None:
        """It is not taken for what the sealed file has to be compared with."""
        async with open_database(path):
            pass
        path.with_name("ambientd.db.backup-0001.spent").write_text(f"SQLite {CANARY}")
        async with open_database(path):
            pass

        assert readable(path, CANARY) == []
        assert not list(path.parent.glob("*backup*"))

    async def test_a_word_that_does_not_come_back_keeps_the_backup(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file_of_0001.write(path)
        close = Seal.close
        monkeypatch.setattr(
            Seal, "close", lambda self, text, place: close(self, text.replace("says 2", "says 3"), place)
        )
        with pytest.raises(StoreUnavailable, match="does not read as it did") as refusal:
            async with open_database(path):
                pass

        assert "backup-0001" in refusal.value.hint
        assert path.with_name("ambientd.db.backup-0001").exists()


async def test_what_is_given_back_after_a_great_purge_is_given_back_in_steps(
    path: Path, database: Database, sessions: Sessions, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And lines can be stored in between."""
    monkeypatch.setattr("ambientd.store.database.SCRUB_PAGES", 2)
    await begin(sessions, "live")
    await begin(sessions, "s")
    for index in range(150):
        await lines.append_line("s", line(index, f"{index} " * 40), figures([]))
    assert await database.scrub()
    size = len(contents_of(path))
    await database.transact(lambda connection: destroy(connection, "s"))
    scrubbing = asyncio.create_task(database.scrub())
    await asyncio.sleep(0)
    await lines.append_line("live", line(0), figures([]))
    stored_in_between = not scrubbing.done()

    assert await scrubbing
    assert stored_in_between
    assert len(contents_of(path)) < size
    with closing(sqlite3.connect(path)) as shell:
        assert shell.execute("PRAGMA freelist_count").fetchall() == [(0,)]
