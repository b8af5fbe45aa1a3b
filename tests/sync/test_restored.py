"""A backup is put back after what it was to deliver had arrived: nothing arrives twice."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from boxes import Box, line, say
from central.server import Centre

from ambientd.core.delivery import UploadStatus
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, Refinement, SessionState
from ambientd.store.backup import made
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.endings import Holds
from ambientd.store.facts import PERHAPS_DELIVERED
from ambientd.store.lines import Lines
from ambientd.store.restore import restore
from ambientd.store.sessions import Sessions


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
    path.unlink()  # with it went what was known to be delivered
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


async def begin(database: Database, session_id: str, text: str) -> None:
    await Sessions(database).create(
        session_id, connected_at=datetime.now(UTC), client="192.0.2.7", language="en", model="m"
    )
    await Lines(database).append_line(session_id, line(0, text), SessionMetrics())


async def finish(database: Database, session_id: str, *, refinement: Refinement = Refinement.NONE) -> None:
    await Sessions(database).finalise(
        session_id,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=datetime.now(UTC),
        metrics=SessionMetrics(),
        refinement=refinement,
    )


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_what_was_open_held_or_parked_in_the_backup_arrives_once(
    tmp_path: Path,
    centre: Centre,
    profile: str,
    elsewhere: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = tmp_path / "box" / "ambientd.db"
    async with open_database(path) as database:
        await say(database, "parked", "Good night.")
        (parked,) = await Box(database, centre, profile, tmp_path).outbox.items()
        await Box(database, centre, profile, tmp_path).outbox.park(parked.id, reason="asked to.")
        await begin(database, "open", "How long")
        await begin(database, "held", "Good morning.")
        await finish(database, "held", refinement=Refinement.WAITING)
        with made(path) as backup:
            (tmp_path / "taken").write_bytes(backup.path.read_bytes())
        await Lines(database).append_line("open", line(1, "has it hurt?"), SessionMetrics())
        await finish(database, "open")
        assert await Sessions(database).refined("held", [line(0, "Good morning!")], "better")
        box = Box(database, centre, profile, tmp_path)
        assert await box.outbox.again(parked.id, datetime.now(UTC))
        await box.until_done()
        once = {"Good night.": 1, "How long\nhas it hurt?": 1, "Good morning!": 1}
        arrived = await box.received()
        assert len(arrived) == len(once)

    if elsewhere:
        key = path.with_name("box.key")
        path = tmp_path / "other" / "ambientd.db"
        path.parent.mkdir()
        shutil.copy(key, path.with_name("box.key"))
    restore(path, tmp_path / "taken", force=True)
    async with open_database(path) as database:
        await Sessions(database, Holds()).recover()
        box = Box(database, centre, profile, tmp_path)
        items = await box.items()
        expected = UploadStatus.PARKED if elsewhere else UploadStatus.DELIVERED
        assert {name: item.status for name, item in items.items()} == dict.fromkeys(
            ("parked", "open", "held"), expected
        )
        await box.until_done()
        assert await box.received() == arrived
        if not elsewhere:
            return
        assert {items[name].last_error for name in ("open", "held")} == {PERHAPS_DELIVERED}
        # What the centre has as it is here is found; where the box names transcripts, also what was longer there.
        for name in ("parked",) if profile == "ambientai" else items:
            assert await box.outbox.again(items[name].id, datetime.now(UTC))
        await box.until_done()
        assert await box.received() == arrived


async def test_a_session_interrupted_after_that_start_is_delivered_as_usual(tmp_path: Path) -> None:
    path = tmp_path / "ambientd.db"
    async with open_database(path) as database:
        await begin(database, "before", "Good morning.")
        with made(path) as backup:
            (tmp_path / "taken").write_bytes(backup.path.read_bytes())
    restore(path, tmp_path / "taken", force=True)
    async with open_database(path) as database:
        await Sessions(database).recover()
        await begin(database, "after", "Good day.")
        await Sessions(database).recover()
        found = {item.session_id: item.status for item in await Outbox(database).items()}
        assert found == {"before": UploadStatus.PARKED, "after": UploadStatus.HELD}
        assert await Sessions(database).reopen("before") is None
