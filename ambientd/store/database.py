"""The one SQLite file, open: one connection writes, several read.

SQLite has one writer at a time whatever we do.  One writing connection whose transactions begin with
``BEGIN IMMEDIATE`` makes the others queue here, in order, instead of failing half-way with ``SQLITE_BUSY``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ambientd.errors import AmbientError, DiskFull, StoreUnavailable
from ambientd.store import pragmas
from ambientd.store.alone import alone
from ambientd.store.faults import is_corruption, unavailable
from ambientd.store.migrate import MIGRATIONS, migrate
from ambientd.store.rescue import rescue
from ambientd.store.selftest import self_test
from ambientd.store.soundness import (
    SIDECARS,
    damage,
    last_check,
    mark_closed,
    needs_check,
    set_aside,
    take_mark,
)
from ambientd.store.unlocking import unlock
from ambientd.store.vault import Vault

log = logging.getLogger(__name__)

T = TypeVar("T")

READERS: Final = 4
"""Reading connections, one thread each: two cores cannot use more."""

QUEUE_SECONDS: Final = 30.0
"""How long a transaction waits for its turn.  A hundred sessions ending at once need about a second."""

SCRUB_ATTEMPTS: Final = 20
SCRUB_PAGES: Final = 500
"""Pages given back at once: 2 MB, so that no line waits long behind the purge of a year."""
SCRUB_PAUSE: Final = 0.1
"""Seconds between two attempts: a read takes a few milliseconds, so one of twenty finds none in its way."""


def _no_rows_in_logs(record: logging.LogRecord) -> bool:
    """Drop what these libraries say below a warning: statements with their parameters, rows as read."""
    return record.levelno >= logging.WARNING


# A filter and not a level: a level may be set again by whoever configures logging for a bug hunt, and
# aiosqlite writes every parameter of every statement, that is every word said, at DEBUG.
for _name in ("aiosqlite", "sqlalchemy.engine.Engine"):
    logging.getLogger(_name).addFilter(_no_rows_in_logs)


class Database:
    """The open file.  Made by ``open_database``, and of no use once its block has ended."""

    def __init__(self, path: Path, vault: Vault, writer: AsyncEngine, readers: AsyncEngine) -> None:
        self.path = path
        self.vault = vault
        self.quarantined: Path | None = None
        """Where the damaged file is that this one took the place of, at this start."""
        self.suspect = False
        """Whether damage was met while it was in use: the next start is to check it."""
        self._writer = writer
        self._readers = readers
        self._running: set[asyncio.Task[Any]] = set()
        self._writing: Any = None
        event.listen(writer.sync_engine, "connect", self._note_writer)

    def _note_writer(self, connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        self._writing = connection.driver_connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` in one write transaction; returns after the commit is on the disk.

        On a full disk ``work`` is run a second time, after the first has been rolled back.

        A caller cancelled meanwhile gets its ``CancelledError`` only when the transaction has ended one way
        or the other, so that whatever it does next finds a settled file.

        Raises:
            StoreUnavailable: nothing was written.
            IntegrityError: a constraint refused; nothing was written.
        """

        async def attempt() -> T:
            async with self.write() as connection:
                return await work(connection)

        async def run() -> T:
            try:
                return await attempt()
            except DiskFull:
                # The log may hold megabytes that would fit into free pages of the file.
                if not await self._fold_log():
                    raise
                return await attempt()

        return await settled(self._own(run()))

    async def query(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` on one consistent view of the file.

        Cancelled like ``transact``: a query torn from its connection would cost that connection.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def run() -> T:
            async with self.read() as connection:
                return await work(connection)

        return await settled(self._own(run()))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One write transaction: committed at the end of the block, rolled back when it raises.

        A block cancelled in the very middle of its commit cannot know how that ended: prefer ``transact``.

        Raises:
            StoreUnavailable: as ``transact``.
        """
        with self._faults("write to"):
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One read transaction; SQLite refuses any write in it.

        Raises:
            StoreUnavailable: as ``query``.
        """
        with self._faults("read"):
            async with self._readers.connect() as connection:
                yield connection

    async def writable(self, within: float = 2.0) -> None:
        """Return if a write could begin now; nothing is written.

        within: seconds to wait behind the writers of the moment.

        Raises:
            StoreUnavailable: it could not, and why.
        """

        async def probe() -> None:
            with self._faults("write to"):
                async with self._writer.connect() as connection, connection.begin() as transaction:
                    await transaction.rollback()

        # The write lock is taken in shared memory and would be had on a disk gone read-only.
        if not os.access(self.path, os.W_OK):
            raise StoreUnavailable(
                f"write to {self.path}: the file is gone or its disk is read-only.",
                hint="Look at the kernel's log (journalctl -k) for a failing disk, then restart the daemon.",
            )
        attempt = self._own(probe())
        done, _ = await asyncio.wait({attempt}, timeout=within)
        if not done:
            raise StoreUnavailable(
                f"write to {self.path}: no turn within {within:g} s.",
                hint="Another program holds the file, or the disk stands still.",
            )
        attempt.result()

    async def answers(self) -> None:
        """Return when the writing thread has come to this call, whatever transaction is open; no lock is taken.

        Raises:
            StoreUnavailable: it came to it, and the connection is of no use.
        """
        with self._faults("write to"):
            # Beside SQLAlchemy, whose pool would make it wait for the end of a transaction: a purge of a year is
            # no dead thread.
            await self._writing.execute_fetchall("SELECT 1")

    async def scrub(self) -> bool:
        """Make what was deleted unreadable: give its pages back, and empty the write-ahead log.

        Deleted rows are overwritten with zeros at once, but the log still holds them as they were.

        Returns:
            Whether the log is empty; a long read may keep it, and the next call tries again.

        Raises:
            StoreUnavailable: the file cannot be written.
        """
        # In steps: the lines that wait meanwhile have their turn in between.
        while await settled(self._own(self._give_back())):
            pass
        for _ in range(SCRUB_ATTEMPTS):
            if await settled(self._own(self._empty_log())):
                return True
            await asyncio.sleep(SCRUB_PAUSE)
        return False

    async def _give_back(self) -> bool:
        """Give some free pages back; whether there are more."""
        with self._faults("scrub"):
            async with self._writer.connect() as connection:
                # Beside SQLAlchemy, which would begin a transaction: none of these may be in one.
                raw: Any = (await connection.get_raw_connection()).driver_connection
                ((before,),) = await raw.execute_fetchall("PRAGMA freelist_count")
                # Each row stepped through moves one page, hence the fetch.
                await raw.execute_fetchall(f"PRAGMA incremental_vacuum({SCRUB_PAGES})")
                ((left,),) = await raw.execute_fetchall("PRAGMA freelist_count")
                return bool(0 < left < before)

    async def _empty_log(self) -> bool:
        with self._faults("scrub"):
            async with self._writer.connect() as connection:
                return await _emptied((await connection.get_raw_connection()).driver_connection)

    async def _fold_log(self) -> bool:
        """Whether the write-ahead log could be folded into the file and emptied."""
        try:
            with self._faults("fold the log of"):
                async with self._writer.connect() as connection:
                    return await _emptied((await connection.get_raw_connection()).driver_connection)
        except StoreUnavailable:
            return False  # the caller has an error of its own to tell

    async def close(self) -> None:
        """Let what is under way end, then close every connection; ``open_database`` calls it."""
        while self._running:
            await asyncio.wait(self._running)
        # The writer last: the last connection to close folds the write-ahead log into the file.
        await self._readers.dispose()
        await self._writer.dispose()

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Marks a failure as seen: its caller may have gone, and ``settled`` has then told the log.
            task.exception()

    @contextmanager
    def _faults(self, operation: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (DBAPIError, sqlite3.Error) as error:
            self.suspect = self.suspect or is_corruption(error)
            raise unavailable(operation, self.path, error) from error
        except PoolTimeout as error:
            raise StoreUnavailable(
                f"{operation} {self.path}: no turn within {QUEUE_SECONDS:g} s.",
                hint="The disk is too slow or stands still: look at the kernel's log (journalctl -k).",
            ) from error


async def _emptied(raw: Any) -> bool:
    """Whether a checkpoint emptied the write-ahead log; a long read keeps it."""
    await raw.execute("PRAGMA busy_timeout = 100")
    try:
        ((busy, _, _),) = await raw.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        await raw.execute(f"PRAGMA busy_timeout = {pragmas.BUSY_TIMEOUT_MS}")
    return bool(busy == 0)


async def settled(task: asyncio.Task[T]) -> T:
    """The result of ``task``; a caller cancelled meanwhile still waits for its end before it is let go."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            # A second cancellation changes nothing: the first is raised below.
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        _tell_of_failure(task)
        raise


def _tell_of_failure(task: asyncio.Task[Any]) -> None:
    """Nobody else can: the caller was cancelled and raises that."""
    if not task.cancelled() and (error := task.exception()) is not None:
        told = error if isinstance(error, AmbientError) else type(error).__name__
        log.error("a database operation failed after its caller had been cancelled: %s", told)


@asynccontextmanager
async def open_database(path: Path, *, migrations: Path = MIGRATIONS) -> AsyncIterator[Database]:
    """Open the file, checked and migrated, for as long as the block lasts; made if it is not there.

    A damaged file is set aside under another name and a fresh one takes its place.

    Raises:
        StoreUnavailable: the file cannot be made, trusted, migrated or had alone.
    """
    with ExitStack() as stack:
        preparing = asyncio.to_thread(_prepare, path, migrations, stack)
        ready = await settled(asyncio.create_task(preparing))
        path, vault = ready.path, ready.vault
        database = Database(
            path,
            vault,
            _engine(path, pragmas.WRITER, "BEGIN IMMEDIATE", vault, connections=1),
            _engine(path, pragmas.READER, "BEGIN", vault, connections=READERS),
        )
        database.quarantined = ready.aside
        try:
            # At once, so that a promise the disk cannot keep is known now and not at the first line.
            await database.writable(within=QUEUE_SECONDS)
            yield database
        finally:
            await settled(asyncio.create_task(database.close()))
            if not database.suspect:
                mark_closed(path, ready.checked)


@dataclass(frozen=True, slots=True)
class _Prepared:
    path: Path
    """Absolute."""
    vault: Vault
    checked: float
    """When the file was last checked, seconds since the epoch."""
    aside: Path | None
    """Where a damaged file is now."""


def _prepare(path: Path, migrations: Path, stack: ExitStack) -> _Prepared:
    """All that may take seconds and happens once; runs in a thread."""
    path = path.absolute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(alone(path))
        _make_private(path)
        checked, aside = last_check(path), None
        if needs_check(path):
            checked = time.time()
            if path.stat().st_size and (found := damage(path)):
                aside = set_aside(path, found)
                _make_private(path)
        vault = unlock(path)
        take_mark(path)
    except OSError as error:
        raise unavailable("open", path, error) from error
    migrate(path, vault, migrations)
    if aside is not None:
        rescue(aside, path, vault)
    self_test(path, vault)
    return _Prepared(path, vault, checked, aside)


def _make_private(path: Path) -> None:
    """Make the file if need be, and keep it to its owner; SQLite gives its companions the same mode and owner."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for suffix in ("", *SIDECARS):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)


def _engine(
    path: Path, promises: pragmas.Promises, begin: str, vault: Vault, *, connections: int
) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=QUEUE_SECONDS,
        # An error message must not quote the words it failed to store.
        hide_parameters=True,
        # The driver begins nothing by itself: every transaction begins with our statement below.
        connect_args={"isolation_level": None},
    )

    def promise(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        pragmas.keep(connection, promises, path)
        # So that whoever works in a transaction can seal and open within it.
        record.info.update(vault=vault, writes=promises is pragmas.WRITER)

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", promise)
    event.listen(engine.sync_engine, "begin", begin_transaction)
    return engine
