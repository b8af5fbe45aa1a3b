"""A backup is opened before it counts as one, and put back only where nothing is lost by it."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.delivery import PartStatus
from ambientd.core.record import EndReason, SessionState
from ambientd.errors import DiskFull, OperatorError, StoreUnavailable
from ambientd.store import backup, envelope, rotation, tables
from ambientd.store.audit import Audit
from ambientd.store.backup import clear_unfinished, made
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.migrate import back_up
from ambientd.store.restore import WouldLose, check, restore
from ambientd.store.rows import moment_text
from ambientd.store.sessions import Sessions

CANARY = "Wolpertinger"


async def hold(database: Database, name: str, lines: int = 3, *, ended: bool = True) -> None:
    sessions = Sessions(database)
    await begin(sessions, name)
    for index in range(lines):
        await Lines(database).append_line(name, line(index, f"{CANARY} {name} {index}"), figures([line(0)]))
    if ended:
        await sessions.finalise(
            name, state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([])
        )


async def fill(path: Path, *names: str) -> None:
    async with open_database(path) as database:
        for name in names:
            await hold(database, name)


def taken(path: Path, target: Path) -> backup.Backup:
    with made(path) as found:
        target.write_bytes(found.path.read_bytes())
    return found


async def texts(path: Path, name: str) -> list[str]:
    async with open_database(path) as database:
        return [each.text for each in await Lines(database).lines(name)]


def contents_of(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)


def remove(path: Path) -> None:
    path.unlink()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftovers(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir() if ".copying." in each.name]


class TestMaking:
    async def test_of_a_database_in_use(self, path: Path, tmp_path: Path) -> None:
        """Lines stored while it is made change nothing in it, and are not held up."""
        async with open_database(path) as database:
            await hold(database, "s")
            await hold(database, "live", ended=False)
            with made(path) as found:
                await Lines(database).append_line("live", line(3), figures([line(3)]))
                assert (found.contents.sessions, found.contents.lines) == (2, 6)
                assert found.contents.undelivered == 1
                assert found.contents.audit_rows == len(await Audit(database).entries())
                assert mode(found.path) == 0o600
        assert leftovers(path) == []

    async def test_it_holds_no_word_in_clear(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "visit-seven")
        found = taken(path, tmp_path / "b")
        contents = (tmp_path / "b").read_bytes()
        for word in (CANARY.encode(), b"visit-seven", b"SQLite format"):
            assert word not in contents
        assert found.size == len(contents)

    async def test_of_an_ephemeral_session_under_way_nothing_goes_into_it(
        self, path: Path, tmp_path: Path
    ) -> None:
        plain, migrated = tmp_path / "plain", path.with_name("ambientd.db.backup-1")
        async with open_database(path) as database:
            await hold(database, "kept", ended=False)
            await hold(database, "gone", lines=200, ended=False)
            await database.transact(
                lambda connection: connection.execute(
                    update(tables.sessions).where(tables.sessions.c.session_id == "gone").values(ephemeral=1)
                )
            )
            with closing(sqlite3.connect(path)) as file:
                keys = dict(file.execute("SELECT session_id, wrapped FROM session_keys"))
                words = dict(
                    file.execute(
                        "SELECT session_id, words FROM realtime_transcript_chunks WHERE chunk_index = 1"
                    )
                )
            assert taken(path, tmp_path / "b").contents.sessions == 1
            backup.copy(path, plain)
            back_up(path, "1")
        for copy in (plain, migrated):
            held = contents_of(copy)
            assert keys["kept"] in held
            assert words["kept"] in held
            assert keys["gone"] not in held
            assert words["gone"] not in held
            assert held.count(b"gone") == 1  # in the audit
        restore(path, tmp_path / "b", force=True)
        assert await texts(path, "gone") == []
        assert len(await texts(path, "kept")) == 3

    async def test_a_copy_that_is_not_sound_is_no_backup(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(path, "s")
        monkeypatch.setattr(backup, "damage", lambda _path: "a page is noise")
        with pytest.raises(StoreUnavailable, match="not sound"), made(path):
            pass
        assert leftovers(path) == []

    async def test_one_that_does_not_open_again_is_no_backup(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(path, "s")
        sync = envelope.sync

        def spoil(file: io.BufferedWriter) -> None:
            file.seek(-20, os.SEEK_END)
            file.write(b"x")
            sync(file)

        monkeypatch.setattr(envelope, "sync", spoil)
        with pytest.raises(envelope.BadEnvelope), made(path):
            pass
        assert leftovers(path) == []

    async def test_without_room_it_is_not_begun(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        await fill(path, "s")
        full = os.statvfs(path.parent)

        class Full:
            f_bavail, f_frsize = 1, full.f_frsize

        monkeypatch.setattr(os, "statvfs", lambda _path: Full)
        with pytest.raises(DiskFull, match="MB are needed"), made(path):
            pass

    async def test_what_a_crash_left_is_cleared(self, path: Path) -> None:
        await fill(path, "s")
        left = path.with_name(path.name + ".copying.20260101T000000Z.plain")
        left.write_bytes(b"x")
        assert clear_unfinished(path) == [left]
        assert not left.exists()
        assert contents_of(path)


class TestEnvelope:
    KEY = bytes(range(32))

    def sealed(self, tmp_path: Path, contents: bytes) -> bytes:
        (tmp_path / "plain").write_bytes(contents)
        target = io.BytesIO()
        envelope.seal(
            tmp_path / "plain", target, box_key=self.KEY, public=None, box="b", made="now", revision="0002"
        )
        return target.getvalue()

    def open(self, sealed: bytes) -> bytes:
        source = io.BytesIO(sealed)
        header, front = envelope.header_of(source)
        key = envelope.key_for(header, {header.key_id: self.KEY}, None)
        return b"".join(envelope.opened(source, front, key))

    @pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250])
    def test_any_size_comes_out_as_it_went_in(
        self, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(envelope, "CHUNK", 100)
        contents = os.urandom(size)
        assert self.open(self.sealed(tmp_path, contents)) == contents

    def test_no_byte_can_be_changed_left_out_or_added(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(envelope, "CHUNK", 100)
        sealed = self.sealed(tmp_path, os.urandom(350))
        for place in range(0, len(sealed), 7):
            for spoilt in (
                sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :],
                sealed[:place],
                sealed[:place] + b"\0" + sealed[place:],
            ):
                with pytest.raises(OperatorError):
                    self.open(spoilt)

    def test_chunks_cannot_be_swapped_or_dropped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(envelope, "CHUNK", 100)
        sealed = self.sealed(tmp_path, os.urandom(300))
        front, chunks = sealed[:-348], [sealed[-348 + 116 * n :][:116] for n in range(3)]
        assert self.open(front + b"".join(chunks))
        for order in ([1, 0, 2], [0, 2], [0, 1], [0, 1, 2, 2]):
            with pytest.raises(envelope.BadEnvelope):
                self.open(front + b"".join(chunks[n] for n in order))


class TestRestoring:
    async def test_on_the_same_box_after_the_file_is_gone(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a", "b")
        taken(path, tmp_path / "backup")
        remove(path)
        done = restore(path, tmp_path / "backup")
        assert (done.contents.sessions, done.replaced, done.losses) == (2, None, [])
        assert await texts(path, "b") == [f"{CANARY} b {index}" for index in range(3)]
        assert mode(path) == 0o600
        assert leftovers(path) == []

    async def test_on_a_fresh_box_with_the_recovery_key(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        printed = await rotation.print_recovery(path)
        assert taken(path, tmp_path / "backup").recoverable
        fresh = tmp_path / "new box" / "ambientd.db"
        with pytest.raises(OperatorError, match="recovery key"):
            restore(fresh, tmp_path / "backup")
        assert not fresh.exists()
        restore(fresh, tmp_path / "backup", printed=printed.lower())
        assert await texts(fresh, "a") == [f"{CANARY} a {index}" for index in range(3)]
        assert mode(fresh.with_name("box.key")) == 0o400

    async def test_after_the_key_was_changed(self, path: Path, tmp_path: Path) -> None:
        """The old key is destroyed: the recovery key opens the backup, and brings the old key back with it."""
        await fill(path, "a")
        printed = await rotation.print_recovery(path)
        taken(path, tmp_path / "backup")
        await rotation.rotate(path)
        with pytest.raises(OperatorError, match="which is not here"):
            restore(path, tmp_path / "backup", force=True)
        restore(path, tmp_path / "backup", printed=printed, force=True)
        assert await texts(path, "a") == [f"{CANARY} a {index}" for index in range(3)]

    async def test_the_wrong_recovery_key(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        old = await rotation.print_recovery(path)
        await rotation.print_recovery(path)
        taken(path, tmp_path / "backup")
        with pytest.raises(OperatorError, match="does not open"):
            restore(tmp_path / "new.db", tmp_path / "backup", printed=old)

    async def test_what_would_be_lost_is_named(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "old")
        async with open_database(path) as database:
            await hold(database, "growing", ended=False)
        taken(path, tmp_path / "backup")
        async with open_database(path) as database:
            await Lines(database).append_line("growing", line(3), figures([line(3)]))
            await hold(database, "fresh")
            await hold(database, "received")
            await hold(database, "mute", lines=0)
            async with database.write() as connection:
                await connection.execute(
                    update(tables.uploads)
                    .where(tables.uploads.c.session_id == "received")
                    .values(status="delivered", delivered_at=moment_text(BEGAN))
                )
        before = contents_of(path)
        with pytest.raises(WouldLose) as refusal:
            restore(path, tmp_path / "backup")
        told = str(refusal.value)
        assert "1 session that nobody has received: fresh" in told
        assert "2 sessions delivered or without words: received, mute" in told
        assert "1 session with lines that are not in the backup: growing" in told
        assert "rows of the audit" in told
        assert contents_of(path) == before
        assert leftovers(path) == []

    async def test_forced_it_keeps_the_file_of_before(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        taken(path, tmp_path / "backup")
        await fill(path, "b")
        done = restore(path, tmp_path / "backup", force=True)
        assert done.replaced is not None
        assert done.losses
        async with open_database(path) as database:
            assert await Sessions(database).get("b") is None
        with closing(sqlite3.connect(done.replaced)) as shell:
            assert shell.execute("SELECT count(*) FROM realtime_sessions").fetchone() == (2,)

    async def test_a_damaged_file_is_kept_with_its_log(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        taken(path, tmp_path / "backup")
        write(path, b"\xa5" * 8192)
        path.with_name(path.name + "-wal").write_bytes(b"log")
        with pytest.raises(WouldLose, match="damaged"):
            restore(path, tmp_path / "backup")
        done = restore(path, tmp_path / "backup", force=True)
        assert done.replaced is not None
        assert done.replaced.read_bytes() == b"\xa5" * 8192
        assert done.replaced.with_name(done.replaced.name + "-wal").read_bytes() == b"log"
        assert len(await texts(path, "a")) == 3

    async def test_not_while_the_daemon_runs(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        taken(path, tmp_path / "backup")
        async with open_database(path):
            with pytest.raises(StoreUnavailable, match="another ambientd"):
                restore(path, tmp_path / "backup", force=True)

    async def test_one_of_a_newer_version(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("UPDATE alembic_version SET version_num = '0099'")
            shell.commit()
        taken(path, tmp_path / "backup")
        with pytest.raises(StoreUnavailable, match="newer version"):
            restore(tmp_path / "state" / "other.db", tmp_path / "backup")

    async def test_what_is_no_backup(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "photo").write_bytes(os.urandom(1000))
        with pytest.raises(OperatorError, match="no backup of ambientd"):
            restore(path, tmp_path / "photo")
        with pytest.raises(OperatorError, match="there is no backup"):
            restore(path, tmp_path / "nothing")

    async def test_checking_replaces_nothing(self, path: Path, tmp_path: Path) -> None:
        await fill(path, "a")
        taken(path, tmp_path / "backup")
        before = contents_of(path)
        header, contents = check(path, tmp_path / "backup")
        assert (contents.sessions, contents.lines) == (1, 3)
        assert header.made.startswith("20")
        assert contents_of(path) == before
        (tmp_path / "backup").write_bytes((tmp_path / "backup").read_bytes()[:-1])
        with pytest.raises(OperatorError, match="cut short"):
            check(path, tmp_path / "backup")


class TestDeliveriesAfterwards:
    async def test_what_was_to_be_sent_is_looked_for_first(self, path: Path, tmp_path: Path) -> None:
        """It may have arrived since the backup was made: each part counts as sent, until the centre was asked."""
        await fill(path, "a")
        taken(path, tmp_path / "backup")
        remove(path)
        restore(path, tmp_path / "backup")
        async with open_database(path) as database:
            outbox = Outbox(database)
            (due,) = await outbox.due(BEGAN)
            parcel = await outbox.begin(due, most=40, now=BEGAN, by_the_centre=BEGAN)
        assert parcel is not None
        assert not parcel.fresh
        assert len(parcel.upload.parts) > 1
        assert {part.status for part in parcel.upload.parts} == {PartStatus.IN_FLIGHT}
        assert {part.attempted_at for part in parcel.upload.parts} == {BEGAN}
