"""Discarding sessions on a real store: whatever else goes on, nothing of them is left and nothing is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from scripted import Engine, detect, heard, silence, speech, terms_of

from ambientd.core.audio import to_pcm16
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.record import EndReason
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.session import registry as registry_module
from ambientd.session.ledger import StoredLedger
from ambientd.session.refiner import Refiner, StoredArchive, open_refiner
from ambientd.session.registry import Registry, open_registry
from ambientd.session.session import Session
from ambientd.store.audit import Audit, open_audit
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions


@dataclass
class House:
    registry: Registry
    refiner: Refiner
    database: Database
    audit: Audit
    engine: Engine
    sessions: Sessions

    async def visit(self, session_id: str | None = "visit-1", **terms: Any) -> Session:
        return await self.registry.open(session_id, terms_of(**terms), client="test")

    async def left(self, session_id: str = "visit-1") -> list[str]:
        """Where something of the session still is."""
        sessions, lines = Sessions(self.database), Lines(self.database)
        found = []
        if await sessions.get(session_id) is not None:
            found.append("record")
        if await lines.lines(session_id) or await lines.gaps(session_id) or await lines.refined(session_id):
            found.append("words")
        if await Outbox(self.database).named(session_id):
            found.append("delivery")
        return found

    async def deeds(self, session_id: str = "visit-1") -> list[tuple[str, str, str]]:
        entries = await self.audit.entries(after=0, limit=100)
        return [(e.actor, e.action, e.outcome) for e in entries if e.object == session_id]


@asynccontextmanager
async def house(path: Path, engine: Engine | None = None, *, wait: float = 30) -> AsyncIterator[House]:
    engine = engine or Engine()
    async with open_database(path / "test.db") as database, open_audit(database) as audit:
        sessions, lines = Sessions(database), Lines(database)
        archive = StoredArchive(sessions, lines)
        async with (
            open_refiner(decoder=engine, archive=archive, memory=1 << 26, wait=wait, workers=1) as refiner,
            open_registry(
                most=10,
                model="scripted",
                detector=lambda: detect,
                decoder=engine,
                ledger=StoredLedger(sessions, lines),
                patience=5,
                refiner=refiner,
            ) as registry,
        ):
            yield House(registry, refiner, database, audit, engine, sessions)


async def say(session: Session, *seconds: float) -> None:
    for each in seconds:
        await session.feed(to_pcm16(speech(each)))
        await session.feed(to_pcm16(silence(1)))


async def until_said(session: Session, lines: int) -> None:
    async with asyncio.timeout(5):
        while session.metrics.chunks_processed < lines:
            await asyncio.sleep(0.01)


async def test_a_live_session_is_destroyed_and_whoever_listens_is_told(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        listener = session.hub.subscribe()
        await say(session, 1.5)
        await until_said(session, 1)
        assert await box.left() == ["record", "words"]

        await box.registry.discard("visit-1", origin="10.0.0.7")

        assert await box.left() == []
        told = []
        while (message := await listener.next()) is not None:
            told.append(message)
        assert (told[-1]["type"], told[-1]["reason"]) == ("session_ended", "discarded")
        assert "nothing of it is kept" in told[-1]["message"]
        assert await box.deeds() == [
            ("client", "session.opened", "ok"),
            ("client", "session.deleted", "discarded"),
        ]
        assert box.refiner.sessions == 0
        assert box.registry.find("visit-1") is None
        assert box.registry.ends == {"discarded": 1}


async def test_a_decode_in_flight_is_given_up_and_writes_nothing(tmp_path: Path):
    async with house(tmp_path, Engine(delay=30)) as box:
        session = await box.visit()
        await say(session, 1.5)
        async with asyncio.timeout(5):
            while not box.engine.requests:
                await asyncio.sleep(0.01)
            await box.registry.discard("visit-1", origin=None)

        assert await box.left() == []


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_session_discarded_while_it_ends_is_destroyed_at_whatever_moment(tmp_path: Path, turns: int):
    async with house(tmp_path) as box:
        session = await box.visit()
        await say(session, 1.5)
        await until_said(session, 1)
        session.end(EndReason.CLIENT)
        for _ in range(turns):
            await asyncio.sleep(0.001)

        await box.registry.discard("visit-1", origin=None)

        assert await box.left() == []
        assert box.refiner.sessions == 0
        assert ("client", "session.deleted", "discarded") in await box.deeds()


@dataclass
class Slow(Engine):
    """Hears in the background so slowly that a discard comes first."""

    async def decode(self, request: Request) -> Heard:
        self.requests.append(request)
        if request.rank is Rank.BACKGROUND:
            await asyncio.sleep(30)
        return heard(request)


async def test_a_session_that_is_being_refined_is_discarded_with_its_audio_and_its_delivery(tmp_path: Path):
    async with house(tmp_path, Slow()) as box:
        session = await box.visit()
        listener = session.hub.subscribe(frozenset({"refined"}))
        await say(session, 6, 6)
        await until_said(session, 2)
        await box.registry.end("visit-1", EndReason.CLIENT)
        async with asyncio.timeout(5):
            while not any(r.rank is Rank.BACKGROUND for r in box.engine.requests):
                await asyncio.sleep(0.01)
        assert await box.left() == ["record", "words", "delivery"]

        await box.registry.discard("visit-1", origin=None)

        assert await box.left() == []
        assert box.refiner.sessions == 0
        assert box.refiner.shelf.used == 0
        told = []
        while (message := await asyncio.wait_for(listener.next(), 5)) is not None:
            told.append(message)
        assert (told[-1]["type"], told[-1]["state"], told[-1]["text"]) == ("refined", "discarded", "")


async def test_what_the_centre_has_or_may_have_is_not_discarded(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await say(session, 1.5)
        await until_said(session, 1)
        await box.registry.end("visit-1", EndReason.CLIENT)
        async with asyncio.timeout(5):
            while box.refiner.sessions:
                await asyncio.sleep(0.01)
        outbox = Outbox(box.database)
        (upload,) = await outbox.named("visit-1")
        now = datetime.now(UTC)
        assert await outbox.begin(upload.id, most=None, now=now, by_the_centre=now) is not None

        with pytest.raises(ClientError, match="sent to the central server"):
            await box.registry.discard("visit-1", origin=None)

        assert await box.left() == ["record", "words", "delivery"]


async def test_a_client_that_comes_back_to_a_discarded_session_is_told_so_and_opens_none(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.visit()
        await box.registry.discard("visit-1", origin=None)
        with pytest.raises(ClientError, match="discarded") as refused:
            await box.visit()

    assert refused.value.close_code == 1008
    async with house(tmp_path) as box:
        with pytest.raises(ClientError, match="discarded"):
            await box.visit()


async def test_ten_who_discard_at_once_all_hear_that_it_is_gone_or_was_never_there(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await say(session, 1.5)
        outcomes = await asyncio.gather(
            *(box.registry.discard("visit-1", origin=None) for _ in range(10)), return_exceptions=True
        )
        assert outcomes.count(None) >= 1
        assert {str(o) for o in outcomes if o is not None} <= {"no session has this id"}
        assert await box.left() == []
        assert len([d for d in await box.deeds() if d[1] == "session.deleted"]) == 1


async def test_nobody_can_discard_what_is_not_there(tmp_path: Path):
    async with house(tmp_path) as box:
        with pytest.raises(ClientError, match="no session"):
            await box.registry.discard("visit-1", origin=None)


async def test_an_ephemeral_session_can_be_discarded_too(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit(ephemeral=True)
        await say(session, 1.5)
        await box.registry.discard("visit-1", origin=None)
        assert await box.left() == []


class Stubborn(StoredLedger):
    """A disk that takes no end of a session until it is let."""

    def __init__(self, sessions: Sessions, lines: Lines) -> None:
        super().__init__(sessions, lines)
        self.refuses = True
        self._finalise, self._discard = self.finalise, self.discard
        self.finalise = self.end  # type: ignore[assignment,method-assign]
        self.discard = self.destroy  # type: ignore[method-assign,assignment]

    async def end(self, *args: Any, **kwargs: Any) -> None:
        if self.refuses:
            raise StoreUnavailable("the disk is full")
        await self._finalise(*args, **kwargs)

    async def destroy(self, *args: Any, **kwargs: Any) -> None:
        if self.refuses:
            raise StoreUnavailable("the disk is full")
        await self._discard(*args, **kwargs)


@pytest.mark.parametrize("how", ["live", "ended"])
async def test_a_discard_that_the_disk_does_not_take_is_done_as_soon_as_it_does(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registry_module, "STORE_AGAIN", 0.2)
    async with house(tmp_path) as box:
        ledger = Stubborn(box.sessions, Lines(box.database))
        box.registry._ledger = ledger
        session = await box.visit()
        await say(session, 1.5)
        await until_said(session, 1)
        if how == "ended":
            with pytest.raises(StoreUnavailable):
                await box.registry.end("visit-1", EndReason.CLIENT)
            await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailable):
            await box.registry.discard("visit-1", origin=None)
        assert await box.left() == ["record", "words"]
        ledger.refuses = False
        async with asyncio.timeout(5):
            while await box.left():
                await asyncio.sleep(0.05)
        with pytest.raises(ClientError, match="no session"):
            await box.registry.discard("visit-1", origin=None)


async def test_a_session_that_something_else_still_writes_to_is_not_discarded(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.sessions.create(
            "visit-1", connected_at=datetime.now(UTC), client="upload", language="en", model="scripted"
        )
        with pytest.raises(ClientError, match="still open"):
            await box.registry.discard("visit-1", origin=None)
        assert await box.left() == ["record"]
