"""What the store does with the last bytes of a disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_disk import MEGABYTE, fill
from stored_speech import begin, figures, line

from ambientd.errors import ClientError, DiskFull
from ambientd.store.database import Database, open_database
from ambientd.store.facts import remember
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.store.space import Disk


async def append(database: Database, first: int, count: int) -> None:
    for index in range(first, first + count):
        await Lines(database).append_line("s", line(index), figures([line(index)]))


async def test_the_log_is_folded_before_a_write_is_given_up(small_disk: Path) -> None:
    """It holds many versions of pages the file has room for; a plain retry would find the disk as full as before."""
    async with open_database(small_disk / "ambientd.db") as database:
        await begin(Sessions(database), "s")
        await append(database, 0, 10)
        await database.scrub()
        async with database.write() as connection:
            await connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        for index in range(300):
            async with database.write() as connection:
                await remember(connection, "box_id", str(index))
        log = small_disk / "ambientd.db-wal"
        assert log.stat().st_size > MEGABYTE
        fill(small_disk)
        await append(database, 10, 40)
        assert log.stat().st_size < MEGABYTE
        assert len(await Lines(database).lines("s")) == 50


async def test_when_nothing_helps_the_error_says_what_to_do_and_what_was_stored_stays(
    small_disk: Path,
) -> None:
    async with open_database(small_disk / "ambientd.db") as database:
        await begin(Sessions(database), "s")
        await append(database, 0, 10)
        filler = fill(small_disk)
        with pytest.raises(DiskFull, match="Free space"):
            await append(database, 10, 10_000)
        stored = len(await Lines(database).lines("s"))
        assert stored >= 10
        filler.unlink()
        await append(database, stored, 5)
        assert len(await Lines(database).lines("s")) == stored + 5


def test_the_mark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(tmp_path, low_water=0)
    disk.check()
    disk.low_water = disk.free + 10**9
    for _ in range(2):
        with pytest.raises(ClientError, match="Free space on the box"):
            disk.check()
    disk.low_water = 0
    disk.check()
    assert [record.levelname for record in caplog.records if "disk" in record.message] == ["ERROR"]


def test_a_disk_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert Disk(tmp_path / "gone", low_water=1).free == 0
