"""A backup is put back after what it was to deliver had arrived: nothing arrives twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from boxes import Box, say
from central.server import Centre

from ambientd.core.delivery import UploadStatus
from ambientd.store.backup import made
from ambientd.store.database import open_database
from ambientd.store.restore import restore


@pytest.mark.parametrize("arrived", [True, False])
async def test_each_part_is_looked_for_before_it_is_sent(
    tmp_path: Path,
    centre: Centre,
    profile: str,
    arrived: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = tmp_path / "box" / "ambientd.db"
    turns = [f"Turn {number} " + "word " * 990 + "end." for number in range(20)]
    async with open_database(path) as database:
        await say(database, "long", *turns)
        await say(database, "short", "Good morning.")
        with made(path) as backup:
            (tmp_path / "taken").write_bytes(backup.path.read_bytes())
        if arrived:
            await Box(database, centre, profile, tmp_path).until_done()
    restore(path, tmp_path / "taken", force=True)
    async with open_database(path) as database:
        box = Box(database, centre, profile, tmp_path)
        assert {item.status for item in (await box.items()).values()} == {UploadStatus.IN_FLIGHT}
        await box.until_done()
        received = await box.received()
        parts = {name: len(item.parts) for name, item in (await box.items()).items()}

    assert set(received.values()) == {1}
    assert len(received) == sum(parts.values())
    assert parts == {"short": 1, "long": 3 if profile == "ambientai" else 1}
