"""Sessions that are recorded now and transcribed later, on a real store with the scripted engine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import Engine, detect, heard, silence, speech, terms_of
from scripted_microphone import ScriptedMicrophone

from ambientd.core.audio import RATE, from_pcm16, to_pcm16
from ambientd.core.checks import Severity
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.delivery import UploadStatus
from ambientd.core.protocol import Wishes
from ambientd.core.record import (
    Consent,
    Details,
    EndReason,
    Manner,
    Progress,
    SessionRecord,
    SessionState,
    Transcription,
)
from ambientd.errors import ClientError, DecodeFailed, StoreUnavailable
from ambientd.session import later as later_module
from ambientd.session.capacity import Capacity, Ceiling
from ambientd.session.later import Later, open_later
from ambientd.session.ledger import StoredLedger
from ambientd.session.microphone import Wish, open_recorder
from ambientd.session.recorded import Shelf
from ambientd.session.registry import Registry, open_registry
from ambientd.session.session import Session
from ambientd.session.trial import judged
from ambientd.store.backup import copy
from ambientd.store.database import Database, open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.recording import Recordings
from ambientd.store.refusals import NotDelivered, StillOpen
from ambientd.store.retention import Retention
from ambientd.store.retention import Terms as Keep
from ambientd.store.sessions import Sessions
from ambientd.store.spool import Spool

HOUR = 3600 * RATE


@dataclass
class House:
    registry: Registry
    database: Database
    engine: Engine
    sessions: Sessions
    lines: Lines
    spool: Spool
    shelf: Shelf
    later: Later

    async def visit(self, session_id: str = "visit-1", **terms: Any) -> Session:
        return await self.registry.open(session_id, terms_of(**{"later": True} | terms), client="test")

    async def recorded(self, session_id: str = "visit-1", *, says: float = 3.0) -> None:
        session = await self.visit(session_id)
        await say(session, says)
        await self.registry.end(session_id, EndReason.CLIENT)

    async def record(self, session_id: str = "visit-1") -> SessionRecord:
        found = await self.sessions.get(session_id)
        assert found is not None
        return found

    async def until(self, status: Transcription, session_id: str = "visit-1") -> SessionRecord:
        async with asyncio.timeout(10):
            while (record := await self.record(session_id)).transcription is not status:
                await asyncio.sleep(0.01)
        return record

    async def heard(self) -> None:
        """Lets what waits be transcribed."""
        await self.later.look()
        async with open_later(self.later), asyncio.timeout(10):
            while self.later.stock.waiting:
                await asyncio.sleep(0.01)

    async def delivery(self, session_id: str = "visit-1") -> list[UploadStatus]:
        return [upload.status for upload in await Outbox(self.database).named(session_id)]

    def pieces(self) -> int:
        with closing(sqlite3.connect(self.database.path)) as file:
            count: int = file.execute("SELECT count(*) FROM audio_chunks").fetchone()[0]
        return count


@asynccontextmanager
async def house(
    folder: Path,
    engine: Engine | None = None,
    *,
    most: int = HOUR,
    enabled: bool = True,
    room: Callable[[], None] = lambda: None,
    capacity: Capacity | None = None,
) -> AsyncIterator[House]:
    engine = engine or Engine()
    async with open_database(folder / "test.db") as database:
        sessions, lines, spool = Sessions(database), Lines(database), Spool(database)
        await sessions.recover()

        def stocked(samples: int) -> None:
            shelf.kept = samples

        later = Later(spool=spool, decoder=engine, detector=lambda: detect, terms=terms_of, stocked=stocked)
        shelf = Shelf(spool, enabled=enabled, most=most, room=room, waits=later.wake)
        async with open_registry(
            most=10,
            model="scripted",
            detector=lambda: detect,
            decoder=engine,
            ledger=StoredLedger(sessions, lines),
            patience=5,
            shelf=shelf,
            capacity=capacity,
        ) as registry:
            yield House(registry, database, engine, sessions, lines, spool, shelf, later)


async def say(session: Session, *seconds: float) -> None:
    for each in seconds:
        await session.feed(to_pcm16(speech(each)))
        await session.feed(to_pcm16(silence(1)))


def files(folder: Path) -> bytes:
    """All that lies on the disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_what_is_recorded_is_open_and_undelivered_until_its_text_is_stored(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.recorded()
        assert box.engine.requests == []
        record = await box.record()
        assert (record.state, record.transcription) == (SessionState.OPEN, Transcription.WAITING)
        assert (record.progress, record.recorded_samples) == (Progress.UNHEARD, 4 * RATE)
        assert await box.delivery() == []
        assert box.pieces() == 2

        await box.heard()

        record = await box.record()
        assert (record.state, record.reason) == (SessionState.ENDED, EndReason.CLIENT)
        assert (record.transcription, record.recorded_samples) == (Transcription.DONE, 0)
        assert await box.sessions.text("visit-1") == "It hurts here."
        assert await box.delivery() == [UploadStatus.PENDING]
        assert box.pieces() == 0
        assert record.metrics.received_samples == 4 * RATE
        assert {request.rank for request in box.engine.requests} == {Rank.BACKGROUND}


async def test_a_session_too_much_for_the_box_is_recorded_instead_of_refused(tmp_path: Path):
    async with house(tmp_path, capacity=Capacity(1, Ceiling(utilisation=0.0))) as box:
        live = await box.visit("visit-1", later=False)
        recorded = await box.visit("visit-2", later=False)
        with pytest.raises(ClientError, match="too busy"):
            await box.visit("visit-3", later=False, ephemeral=True)

        assert (live.later, recorded.later) == (False, True)
        assert box.registry.capacity.refused == 1


async def test_it_is_refused_as_ever_where_nothing_may_be_recorded(tmp_path: Path):
    async with house(tmp_path, capacity=Capacity(1, Ceiling(utilisation=0.0)), enabled=False) as box:
        await box.visit("visit-1", later=False)
        with pytest.raises(ClientError) as refused:
            await box.visit("visit-2", later=False)
        with pytest.raises(ClientError) as wished:
            await box.visit("visit-3")

        assert (refused.value.code, wished.value.code) == ("overloaded", "later_off")


async def test_a_session_of_which_nothing_is_kept_is_not_recorded(tmp_path: Path):
    async with house(tmp_path) as box:
        with pytest.raises(ClientError) as refused:
            await box.visit(ephemeral=True)

        assert refused.value.code == "later_ephemeral"
        assert await box.sessions.get("visit-1") is None


async def test_no_sample_can_be_read_from_the_disk_while_it_waits_or_afterwards(tmp_path: Path):
    canary = np.tile(np.array([0.123, -0.321, 0.231, 0.456], np.float32), 3 * RATE // 4)
    pattern = to_pcm16(canary)[:64]
    async with house(tmp_path) as box:
        session = await box.visit()
        await session.feed(to_pcm16(canary))
        await box.registry.end("visit-1", EndReason.CLIENT)
        assert pattern not in files(tmp_path)
        piece = await box.spool.read("visit-1", 0)
        assert piece is not None
        assert pattern in piece.pcm
        with closing(sqlite3.connect(box.database.path)) as file:
            sealed: bytes = file.execute("SELECT pcm FROM audio_chunks").fetchone()[0]
        assert sealed[20:84] in files(tmp_path)  # the search finds what is there

        await box.heard()

        assert pattern not in files(tmp_path)
        assert sealed[20:84] not in files(tmp_path)


async def test_audio_that_was_lost_and_pauses_keep_their_places(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await session.feed(to_pcm16(silence(3)))
        session.lost(2 * RATE)
        session.pause()
        session.go_on()
        await say(session, 2)
        await box.registry.end("visit-1", EndReason.CLIENT)
        await box.heard()

        (line,) = await box.lines.lines("visit-1")
        assert 4.5 * RATE <= line.start <= 5 * RATE
        assert [(gap.start, gap.end, gap.reason) for gap in await box.lines.gaps("visit-1")] == [
            (3 * RATE, 5 * RATE, "lost")
        ]


async def test_what_is_kept_is_heard_oldest_first_and_one_at_a_time(tmp_path: Path):
    async with house(tmp_path) as box:
        for number in (1, 2, 3):
            await box.recorded(f"visit-{number}")
        stock = await box.spool.stock()
        assert (stock.waiting, stock.samples) == (3, 12 * RATE)

        first = await box.spool.next()
        assert first is not None
        assert first.record.session_id == "visit-1"
        await box.spool.put_back("visit-1")
        await box.heard()

        assert (await box.spool.stock()).samples == 0
        assert box.later.outcomes == {"done": 3}


async def test_a_crash_while_recording_loses_two_seconds_and_the_rest_is_heard(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await say(session, 5.5)
        async with asyncio.timeout(5):
            while (await box.record()).recorded_samples < 6 * RATE:
                await asyncio.sleep(0.01)
        crash(box, tmp_path / "after")

    async with house(tmp_path / "after") as box:
        record = await box.record()
        assert (record.transcription, record.progress) == (Transcription.WAITING, Progress.UNHEARD)
        await box.heard()
        record = await box.record()
        assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.CRASH)
        assert await box.sessions.text("visit-1") != ""


async def test_a_recording_that_a_crash_cut_off_goes_on_where_its_audio_ends(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await say(session, 3)
        async with asyncio.timeout(5):
            while (await box.record()).recorded_samples < 4 * RATE:
                await asyncio.sleep(0.01)
        crash(box, tmp_path / "after")

    async with house(tmp_path / "after", enabled=False) as box:
        session = await box.visit(later=False)
        assert (session.reopened, session.later, session.taken) == (True, True, 4 * RATE)
        await say(session, 3)
        await box.registry.end("visit-1", EndReason.CLIENT)
        await box.heard()

        record = await box.record()
        assert (record.state, record.metrics.received_samples) == (SessionState.ENDED, 8 * RATE)
        assert await box.lines.gaps("visit-1") == []


async def test_a_crash_while_it_is_being_heard_has_it_heard_again(tmp_path: Path):
    async with house(tmp_path, Engine(delay=60)) as box:
        await box.recorded()
        async with open_later(box.later):
            await box.until(Transcription.RUNNING)
            crash(box, tmp_path / "after")

    async with house(tmp_path / "after") as box:
        assert (await box.record()).transcription is Transcription.WAITING
        await box.heard()

        assert await box.sessions.text("visit-1") == "It hurts here."
        assert await box.delivery() == [UploadStatus.PENDING]
        assert box.pieces() == 0


async def test_what_does_not_open_is_left_to_a_person_and_holds_up_nobody(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.recorded("visit-1")
        await box.recorded("visit-2")
        with closing(sqlite3.connect(box.database.path)) as file:
            file.execute(
                "UPDATE audio_chunks SET pcm = (SELECT pcm FROM audio_chunks WHERE session_id = 'visit-2'"
                " AND chunk_index = 0) WHERE session_id = 'visit-1' AND chunk_index = 0"
            )
            file.commit()
        await box.heard()

        record = await box.record()
        assert (record.transcription, record.progress) == (Transcription.FAILED, Progress.ATTENTION)
        assert record.state is SessionState.OPEN
        assert box.pieces() == 2
        assert (await box.record("visit-2")).transcription is Transcription.DONE
        (finding,) = await box.later.findings()
        assert finding.severity is Severity.CRITICAL
        assert "visit-1" not in finding.reason


async def test_audio_that_no_window_of_could_be_decoded_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(later_module, "ATTEMPTS", 2)

    def fails(request: Request) -> Heard:
        raise DecodeFailed("scripted")

    async with house(tmp_path, Engine(fails)) as box:
        await box.recorded()
        await box.heard()

        assert (await box.record()).transcription is Transcription.FAILED
        assert box.later.outcomes == {"again": 1, "failed": 1}
        assert box.pieces() == 2

    async with house(tmp_path) as box:  # the next start tries again
        await box.heard()
        assert await box.sessions.text("visit-1") == "It hurts here."


async def test_a_consent_taken_back_destroys_the_audio_unheard(tmp_path: Path):
    now = datetime.now(UTC)
    async with house(tmp_path) as box:
        await box.recorded()
        await box.sessions.describe(
            "visit-1", Details(consent=Consent("patient", now, "1", withdrawn_at=now))
        )
        await box.heard()

        assert box.engine.requests == []
        assert box.pieces() == 0
        assert [gap.reason for gap in await box.lines.gaps("visit-1")] == ["consent_withdrawn"]
        assert await box.delivery() == []


@pytest.mark.parametrize("when", ["recording", "waiting", "running"])
async def test_a_recording_is_discarded_at_any_time(tmp_path: Path, when: str):
    async with house(tmp_path, Engine(delay=0.3)) as box:
        session = await box.visit()
        await say(session, 4)
        if when == "recording":
            await box.registry.discard("visit-1", origin=None)
        else:
            await box.registry.end("visit-1", EndReason.CLIENT)
        async with open_later(box.later):
            if when == "running":
                await box.until(Transcription.RUNNING)
            if when != "recording":
                await box.registry.discard("visit-1", origin=None)
            await asyncio.sleep(0.5)

        assert await box.sessions.get("visit-1") is None
        assert box.pieces() == 0
        assert "done" not in box.later.outcomes


async def test_retention_keeps_what_is_unheard_and_an_operator_deletes_it_only_if_he_insists(tmp_path: Path):
    day = timedelta(days=1)
    async with house(tmp_path) as box:
        retention = Retention(box.database, Keep(day, day, delivers=False, undelivered=True))
        session = await box.visit("visit-2")
        await box.recorded()
        plan = await retention.plan(datetime.now(UTC) + 400 * day)
        assert plan.goes == []
        with pytest.raises(NotDelivered):
            await retention.delete("visit-1", force=False, actor="operator", origin="test")
        with pytest.raises(StillOpen):
            await retention.delete(session.id, force=True, actor="operator", origin="test")

        await retention.delete("visit-1", force=True, actor="operator", origin="test")

        assert await box.sessions.get("visit-1") is None
        assert box.pieces() == 0


async def test_the_bound_ends_a_recording_and_refuses_the_next(tmp_path: Path):
    async with house(tmp_path, most=4 * RATE) as box:
        session = await box.visit()
        listener = session.hub.subscribe()
        await session.feed(to_pcm16(speech(9)))
        await session.finished.wait()
        told = []
        while (message := await listener.next()) is not None:
            told.append(message)
        assert [message["code"] for message in told if message["type"] == "error"] == ["recordings_full"]
        with pytest.raises(ClientError) as refused:
            await box.visit("visit-2")
        assert refused.value.code == "recordings_full"
        await box.heard()

        record = await box.record()
        assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.ERROR)
        (gap,) = await box.lines.gaps("visit-1")
        assert (gap.start, gap.end) == (4 * RATE, 9 * RATE)
        assert await box.sessions.text("visit-1") != ""
        await box.visit("visit-3")


async def test_a_disk_that_takes_nothing_ends_a_recording_and_loses_nothing_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with house(tmp_path) as box:
        session = await box.visit()
        await session.feed(to_pcm16(speech(4)))
        async with asyncio.timeout(5):
            while box.pieces() < 2:
                await asyncio.sleep(0.01)
        listener = session.hub.subscribe()

        async def full(*_: Any) -> int:
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(box.spool, "append", full)
        await session.feed(to_pcm16(speech(2)))
        await session.finished.wait()
        told = []
        while (message := await listener.next()) is not None:
            told.append(message)
        assert "error" in [message["type"] for message in told]
        await box.heard()

        assert await box.sessions.text("visit-1") != ""
        assert [(gap.start, gap.end) for gap in await box.lines.gaps("visit-1")] == [(4 * RATE, 6 * RATE)]


async def test_a_copy_of_the_file_holds_no_audio(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.recorded()
        copied = tmp_path / "copy.db"
        await asyncio.to_thread(copy, box.database.path, copied)
        with closing(sqlite3.connect(copied)) as file:
            assert file.execute("SELECT count(*) FROM audio_chunks").fetchone() == (0,)
            assert file.execute("SELECT count(*) FROM recordings").fetchone() == (0,)
            assert file.execute("SELECT count(*) FROM realtime_sessions").fetchone() == (1,)
        assert box.pieces() == 2


async def test_what_was_recorded_is_heard_as_it_was_recorded(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        sound = (np.arange(5 * RATE) % 1000 / 2000).astype(np.float32)
        await session.feed(to_pcm16(sound))
        await box.registry.end("visit-1", EndReason.CLIENT)
        kept = await box.spool.next()
        assert kept is not None
        pieces = [await box.spool.read("visit-1", index) for index in kept.pieces]
        audio = np.concatenate([from_pcm16(piece.pcm) for piece in pieces if piece])

        assert np.array_equal(to_pcm16(audio), to_pcm16(sound))
        assert [piece.start for piece in pieces if piece] == [0, 2 * RATE, 4 * RATE]


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not what():
            await asyncio.sleep(0.01)


async def test_a_recording_ends_when_nobody_has_spoken_for_so_long_whatever_the_room_hums(tmp_path: Path):
    humming = np.full(
        6 * RATE, 0.09, np.float32
    )  # as loud as it may be that the detector does not call speech
    async with house(tmp_path) as box:
        session = await box.visit(silence=5.0)
        await session.feed(to_pcm16(np.concatenate((speech(2), silence(4), speech(1), silence(2)))))
        session.lost(RATE)
        await until(lambda: session.taken == session._segmenter.received == 10 * RATE)
        assert not session.ending
        assert 2 <= session.quiet <= 3  # judged a second at a time
        await session.feed(to_pcm16(humming))
        await asyncio.wait_for(session.finished.wait(), 5)

        assert session.reason is EndReason.SILENCE
        await box.heard()
        record = await box.record()
        assert (record.state, record.reason) == (SessionState.ENDED, EndReason.SILENCE)
        assert box.pieces() == 0


async def test_without_such_a_limit_nobody_listens_for_silence(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        await session.feed(to_pcm16(silence(700)[: 20 * RATE]))
        await until(lambda: box.pieces() == 10)

        assert session._segmenter.received == 0
        assert not session.ending


async def test_after_a_crash_silence_counts_from_where_the_audio_ends(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit(silence=5.0)
        await session.feed(to_pcm16(np.concatenate((speech(2), silence(4)))))
        await until(lambda: box.pieces() == 3)
        crash(box, tmp_path / "after")

    async with house(tmp_path / "after") as box:
        session = await box.visit(later=False, silence=5.0)
        await session.feed(to_pcm16(silence(4)))
        await until(lambda: box.pieces() == 5)
        assert not session.ending
        await session.feed(to_pcm16(silence(2)))
        await asyncio.wait_for(session.finished.wait(), 5)
        assert session.reason is EndReason.SILENCE


async def test_the_rooms_microphone_records_with_prompt_and_names_of_its_own_until_nobody_speaks(
    tmp_path: Path,
):
    engine = Engine(lambda request: heard(request, "I take own prazole at night"), certainty=lambda *_: -0.1)
    microphone = ScriptedMicrophone()
    async with (
        house(tmp_path, engine) as box,
        open_recorder(
            source=microphone,
            registry=box.registry,
            diary=Recordings(box.database),
            amend=box.sessions.amend,
            judge=partial(judged, decoder=engine, detector=lambda: detect),
            detector=lambda: detect,
            terms=lambda: terms_of(silence=5.0, prompt="The box's."),
            grace=60.0,
        ) as recorder,
    ):
        wish = Wish(Wishes(prompt="A nurse talks.", vocabulary=("omeprazole",)), later=True)
        starting = asyncio.create_task(recorder.start(wish))
        await asyncio.sleep(0.02)
        microphone.say(speech(2))
        session = await asyncio.wait_for(starting, 5)
        microphone.say(silence(6))
        await asyncio.wait_for(session.finished.wait(), 5)
        await until(lambda: not recorder.busy)
        assert session.reason is EndReason.SILENCE
        await box.heard()

        # Of the hearings that have their vote one has no prompt.
        assert {request.prompt for request in engine.requests} == {"A nurse talks.", ""}
        assert await box.sessions.text(session.id) == "I take omeprazole at night"


async def test_a_recording_without_wishes_is_heard_as_the_box_hears_at_that_moment(tmp_path: Path):
    async with house(tmp_path) as box:
        await box.recorded()
        box.later._terms = lambda: terms_of(prompt="As of now.")
        await box.heard()

        assert {request.prompt for request in box.engine.requests} == {"As of now.", ""}


async def test_an_empty_prompt_is_a_wish_as_well(tmp_path: Path):
    async with house(tmp_path) as box:
        session = await box.visit()
        session.configure(Wishes(prompt=""))
        await say(session, 3)
        await box.registry.end("visit-1", EndReason.CLIENT)
        await box.heard()

        assert {request.prompt for request in box.engine.requests} == {""}


async def test_wishes_lie_sealed_beside_the_audio_survive_a_crash_and_go_with_it(tmp_path: Path):
    prompt, name = "A Wolpertinger talks.", "Schnabeltrank"
    async with house(tmp_path) as box:
        session = await box.visit()
        session.configure(Wishes(language="de", prompt=prompt))
        async with asyncio.timeout(5):
            while (await box.spool.manner("visit-1")).prompt != prompt:
                await asyncio.sleep(0.01)
        session.configure(Wishes(vocabulary=(name,)))
        await say(session, 3)
        await until(lambda: box.pieces() == 2)
        crash(box, tmp_path / "after")

    async with house(tmp_path / "after") as box:
        assert (await box.record()).language == "de"
        session = await box.visit(later=False, language="de")
        session.configure(Wishes(vocabulary=(name, "Bezoar")))
        await box.registry.end("visit-1", EndReason.CLIENT)
        assert await box.spool.manner("visit-1") == Manner(prompt, (name, "Bezoar"))
        on_disk = files(tmp_path)
        assert b"visit-1" in on_disk
        assert not any(word in on_disk for word in (b"Wolpertinger", name.encode(), b"Bezoar"))
        await box.heard()

        assert prompt in {request.prompt for request in box.engine.requests}
        with closing(sqlite3.connect(box.database.path)) as file:
            assert file.execute("SELECT status, manner FROM recordings").fetchall() == [("done", None)]


async def test_wishes_that_do_not_open_leave_the_recording_to_a_person(tmp_path: Path):
    async with house(tmp_path) as box:
        for number in (1, 2):
            session = await box.visit(f"visit-{number}")
            session.configure(Wishes(prompt=f"Of {number}."))
            await say(session, 3)
            await box.registry.end(session.id, EndReason.CLIENT)
        with closing(sqlite3.connect(box.database.path)) as file:
            file.execute(
                "UPDATE recordings SET manner = (SELECT manner FROM recordings WHERE session_id = 'visit-2')"
                " WHERE session_id = 'visit-1'"
            )
            file.commit()
        await box.heard()

        assert (await box.record()).transcription is Transcription.FAILED
        assert (await box.record("visit-2")).transcription is Transcription.DONE
        assert box.pieces() == 2


def crash(box: House, into: Path) -> None:
    """What the disk holds at this moment, as the next start would find it."""
    into.mkdir()
    folder = box.database.path.parent
    for path in folder.iterdir():
        if path.is_file():
            (into / path.name).write_bytes(path.read_bytes())
