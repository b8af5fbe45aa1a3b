from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ambientd.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with open_database(path) as opened:
        yield opened


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database)


@pytest.fixture
def lines(database: Database) -> Lines:
    return Lines(database)
