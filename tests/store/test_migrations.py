"""A file of any earlier day is brought to today, or left exactly as it was."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from stored_speech import begin, figures, line

from ambientd.errors import StoreUnavailable
from ambientd.store import tables
from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.migrate import MIGRATIONS
from ambientd.store.sessions import Sessions

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade():
{body}
"""

# The parent table is rebuilt, the case in which SQLite would delete every line.
REBUILDS = """
    with op.batch_alter_table("realtime_sessions", recreate="always") as table:
        table.add_column(sa.Column("storey", sa.Text(), nullable=False, server_default="1"))
"""
FAILS = """
    op.add_column("realtime_sessions", sa.Column("half", sa.Text()))
    op.execute("UPDATE realtime_sessions SET half = 'way'")
    raise ValueError("Wolpertinger")
"""
FAILS_IN_SQL = """
    op.add_column("realtime_sessions", sa.Column("half", sa.Text()))
    op.execute("INSERT INTO realtime_sessions (session_id, client) VALUES ('x', 'Wolpertinger')")
"""
ORPHANS = """
    op.execute("DELETE FROM realtime_sessions")
"""

NOW = max(int(path.name[:4]) for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""Number of the newest revision there is."""


def after(steps: int) -> str:
    return f"{NOW + steps:04}"


MakeRevision = Callable[..., Path]


@pytest.fixture
def later(tmp_path: Path) -> MakeRevision:
    """The packaged revisions and some after them."""

    def make(*bodies: str) -> Path:
        migrations = tmp_path / f"later 100%{len(list(tmp_path.iterdir()))}"
        shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
        for number, body in enumerate(bodies, start=NOW + 1):
            text = REVISION.format(revision=f"{number:04}", before=f"{number - 1:04}", body=body)
            (migrations / "versions" / f"{number:04}_later.py").write_text(text)
        return migrations

    return make


async def fill(path: Path) -> None:
    async with open_database(path) as database:
        await begin(Sessions(database), "s")
        for index in range(3):
            await Lines(database).append_line("s", line(index), figures([line(index)]))


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as shell:
        (version,) = shell.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(version)


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as shell:
        return [row[1] for row in shell.execute("PRAGMA table_info(realtime_sessions)")]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as shell:
        return list(shell.iterdump())


def contents_of(path: Path) -> bytes:
    return path.read_bytes()


def backups(path: Path) -> list[str]:
    return sorted(name.name for name in path.parent.iterdir() if "backup" in name.name)


class TestNewFile:
    async def test_has_the_tables_of_today(self, path: Path) -> None:
        """Alembic finds no difference between what the revisions make and what the code declares."""
        async with open_database(path):
            pass
        engine = create_engine(f"sqlite:///{path}")
        try:
            with engine.connect() as connection:
                context = MigrationContext.configure(
                    connection, opts={"compare_type": True, "compare_server_default": True}
                )
                assert compare_metadata(context, tables.metadata) == []
        finally:
            engine.dispose()

    async def test_has_the_constraints_of_today(self, path: Path, tmp_path: Path) -> None:
        """Nor is there any in what Alembic does not compare: checks, names, tables without row ids."""

        def declared(file: Path) -> dict[str, list[str]]:
            with closing(sqlite3.connect(file)) as shell:
                found = shell.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
                return {
                    # A table that was rebuilt has its name in quotes.
                    name: sorted(part.strip(", \t").replace('"', "") for part in sql.splitlines())
                    for name, sql in found
                    if name != "alembic_version"
                }

        async with open_database(path):
            pass
        engine = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
        tables.metadata.create_all(engine)
        engine.dispose()

        assert declared(path) == declared(tmp_path / "declared.db")

    async def test_needs_no_backup(self, path: Path) -> None:
        await fill(path)

        assert revision(path) == after(0)
        assert backups(path) == []

    async def test_opening_again_changes_nothing(self, path: Path) -> None:
        await fill(path)
        before = dump(path)
        async with open_database(path):
            pass

        assert dump(path) == before
        assert backups(path) == []


class TestOlderFile:
    async def test_is_brought_forward_with_its_lines(self, path: Path, later: MakeRevision) -> None:
        """Even when the table of sessions is rebuilt, every line of every session stays."""
        await fill(path)
        async with open_database(path, migrations=later(REBUILDS)) as database:
            assert len(await Lines(database).lines("s")) == 3
            record = await Sessions(database).get("s")

        assert record is not None
        assert revision(path) == after(1)
        assert "storey" in columns(path)

    async def test_is_backed_up_first(self, path: Path, later: MakeRevision) -> None:
        """The backup is the file of before, whole in one file, for its owner's eyes only."""
        await fill(path)
        before = dump(path)
        async with open_database(path, migrations=later(REBUILDS)):
            pass
        backup = path.with_name(f"ambientd.db.backup-{after(0)}")

        assert backups(path) == [backup.name]
        assert dump(backup) == before
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600

    async def test_commits_of_a_crash_are_in_the_backup(
        self, path: Path, later: MakeRevision, tmp_path: Path
    ) -> None:
        """What is only in the write-ahead log is copied too."""
        crashed = tmp_path / "crashed" / "ambientd.db"
        crashed.parent.mkdir()
        async with open_database(path) as database:
            await begin(Sessions(database), "last words")
            for suffix in (".db", ".db-wal"):
                shutil.copy(path.with_suffix(suffix), crashed.with_suffix(suffix))
        shutil.copy(path.with_name("box.key"), crashed.with_name("box.key"))
        async with open_database(crashed, migrations=later(REBUILDS)):
            pass

        assert "last words" in "".join(dump(crashed.with_name(f"ambientd.db.backup-{after(0)}")))

    async def test_only_the_last_backup_is_kept(self, path: Path, later: MakeRevision) -> None:
        """Each backup holds every word of its day; one is enough to go back."""
        await fill(path)
        async with open_database(path, migrations=later(REBUILDS)):
            pass
        async with open_database(path, migrations=later(REBUILDS, "    pass")):
            pass

        assert revision(path) == after(2)
        assert backups(path) == [f"ambientd.db.backup-{after(1)}"]


class TestFailedMigration:
    @pytest.mark.parametrize("body", [FAILS, FAILS_IN_SQL, ORPHANS], ids=["code", "sql", "unsound result"])
    async def test_leaves_the_file_as_it_was(self, path: Path, later: MakeRevision, body: str) -> None:
        """Whichever way a revision fails, those before it in the same run are undone as well."""
        await fill(path)
        before = dump(path)
        with pytest.raises(StoreUnavailable, match="migrate") as refusal:
            async with open_database(path, migrations=later(REBUILDS, body)):
                pass

        assert dump(path) == before
        assert "Wolpertinger" not in str(refusal.value)

    async def test_says_how_to_go_on(self, path: Path, later: MakeRevision) -> None:
        await fill(path)
        with pytest.raises(StoreUnavailable) as refusal:
            async with open_database(path, migrations=later(FAILS)):
                pass

        assert "as it was before" in refusal.value.hint

    async def test_a_hundred_restarts_leave_one_backup(self, path: Path, later: MakeRevision) -> None:
        """A service manager restarts for ever; the disk must not fill with copies."""
        await fill(path)
        migrations = later(FAILS)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                async with open_database(path, migrations=migrations):
                    pass

        assert backups(path) == [f"ambientd.db.backup-{after(0)}"]

    async def test_the_former_version_still_opens_it(self, path: Path, later: MakeRevision) -> None:
        await fill(path)
        with pytest.raises(StoreUnavailable):
            async with open_database(path, migrations=later(FAILS)):
                pass
        async with open_database(path) as database:
            assert len(await Lines(database).lines("s")) == 3


class TestNewerFile:
    async def test_is_refused_and_left_alone(self, path: Path, later: MakeRevision) -> None:
        """A file of a later version is neither altered nor taken for damaged."""
        async with open_database(path, migrations=later(REBUILDS)):
            pass
        before = contents_of(path)
        with pytest.raises(
            StoreUnavailable, match=rf"newer version .*revision {after(1)}.*up to {after(0)}"
        ) as refusal:
            async with open_database(path):
                pass

        assert contents_of(path) == before
        assert sorted(name.name for name in path.parent.iterdir()) == [
            "ambientd.db",
            "ambientd.db.lock",
            "box.key",
        ]
        assert "Install that version" in refusal.value.hint


class TestFileOfAnother:
    async def test_is_refused(self, path: Path) -> None:
        """A path mistyped in the settings does not add our tables to somebody's database."""
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("PRAGMA auto_vacuum = 2")
            shell.execute("CREATE TABLE bookmarks (x)")
        with pytest.raises(StoreUnavailable, match="another program"):
            async with open_database(path):
                pass

        assert "realtime_sessions" not in "".join(dump(path))
