from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from boxes import Box
from central.server import Centre, running

from ambientd.store.database import open_database


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path / "centre.db") as there:
        there.faults.hang, there.faults.slow, there.faults.retry_after = 1.5, 0.2, 0
        yield there


@pytest.fixture(params=["ambientai", "ingest"])
def profile(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def box(tmp_path: Path, centre: Centre, profile: str) -> AsyncIterator[Box]:
    async with open_database(tmp_path / "box" / "ambientd.db") as database:
        yield Box(database, centre, profile, tmp_path)
