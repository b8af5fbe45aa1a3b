"""One writer, several readers, and promises that are kept or refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection
from stored_speech import begin, figures, line

from ambientd.errors import StoreUnavailable
from ambientd.store import pragmas
from ambientd.store.database import Database, open_database, settled
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions


def widen(path: Path) -> None:
    path.chmod(0o644)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


async def scalar(database: Database, statement: str) -> object:
    async with database.read() as connection:
        return (await connection.execute(text(statement))).scalar_one()


class TestPromises:
    @pytest.mark.parametrize(
        ("pragma", "value"),
        [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("secure_delete", 1),
            ("temp_store", 2),
            ("auto_vacuum", 2),
            ("busy_timeout", 5_000),
            ("journal_size_limit", 8 * 1024 * 1024),
        ],
    )
    async def test_every_connection_keeps_them(self, database: Database, pragma: str, value: object) -> None:
        """The writer, and each of the readers at once, read back what durability and privacy need."""
        async with database.write() as writer:
            assert (await writer.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
        async with database.read() as one, database.read() as two:
            for reader in (one, two):
                assert (await reader.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value

    async def test_a_reader_cannot_write(self, database: Database) -> None:
        """SQLite itself refuses a write on a reading connection."""
        with pytest.raises(StoreUnavailable, match="readonly"):
            async with database.read() as connection:
                await connection.execute(text("DELETE FROM realtime_sessions"))

    def test_a_promise_not_kept_is_told(self) -> None:
        """A database that cannot have a write-ahead log is refused, though SQLite said nothing."""
        with (
            closing(sqlite3.connect(":memory:")) as memory,
            pytest.raises(StoreUnavailable, match="journal_mode at 'memory' where 'wal'") as refusal,
        ):
            pragmas.keep(memory, pragmas.MIGRATION, Path("x.db"))

        assert "local disk" in refusal.value.hint

    async def test_a_file_that_cannot_shrink_is_refused(self, path: Path) -> None:
        """auto_vacuum comes too late once there are tables; that is told instead of ignored."""
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as foreign:
            foreign.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            foreign.execute("INSERT INTO alembic_version VALUES ('0001')")
            foreign.commit()

        with pytest.raises(StoreUnavailable, match="auto_vacuum"):
            async with open_database(path):
                pass

    async def test_transactions_begin_immediate(self, database: Database) -> None:
        """The write lock is taken at the start, never half-way through a transaction."""
        async with database.write():
            with (
                closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as shell,
                pytest.raises(sqlite3.OperationalError, match="locked"),
            ):
                shell.execute("BEGIN IMMEDIATE")

    async def test_only_its_owner_may_read_it(self, path: Path) -> None:
        """0600 for the file and its companions, 0700 for the directory, whatever the umask or an older copy."""
        former = os.umask(0)
        try:
            async with open_database(path):
                pass
            widen(path)
            async with open_database(path) as database:
                await begin(Sessions(database), "s")

                names = [path, path.with_name("ambientd.db-wal"), path.with_name("ambientd.db-shm")]
                assert [mode(name) for name in names] == [0o600, 0o600, 0o600]
                assert mode(path.parent) == 0o700
        finally:
            os.umask(former)

    async def test_closing_leaves_one_plain_file(self, path: Path) -> None:
        """After an orderly end all is in the file itself; no write-ahead log is left behind."""
        async with open_database(path) as database:
            await begin(Sessions(database), "s")

        names = {name.name for name in path.parent.iterdir()}
        assert names == {"ambientd.db", "ambientd.db.closed", "ambientd.db.lock", "box.key"}


class TestTransactions:
    async def test_a_block_that_raises_writes_nothing(self, database: Database) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("CREATE TABLE lost (x)"))
            raise KeyError

        with pytest.raises(KeyError):
            await database.transact(work)

        assert await scalar(database, "SELECT count(*) FROM sqlite_master WHERE name = 'lost'") == 0

    async def test_writers_take_turns(self, database: Database, sessions: Sessions, lines: Lines) -> None:
        """Twenty sessions writing at once all get their lines in, each in order, none refused as busy."""

        async def talk(session_id: str) -> None:
            await begin(sessions, session_id)
            for index in range(8):
                await lines.append_line(session_id, line(index), figures([line(index)]))

        await asyncio.gather(*(talk(f"s{number}") for number in range(20)))

        assert await scalar(database, "SELECT count(*) FROM realtime_transcript_chunks") == 160
        assert await scalar(database, "SELECT min(total_chunks) FROM realtime_sessions") == 8

    async def test_in_the_order_they_came(self, database: Database) -> None:
        """They wait for the one writing connection, first come first served, not for SQLite's lock."""
        done: list[int] = []

        async def work(number: int) -> None:
            async with database.write():
                done.append(number)

        async with database.write():
            waiting = [asyncio.create_task(work(number)) for number in range(10)]
            await asyncio.sleep(0.05)
        await asyncio.gather(*waiting)

        assert done == list(range(10))
        assert database._writer.pool.status().startswith("Pool size: 1  Connections in pool: 1 ")

    async def test_a_reader_sees_one_moment(
        self, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        """What is committed while a read transaction is open shows only in the next one."""
        await begin(sessions, "s")
        async with database.read() as connection:
            count = text("SELECT count(*) FROM realtime_transcript_chunks")
            before = (await connection.execute(count)).scalar_one()
            await lines.append_line("s", line(0), figures([line(0)]))
            during = (await connection.execute(count)).scalar_one()

        assert (before, during) == (0, 0)
        assert len(await lines.lines("s")) == 1

    async def test_readers_do_not_wait_for_the_writer(self, database: Database, sessions: Sessions) -> None:
        await begin(sessions, "s")
        async with database.write(), asyncio.timeout(2):
            assert await sessions.count() == 1


class TestCancellation:
    async def test_a_cancelled_caller_waits_for_its_commit(self, database: Database) -> None:
        """Cancelled in the middle, the transaction still commits, and only then is the caller let go."""
        reached, gate = asyncio.Event(), asyncio.Event()

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("CREATE TABLE kept (x)"))
            reached.set()
            await gate.wait()

        caller = asyncio.create_task(database.transact(work))
        await reached.wait()
        waited = []
        for _ in range(3):
            caller.cancel()
            await asyncio.sleep(0.01)
            waited.append(not caller.done())
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await caller

        assert waited == [True, True, True]
        assert await scalar(database, "SELECT count(*) FROM kept") == 0
        await database.writable()

    async def test_at_every_moment(self, database: Database, sessions: Sessions, lines: Lines) -> None:
        """However early or late the caller is cancelled, its line is stored and no transaction stays open."""
        await begin(sessions, "s")
        for index in range(60):
            caller = asyncio.create_task(lines.append_line("s", line(index), figures([line(index)])))
            for _ in range(index % 30 + 1):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait({caller})

            with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as shell:
                stored = shell.execute("SELECT max(chunk_index) FROM realtime_transcript_chunks").fetchone()
                shell.execute("BEGIN IMMEDIATE")
                shell.execute("ROLLBACK")
            assert stored == (index,)

    async def test_a_failure_nobody_waits_for_is_logged(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The caller is gone with its CancelledError, so the log has to tell; by kind, never by content."""
        reached, gate = asyncio.Event(), asyncio.Event()

        async def work(connection: AsyncConnection) -> None:
            reached.set()
            await gate.wait()
            raise ValueError("Wolpertinger")

        caller = asyncio.create_task(database.transact(work))
        await reached.wait()
        caller.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await caller

        assert "failed after its caller had been cancelled: ValueError" in caplog.text
        assert "Wolpertinger" not in caplog.text

    async def test_a_block_cancelled_is_rolled_back(self, database: Database) -> None:
        """A bare write block cancelled in its middle leaves nothing, not even its transaction."""

        async def half_way() -> None:
            async with database.write() as connection:
                await connection.execute(text("CREATE TABLE lost (x)"))
                await asyncio.Event().wait()

        caller = asyncio.create_task(half_way())
        await asyncio.sleep(0.1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

        assert await scalar(database, "SELECT count(*) FROM sqlite_master WHERE name = 'lost'") == 0
        await database.writable()

    async def test_closing_waits_for_what_runs(self, path: Path) -> None:
        """The end of the block lets a transaction under way finish first."""
        gate = asyncio.Event()

        async def work(connection: AsyncConnection) -> None:
            await gate.wait()
            await connection.execute(text("CREATE TABLE kept (x)"))

        async with open_database(path) as database:
            caller = asyncio.create_task(database.transact(work))
            await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.1, gate.set)
        await caller

        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("SELECT count(*) FROM kept").fetchone() == (0,)

    async def test_a_result_passes_through(self) -> None:
        async def work() -> int:
            return 7

        assert await settled(asyncio.create_task(work())) == 7


class TestRefusals:
    async def test_a_second_daemon(self, path: Path) -> None:
        """Two daemons on one file would each take the other's sessions for crashed ones."""
        async with open_database(path):
            with pytest.raises(StoreUnavailable, match="another ambientd") as refusal:
                async with open_database(path):
                    pass
        async with open_database(path) as again:
            await again.writable()

        assert "systemctl stop" in refusal.value.hint

    def test_the_lock_is_given_back_after_a_failure(self, path: Path) -> None:
        """A daemon that could not open the file does not keep the next one out."""

        async def fail() -> None:
            with pytest.raises(StoreUnavailable, match="Is a directory"):
                async with open_database(path):
                    pass

        path.mkdir(parents=True)
        asyncio.run(fail())

        with path.with_name("ambientd.db.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    async def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        """The error names what was tried and where, and says what to do."""
        (tmp_path / "state").write_text("a file where a directory should be")
        with pytest.raises(StoreUnavailable, match=r"open .*/state/x\.db: ") as refusal:
            async with open_database(tmp_path / "state" / "x.db"):
                pass

        assert "writable by the user" in refusal.value.hint

    async def test_a_directory_one_may_not_write_in(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.mkdir(mode=0o500)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # rights do not bind root
        try:
            with pytest.raises(StoreUnavailable, match="Permission denied") as refusal:
                async with open_database(state / "x.db"):
                    pass
        finally:
            if root:
                os.seteuid(0)

        assert "writable by the user" in refusal.value.hint

    async def test_a_full_disk(self, database: Database, sessions: Sessions, lines: Lines) -> None:
        """What does not fit is refused whole; what was stored stays; once there is room the line goes in."""
        await begin(sessions, "s")
        async with database.write() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            await connection.execute(text(f"PRAGMA max_page_count = {pages + 8}"))
        stored = 0

        async def talk() -> None:
            nonlocal stored
            while True:
                await lines.append_line("s", line(stored), figures([line(stored)]))
                stored += 1

        with pytest.raises(StoreUnavailable, match=r"write to .*: database or disk is full") as refusal:
            await talk()
        record = await sessions.get("s")
        async with database.write() as connection:
            await connection.execute(text("PRAGMA max_page_count = 1000000"))
        await lines.append_line("s", line(stored), figures([line(stored)]))

        assert "Free space" in refusal.value.hint
        assert record is not None
        assert record.transcript_length == len(" ".join([line(0).text] * stored))
        assert [each.index for each in await lines.lines("s")] == list(range(stored + 1))

    async def test_another_program_holding_the_file(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the busy timeout the error says that somebody else has the file."""
        async with database.write() as connection:
            await connection.execute(text("PRAGMA busy_timeout = 50"))
        with held(database.path), pytest.raises(StoreUnavailable, match="locked") as refusal:
            async with database.write():
                pass

        assert "Another program" in refusal.value.hint


class TestWritable:
    async def test_writes_nothing(self, database: Database) -> None:
        before = database.path.with_name("ambientd.db-wal").stat().st_size
        await database.writable()

        assert database.path.with_name("ambientd.db-wal").stat().st_size == before

    async def test_does_not_wait_for_ever(self, database: Database) -> None:
        """While another program holds the file it answers in time, and is well again afterwards."""
        with held(database.path):
            async with asyncio.timeout(2):
                with pytest.raises(StoreUnavailable, match=r"no turn within 0\.2 s"):
                    await database.writable(within=0.2)
        await database.writable()

    async def test_a_file_taken_away(self, database: Database) -> None:
        """SQLite would go on writing to a file that no longer has a name."""
        database.path.unlink()
        with pytest.raises(StoreUnavailable, match="gone"):
            await database.writable()

    async def test_begins_for_real(self, database: Database) -> None:
        """It takes the write lock rather than looking whether a connection exists."""
        begun: list[str] = []
        event.listen(
            database._writer.sync_engine,
            "before_cursor_execute",
            lambda _conn, _cursor, statement, *_: begun.append(statement),
        )
        await database.writable()

        assert begun == ["BEGIN IMMEDIATE"]
