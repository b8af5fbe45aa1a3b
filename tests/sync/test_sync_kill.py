"""A box that is killed while it delivers neither loses a conversation nor sends one twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from boxes import say
from central.faults import Fault
from central.server import USERS, Centre

from ambientd.core.delivery import UploadStatus
from ambientd.store.database import open_database
from ambientd.store.deliveries import Outbox

CHILD = Path(__file__).with_name("deliver_until_killed.py")
KILLS = int(os.environ.get("SYNC_KILLS", "6"))
"""How often the box is killed at random: six in the daily tests."""

CUTTING = [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.ERROR, Fault.ERROR_AFTER, Fault.ORPHAN, Fault.BUSY]


def route_of(centre: Centre, kind: str, folder: Path) -> str:
    email, password = next(iter(USERS.items()))
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(password)
    told = {"profile": kind, "url": centre.url, "box_id": "box-7"}
    if kind == "ambientai":
        told |= {"email": email, "secret": str(secret)}
    return json.dumps(told)


async def started(path: Path, route: str, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(path), route, *more, stdout=asyncio.subprocess.PIPE
    )


async def delivered(path: Path, route: str) -> None:
    """A box that is left alone delivers the rest."""
    process = await started(path, route)
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def received(centre: Centre, kind: str) -> Counter[str]:
    await centre.worker.idle()
    if kind == "ambientai":
        return await centre.records.texts()
    return Counter(json.loads(body)["text"] for body in (await centre.records.bodies()).values())


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with ten conversations, two of them of the same words."""
    path = tmp_path / "box" / "ambientd.db"
    async with open_database(path) as database:
        for number in range(9):
            await say(database, f"s{number}", f"Conversation {number}.", "How are you?")
        await say(database, "again", "Conversation 0.", "How are you?")
    return path


EXPECTED = Counter({f"Conversation {number}. How are you?": 1 for number in range(9)})
EXPECTED["Conversation 0. How are you?"] = 2


@pytest.mark.parametrize("point", ["before", "after"])
async def test_killed_at_the_two_moments_that_matter(
    path: Path, centre: Centre, profile: str, point: str, tmp_path: Path
) -> None:
    """Between the mark and the call, and between the answer and its note."""
    route = route_of(centre, profile, tmp_path)
    for _ in range(2):
        process = await started(path, route, point)
        async with asyncio.timeout(30):
            assert await process.wait() == -9
    async with open_database(path) as database:
        marked = (await Outbox(database).counts())[UploadStatus.IN_FLIGHT]
    await delivered(path, route)

    assert marked >= 1
    assert await received(centre, profile) == EXPECTED


async def test_killed_at_random_while_the_centre_fails_at_random(
    path: Path, centre: Centre, profile: str, tmp_path: Path
) -> None:
    dice = random.Random(7)  # noqa: S311 - dice
    route = route_of(centre, profile, tmp_path)
    centre.faults.draw(7, 0.3, CUTTING)
    killed = 0
    for _ in range(KILLS):
        process = await started(path, route)
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(dice.uniform(0.1, 0.9))
        if process.returncode is None:
            process.kill()
            killed += 1
        await process.wait()
    centre.faults.clear()
    await delivered(path, route)
    async with open_database(path) as database:
        counts = await Outbox(database).counts()

    assert await received(centre, profile) == EXPECTED
    assert counts[UploadStatus.DELIVERED] == 10
    print(f"{killed} kills, faults {dict(centre.faults.seen)}")  # noqa: T201 - shown with -s
