"""What root does for the daemon leaves nothing that the daemon's user cannot use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stored_speech import begin

from ambientd.store.backup import made
from ambientd.store.database import open_database
from ambientd.store.restore import restore
from ambientd.store.sessions import Sessions

NOBODY = 65_534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    folder = tmp_path / "var-lib-ambientd"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


def owners(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in folder.iterdir()}


async def test_a_database_made_by_root(state: Path) -> None:
    async with open_database(state / "ambientd.db") as database:
        await begin(Sessions(database), "s")
        assert set(owners(state)) >= {"ambientd.db", "ambientd.db-wal", "ambientd.db.lock", "box.key"}
        assert set(owners(state).values()) == {NOBODY}
    assert "ambientd.db.closed" in owners(state)
    assert set(owners(state).values()) == {NOBODY}


async def test_a_backup_put_back_by_root(state: Path, tmp_path: Path) -> None:
    path = state / "ambientd.db"
    async with open_database(path) as database:
        await begin(Sessions(database), "s")
    with made(path) as backup:
        (tmp_path / "taken").write_bytes(backup.path.read_bytes())
    restore(path, tmp_path / "taken", force=True)
    assert set(owners(state).values()) == {NOBODY}
