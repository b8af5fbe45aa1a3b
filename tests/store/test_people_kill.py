"""Accounts, devices and pairings over a loss of power at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ambientd.core.access import Role
from ambientd.core.people import Device, Pairing
from ambientd.store.database import open_database
from ambientd.store.pairings import Pairings
from ambientd.store.people import By, People
from ambientd.store.refusals import NotWaiting

NOW = datetime(2026, 3, 1, tzinfo=UTC)

ASKS_AND_DIES = """
import asyncio, os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ambientd.core.people import Pairing
from ambientd.store.database import open_database
from ambientd.store.pairings import Pairings

NOW = datetime(2026, 3, 1, tzinfo=UTC)

async def ask():
    async with open_database(Path(sys.argv[1])) as database:
        await Pairings(database).ask(
            Pairing("p-1", b"s" * 32, "123456", "Room 3", "192.0.2.7", NOW, NOW + timedelta(minutes=10), "waiting")
        )
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(ask())
"""


def device(name: str = "d-1") -> Device:
    return Device(name, "Room 3", Role.CLINICIAN, NOW, NOW + timedelta(days=1), "a-1")


async def test_a_tablet_that_asked_before_the_power_went_is_approved_after_it(path: Path) -> None:
    died = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ASKS_AND_DIES,
        str(path),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    assert await died.wait() == -signal.SIGKILL
    async with open_database(path) as database:
        pairings = Pairings(database)
        (waiting,) = await pairings.waiting(NOW)
        assert (waiting.id, waiting.code, waiting.secret) == ("p-1", "123456", b"s" * 32)
        await pairings.approve("p-1", device(), NOW, By("a-1"))
        with pytest.raises(NotWaiting):
            await pairings.approve("p-1", device("d-2"), NOW, By("a-1"))
        assert [each.id for each in (await People(database).known()).devices] == ["d-1"]


async def test_a_device_that_could_not_be_approved_is_not_there(path: Path) -> None:
    async with open_database(path) as database:
        pairings = Pairings(database)
        await pairings.ask(
            Pairing("p-1", b"s", "1", "Room 3", "192.0.2.7", NOW, NOW + timedelta(minutes=10), "waiting")
        )
        with pytest.raises(NotWaiting):
            await pairings.approve("p-1", device(), NOW + timedelta(minutes=10), By("a-1"))
        assert (await People(database).known()).devices == []
