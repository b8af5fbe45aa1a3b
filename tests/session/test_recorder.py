"""Sessions of the room's microphone, with a scripted one, on a real store."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted import Engine, detect, silence, speech, terms_of
from scripted_microphone import ScriptedHearing, ScriptedMicrophone
from test_discard import House, house

from ambientd.capture.button import Press
from ambientd.core.audio import RATE
from ambientd.core.decoding import Rank
from ambientd.core.microphone import Reason, State, Status
from ambientd.core.protocol import Wishes
from ambientd.core.record import EndReason, SessionState
from ambientd.core.room import Recording
from ambientd.errors import ClientError
from ambientd.room import act
from ambientd.session import microphone as recorders
from ambientd.session.microphone import Recorder, Wish, open_recorder
from ambientd.session.session import Session
from ambientd.session.trial import judged
from ambientd.store.lines import Lines
from ambientd.store.recording import Recordings


@dataclass
class Room:
    house: House
    microphone: ScriptedMicrophone
    recorder: Recorder

    async def start(self, **options: Any) -> Session:
        """Starts while somebody speaks already."""
        starting = asyncio.create_task(self.recorder.start(Wish(**options)))
        await asyncio.sleep(0.02)
        self.microphone.say(silence(0.05))
        return await asyncio.wait_for(starting, 5)

    async def taken(self, session: Session, samples: int) -> None:
        async with asyncio.timeout(5):
            while session.taken < samples:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def room(path: Path, engine: Engine | None = None, **options: Any) -> AsyncIterator[Room]:
    microphone = options.pop("microphone", None) or ScriptedMicrophone()
    grace = options.pop("back_within", 60.0)
    by_voice = options.pop("by_voice", False)
    async with (
        house(path, engine) as box,
        open_recorder(
            source=microphone,
            registry=box.registry,
            diary=Recordings(box.database),
            amend=box.sessions.amend,
            judge=partial(judged, decoder=box.engine, detector=lambda: detect),
            detector=lambda: detect,
            terms=lambda: terms_of(**options),
            grace=grace,
            by_voice=by_voice,
        ) as recorder,
    ):
        yield Room(box, microphone, recorder)


def counted(session: Session) -> int:
    return session.metrics.received_samples


async def test_what_the_microphone_hears_becomes_lines_of_a_session_and_the_first_sound_counts(
    tmp_path: Path,
):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(1.5))
        r.microphone.say(silence(1))
        await r.recorder.stop()

        record = await r.house.sessions.get(session.id)
        assert record is not None
        assert (record.client, record.state, record.reason) == (
            "microphone",
            SessionState.ENDED,
            EndReason.CLIENT,
        )
        assert record.metrics.received_samples == round(2.55 * RATE)
        assert len(await Lines(r.house.database).lines(session.id)) == 1
        assert not r.microphone.listening


async def test_what_was_captured_before_the_stop_is_heard_and_nothing_after(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(3))
        stopping = asyncio.create_task(r.recorder.stop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        r.microphone.say(speech(3))
        await stopping

        assert counted(session) == round(3.05 * RATE)


async def test_one_at_a_time_and_the_next_one_after_it(tmp_path: Path):
    async with room(tmp_path) as r:
        first = await r.start()
        with pytest.raises(ClientError, match="already") as refused:
            await r.recorder.start()
        assert refused.value.code == "microphone_in_use"
        await r.recorder.stop()
        second = await r.start()

        assert first.id != second.id
        assert r.recorder.session is second


async def test_of_many_who_start_at_once_one_records(tmp_path: Path):
    async with room(tmp_path) as r:
        starts = [asyncio.create_task(r.recorder.start()) for _ in range(5)]
        await asyncio.sleep(0.05)
        r.microphone.say(silence(0.1))
        outcomes = await asyncio.gather(*starts, return_exceptions=True)

        assert sum(isinstance(each, Session) for each in outcomes) == 1
        assert len(r.house.registry) == 1


async def test_without_sound_there_is_no_session_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorders, "PATIENCE", 0.3)
    async with room(tmp_path) as r:
        r.microphone.fail(Reason.NO_DEVICE, "Plug in a microphone.")
        with pytest.raises(ClientError, match="no microphone is there  Plug in") as refused:
            await r.recorder.start()
        assert refused.value.code == "microphone_unavailable"
        assert len(r.house.registry) == 0
        assert r.house.registry.opened == 0
        assert not r.microphone.listening
        monkeypatch.undo()
        r.microphone.mend()
        await r.start()


async def test_a_microphone_that_is_switched_off_says_so(tmp_path: Path):
    off = ScriptedMicrophone(state=State(Status.UNAVAILABLE, Reason.DISABLED))
    async with room(tmp_path, microphone=off) as r:
        with pytest.raises(ClientError) as refused:
            await r.recorder.start()
        assert refused.value.code == "microphone_disabled"
        assert not r.recorder.busy


async def test_a_pause_takes_what_was_said_before_it_and_nothing_of_what_is_said_in_it(tmp_path: Path):
    engine = Engine()
    async with room(tmp_path, engine) as r:
        session = await r.start()
        r.microphone.say(speech(0.6))
        await r.recorder.pause()
        assert session.state is Recording.PAUSED
        assert counted(session) == round(0.65 * RATE)
        elapsed = session.duration
        r.microphone.say(speech(5))
        r.microphone.lose(RATE)
        await asyncio.sleep(0.05)
        assert session.duration == elapsed
        assert counted(session) == round(0.65 * RATE)
        assert r.microphone.listening  # the device stays open, so that a fault is seen
        await r.recorder.resume()
        await asyncio.sleep(0.02)
        r.microphone.say(speech(0.6))
        await r.recorder.stop()

        assert counted(session) == round(1.25 * RATE)
        live = [request for request in engine.requests if request.rank is Rank.FINAL]
        assert (
            next((request.start, request.end) for request in live)[1] <= round(0.65 * RATE) <= live[1].start
        )
        assert len(live) == 2


async def test_pause_resume_and_stop_at_once_never_drop_what_is_recorded(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start()
        for _ in range(20):
            await asyncio.gather(
                r.recorder.pause(), r.recorder.resume(), r.recorder.pause(), r.recorder.resume()
            )
            assert session.state is Recording.RECORDING
            await asyncio.sleep(0.001)
            before = counted(session)
            r.microphone.say(speech(0.1))
            await r.taken(session, before + RATE // 10)
        outcomes = await asyncio.gather(
            r.recorder.stop(), r.recorder.pause(), r.recorder.stop(), return_exceptions=True
        )
        assert outcomes[0] is session
        assert all(isinstance(each, ClientError) for each in outcomes[1:])


async def test_a_device_that_goes_away_leaves_a_gap_and_recording_goes_on_by_itself(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(1))
        r.microphone.fail(Reason.DEVICE_LOST, status=Status.STALLED)
        for _ in range(4):
            r.microphone.lose(RATE // 2)
        assert r.recorder.fields()["state"] == "stalled"
        assert r.recorder.fields()["session"]["state"] == "recording"
        r.microphone.mend()
        r.microphone.say(speech(1))
        await r.recorder.stop()

        gaps = await Lines(r.house.database).gaps(session.id)
        assert sum(gap.end - gap.start for gap in gaps if gap.reason == "lost") == 2 * RATE
        assert counted(session) == round(4.05 * RATE)


@pytest.mark.parametrize("comes_back", [True, False])
async def test_time_from_a_resume_to_the_first_sound_of_a_microphone_that_was_away_is_a_gap(
    tmp_path: Path, *, comes_back: bool
):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(1))
        await r.recorder.pause()
        before = counted(session)
        r.microphone.fail(Reason.DEVICE_LOST)
        r.microphone.lose(RATE)
        began = time.monotonic()
        await r.recorder.resume()
        await asyncio.sleep(0.3)
        r.microphone.lose(RATE // 4)  # nothing, to one who has heard nothing yet
        await asyncio.sleep(0.3)
        if comes_back:
            r.microphone.mend()
            r.microphone.say(speech(1))
        heard = RATE * comes_back
        await r.recorder.stop()
        passed = time.monotonic() - began

        gaps = await Lines(r.house.database).gaps(session.id)
        lost = sum(gap.end - gap.start for gap in gaps if gap.reason == "lost")
        assert lost == counted(session) - before - heard
        # The last 50 ms may have been under way already.
        least = 0.6 - (0.05 if comes_back else 0)
        assert least * RATE <= lost <= passed * RATE


async def test_what_a_session_that_is_behind_has_no_room_for_is_a_gap_and_every_sample_is_accounted_for(
    tmp_path: Path,
):
    async with room(tmp_path, Engine(delay=0.3), inbox=2 * RATE) as r:
        session = await r.start()
        for _ in range(30):
            r.microphone.say(speech(0.5))
            await asyncio.sleep(0.005)
        await r.recorder.stop()

        gaps = await Lines(r.house.database).gaps(session.id)
        lost = sum(gap.end - gap.start for gap in gaps if gap.reason == "lost")
        assert lost > 2 * RATE
        assert counted(session) == round(15.05 * RATE)
        assert len(gaps) < 20


async def test_a_discarded_recording_leaves_nothing_and_the_microphone_is_free(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start(wishes=Wishes(details={"encounter": "E-1"}))
        r.microphone.say(speech(3))
        await r.taken(session, 3 * RATE)
        assert await r.recorder.discard() == session.id

        assert await r.house.left(session.id) == []
        r.microphone.say(speech(0.1))
        await asyncio.sleep(0.02)
        assert not r.recorder.busy
        assert r.recorder.last is not None
        assert r.recorder.last.reason == "discarded"
        assert await Recordings(r.house.database).last() is None
        await r.start()


async def test_what_was_said_of_the_session_is_kept_with_it(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start(
            wishes=Wishes(
                language="en",
                details={"encounter": "E-1", "consent": {"given_by": "patient", "version": "2"}},
            )
        )
        kept = await r.house.sessions.details(session.id)
        assert kept.encounter == "E-1"
        assert kept.consent is not None
        assert kept.consent.given_by == "patient"


async def test_a_session_that_ends_by_itself_lets_the_microphone_go(tmp_path: Path):
    async with room(tmp_path, silence=2.0) as r:
        session = await r.start()
        r.microphone.say(silence(3))
        await asyncio.wait_for(session.finished.wait(), 5)
        await asyncio.sleep(0.02)

        assert session.reason is EndReason.SILENCE
        assert not r.recorder.busy
        assert not r.microphone.hearings


async def test_those_who_follow_are_told_how_the_microphone_does(tmp_path: Path):
    async with room(tmp_path, silence=60.0) as r:
        session = await r.start()
        listener = session.hub.subscribe(frozenset({"microphone"}))
        message = await asyncio.wait_for(listener.next(), 20)

        assert message is not None
        assert (message["type"], message["state"]) == ("microphone", "live")
        assert message["session"]["session_id"] == session.id
        assert 59 < message["session"]["stops_in_seconds"] <= 60


async def test_those_who_follow_are_not_told_of_the_session_before(tmp_path: Path):
    async with room(tmp_path) as r:
        before = await r.start()
        await r.recorder.stop()
        session = await r.start()
        listener = session.hub.subscribe(frozenset({"microphone"}))
        message = await asyncio.wait_for(listener.next(), 20)

        assert r.recorder.last is not None
        assert message is not None
        assert before.id not in str(message)
        assert "last" not in message


@pytest.mark.parametrize("what", ["pause", "resume", "stop", "discard"])
async def test_an_order_for_one_session_is_never_carried_out_on_the_next(tmp_path: Path, what: str):
    async with room(tmp_path) as r:
        meant = await r.start()
        async with r.recorder._steering:
            asked = asyncio.create_task(getattr(r.recorder, what)(meant.id))
            await asyncio.sleep(0)
            meant.end(EndReason.SILENCE)
            if what != "discard":  # that waits for nobody
                await meant.finished.wait()
                async with asyncio.timeout(5):
                    while r.recorder.busy:
                        await asyncio.sleep(0.01)
                other = await r.start()
        if what == "discard":
            assert await asked == meant.id
            other = await r.start()
            asked = asyncio.create_task(r.recorder.discard(meant.id))
        with pytest.raises(ClientError) as refused:
            await asked
        assert refused.value.code == "not_recording"
        assert r.recorder.session is other
        assert other.state is Recording.RECORDING


async def test_whoever_looks_at_the_light_sees_that_a_test_hears_the_room(tmp_path: Path):
    async with room(tmp_path) as r:
        trial = asyncio.create_task(r.recorder.try_out(0.1))
        await asyncio.sleep(0.02)
        assert r.recorder.condition == "listening"
        r.microphone.say(speech(0.2))
        await trial
        assert r.recorder.condition == "off"


async def test_at_the_stop_of_the_daemon_all_that_was_captured_is_stored(tmp_path: Path):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(3))

    assert session.stored
    assert counted(session) == round(3.05 * RATE)
    async with house(tmp_path) as box:
        record = await box.sessions.get(session.id)
        assert record is not None
        assert record.reason is EndReason.SHUTDOWN
        assert await Recordings(box.database).last() is None


def cut(path: Path) -> Path:
    """The files as a power cut would leave them now."""
    return shutil.copytree(path, path.with_name(f"{path.name}-cut"))


@pytest.mark.parametrize("paused", [False, True], ids=["recording", "paused"])
async def test_a_session_that_a_crash_cut_off_goes_on_as_it_was_and_what_was_missed_is_a_gap(
    tmp_path: Path,
    paused: bool,  # noqa: FBT001 - pytest's way
):
    async with room(tmp_path) as r:
        session = await r.start()
        r.microphone.say(speech(1.5))
        r.microphone.say(silence(1))
        async with asyncio.timeout(5):
            while not session.metrics.chunks_processed:
                await asyncio.sleep(0.01)
        if paused:
            await r.recorder.pause()
        else:
            await r.recorder._bookmark.put(session, paused=False)
        received = session.taken
        mark = await Recordings(r.house.database).last()
        assert mark is not None
        left = cut(tmp_path)
    async with house(left) as box:
        assert await box.sessions.recover() == [session.id]
        await Recordings(box.database).note(replace(mark, monotonic=mark.monotonic - 10))
    async with room(left) as r:
        again = r.recorder.session
        assert again is not None
        assert again.id == session.id
        assert r.recorder.fields()["session"]["reopened"]
        if paused:
            assert again.state is Recording.PAUSED
            assert again.taken == received
            assert again.duration == pytest.approx(received / RATE, abs=0.2)
            r.microphone.say(speech(2))
            assert again.taken == received
            await r.recorder.resume()
        await asyncio.sleep(0.05)
        r.microphone.say(speech(1.5))
        await r.taken(again, again.taken + 1)
        assert again.duration == pytest.approx(again.taken / RATE, abs=1.6)
        await r.recorder.stop()

        lines, gaps = await Lines(r.house.database).so_far(session.id)
        assert [line.index for line in lines] == [0, 1]
        lost = sum(gap.end - gap.start for gap in gaps if gap.reason == "lost") / RATE
        assert (lost < 2) if paused else (10 < lost < 14)
        record = await r.house.sessions.get(session.id)
        assert record is not None
        assert (record.state, record.reason) == (SessionState.ENDED, EndReason.CLIENT)


@pytest.mark.parametrize("age", [-5.0, 61.0])
async def test_a_session_that_was_away_for_too_long_stays_interrupted(tmp_path: Path, age: float):
    async with room(tmp_path) as r:
        session = await r.start()
        mark = await Recordings(r.house.database).last()
        assert mark is not None
        left = cut(tmp_path)
    async with house(left) as box:
        await box.sessions.recover()
        await Recordings(box.database).note(replace(mark, monotonic=mark.monotonic - age))
    async with room(left) as r:
        assert r.recorder.session is None
        record = await r.house.sessions.get(session.id)
        assert record is not None
        assert record.reason is EndReason.CRASH
        assert await Recordings(r.house.database).last() is None
        await r.start()


async def test_a_recording_that_was_stopped_or_discarded_does_not_come_back(tmp_path: Path):
    async with room(tmp_path) as r:
        for end in (r.recorder.stop, r.recorder.discard):
            session = await r.start()
            mark = await Recordings(r.house.database).last()
            assert mark is not None
            await end()
            await asyncio.sleep(0.05)
            await Recordings(r.house.database).note(mark)  # as if the crash had come before it was cleared
            assert await r.recorder.go_on(60) is None
            assert r.house.registry.find(session.id) is None
            assert await Recordings(r.house.database).last() is None


async def recorded(r: Room) -> Session:
    async with asyncio.timeout(5):
        while r.recorder.session is None:
            await asyncio.sleep(0.005)
    return r.recorder.session


async def armed(r: Room) -> None:
    async with asyncio.timeout(5):
        while not (r.recorder.armed and r.microphone.listening):
            await asyncio.sleep(0.005)


async def test_a_recording_begins_by_itself_with_the_first_word_that_was_said(tmp_path: Path):
    async with room(tmp_path, by_voice=True) as r:
        await armed(r)
        assert r.recorder.fields()["armed"]
        assert r.recorder.condition == "armed"
        r.microphone.say(silence(60))
        r.microphone.say(speech(0.5))
        r.microphone.say(silence(6))
        await asyncio.sleep(0.1)
        assert r.recorder.session is None  # one word is not enough
        r.microphone.say(speech(1.2))
        session = await recorded(r)
        r.microphone.say(speech(0.8))
        r.microphone.say(silence(1))
        await r.recorder.stop()

        (line,) = await Lines(r.house.database).lines(session.id)
        assert (line.end - line.start) / RATE == pytest.approx(2, abs=0.5)
        assert 2.9 < counted(session) / RATE < 3.7  # and nothing of the minute before
        assert r.recorder.condition in {"off", "armed"}


async def test_a_defect_does_not_end_the_start_by_voice_and_is_told_until_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Defective(ScriptedMicrophone):
        broken = True

        def listen(self) -> AbstractAsyncContextManager[ScriptedHearing]:
            if self.broken:
                raise RuntimeError("Maria Gonzalez")
            return super().listen()

    monkeypatch.setattr(recorders, "AGAIN", 0.1)
    microphone = Defective()
    async with room(tmp_path, by_voice=True, microphone=microphone) as r:
        async with asyncio.timeout(5):
            while r.recorder.voiceless is None:
                await asyncio.sleep(0.005)
        assert r.recorder.voiceless == "RuntimeError"  # and nothing of what it says
        microphone.broken = False
        await armed(r)
        async with asyncio.timeout(5):
            while r.recorder.voiceless is not None:
                await asyncio.sleep(0.005)
        microphone.say(speech(1.5))
        assert await recorded(r)


async def test_after_a_stop_by_a_person_there_must_be_silence_before_the_next_one_begins(tmp_path: Path):
    async with room(tmp_path, by_voice=True) as r:
        await armed(r)
        r.microphone.say(speech(1.5))
        first = await recorded(r)
        await r.recorder.stop()
        await armed(r)
        r.microphone.say(speech(5))
        await asyncio.sleep(0.1)
        assert r.recorder.session is None
        r.microphone.say(silence(21))
        r.microphone.say(speech(1.5))
        assert (await recorded(r)).id != first.id


async def test_somebody_who_starts_need_not_wait_for_the_voice_and_gets_nothing_from_before(tmp_path: Path):
    async with room(tmp_path, by_voice=True) as r:
        await armed(r)
        r.microphone.say(speech(0.5))
        session = await r.start()
        assert r.recorder.session is session
        assert not r.recorder.armed
        assert counted(session) <= RATE // 10
        r.microphone.say(speech(3))
        await r.recorder.stop()
        assert len(r.house.registry) == 0
        await armed(r)


async def test_a_microphone_that_waits_for_a_voice_ends_with_the_daemon(tmp_path: Path):
    async with asyncio.timeout(20):
        async with room(tmp_path, by_voice=True) as r:
            await armed(r)
    assert not r.microphone.hearings


@pytest.mark.parametrize(
    ("press", "before", "after"),
    [
        (Press.SHORT, None, Recording.RECORDING),
        (Press.SHORT, Recording.RECORDING, None),
        (Press.SHORT, Recording.PAUSED, None),
        (Press.LONG, Recording.RECORDING, Recording.PAUSED),
        (Press.LONG, Recording.PAUSED, Recording.RECORDING),
        (Press.LONG, None, None),
    ],
)
async def test_what_the_button_does(
    tmp_path: Path, press: Press, before: Recording | None, after: Recording | None
):
    async with room(tmp_path) as r:
        session = await r.start() if before else None
        if before is Recording.PAUSED:
            await r.recorder.pause()
        pressed = asyncio.create_task(act(r.recorder, press))
        await asyncio.sleep(0.05)
        r.microphone.say(silence(0.05))
        await pressed

        now = r.recorder.session
        assert (now.state if now else None) is after
        assert r.recorder.condition == (after or "off")
        if session:
            assert await r.house.sessions.get(session.id) is not None  # nothing a button does destroys
