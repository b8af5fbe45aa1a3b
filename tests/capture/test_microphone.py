"""The microphone is supervised: whatever its process does, what is told adds up and it is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ambientd.capture import microphone as supervision
from ambientd.capture.frames import Frame, Garbled, Kind, told
from ambientd.capture.hearing import PATIENCE
from ambientd.capture.microphone import Choice, Microphone, open_microphone
from ambientd.core.audio import RATE
from ambientd.core.microphone import Gap, Reason, Sound, State, Status
from ambientd.errors import ClientError

DEVICE = {"id": "0d8c:0014", "name": "USB Audio", "channels": 2, "rate": 48_000, "default": True}
FOUND = told(Kind.FOUND, {"devices": [DEVICE], "chosen": 0, "reason": None})
NOTHING = told(Kind.FOUND, {"devices": [], "chosen": None, "reason": "no_device"})
OPENED = told(Kind.OPENED, {"name": "USB Audio", "rate": RATE, "channels": 1})
QUICK = Choice(stall=0.3, restart_first=0.1, restart_most=0.4)


def failed(reason: str, detail: str = "") -> Frame:
    return told(Kind.FAILED, {"reason": reason, "detail": detail})


class ScriptedChild:
    """``script`` gives frames; an exception among them is raised, and a number is waited, in seconds."""

    def __init__(self, script: AsyncIterator[Frame]) -> None:
        self._script = script
        self._killed = asyncio.Event()
        self.pid = 1

    async def read(self) -> Frame | None:
        following = asyncio.ensure_future(anext(self._script, None))
        killed = asyncio.ensure_future(self._killed.wait())
        try:
            await asyncio.wait({following, killed}, return_when=asyncio.FIRST_COMPLETED)
            return following.result() if following.done() else None
        finally:
            killed.cancel()
            following.cancel()
            await asyncio.wait({following, killed})

    def kill(self) -> None:
        self._killed.set()

    async def last_words(self) -> str:
        return "ended by SIGKILL" if self._killed.is_set() else ""


Script = Callable[[], AsyncIterator[Frame]]


class Rig:
    """Capturing processes one after the other, each with the next script; the last one is for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.lives = self.lists = self.open = 0
        self.asked: list[Mapping[str, Any]] = []

    @asynccontextmanager
    async def start(self, asked: Mapping[str, Any]) -> AsyncIterator[ScriptedChild]:
        self.asked.append(asked)
        if asked.get("list"):
            self.lists += 1
            script: Script = listing
        else:
            script = self.scripts[min(self.lives, len(self.scripts) - 1)]
            self.lives += 1
        async with aclosing(script()) as frames:
            self.open += 1
            try:
                yield ScriptedChild(frames)
            finally:
                self.open -= 1


async def listing() -> AsyncIterator[Frame]:
    yield FOUND


async def absent() -> AsyncIterator[Frame]:
    yield NOTHING


def sound(seconds: float, value: int = 1_000, then: float | None = None) -> Script:
    """Sound in real time, and then silence on the line for ``then`` seconds, or the end."""

    async def script() -> AsyncIterator[Frame]:
        yield FOUND
        yield OPENED
        begin = time.monotonic_ns()
        for number in range(round(seconds * 20)):
            end = begin + (number + 1) * 50_000_000
            await asyncio.sleep(max(0.0, (end - time.monotonic_ns()) / 1e9))
            pcm = np.full(RATE // 20, value + number % 2, np.int16)
            yield Frame(Kind.PCM, pcm.tobytes(), end)
        if then is not None:
            await asyncio.sleep(then)

    return script


def failing(reason: str) -> Script:
    async def script() -> AsyncIterator[Frame]:
        yield FOUND
        yield failed(reason, "as told")

    return script


async def hear(microphone: Microphone, seconds: float) -> list[Sound | Gap]:
    """What a listener of so many seconds gets."""
    heard: list[Sound | Gap] = []
    async with microphone.listen() as hearing:
        asyncio.get_running_loop().call_later(seconds, hearing.stop)
        async for each in hearing:
            heard.append(each)  # noqa: PERF401  # what came before a failure is shown
    return heard


def lengths(heard: list[Sound | Gap]) -> tuple[int, int]:
    captured = sum(len(each.samples) for each in heard if isinstance(each, Sound))
    return captured, sum(each.samples for each in heard if isinstance(each, Gap))


async def until(microphone: Microphone, holds: Callable[[State], bool], seconds: float = 5) -> State:
    async with asyncio.timeout(seconds):
        while not holds(microphone.state):
            await asyncio.sleep(0.01)
    return microphone.state


async def test_what_is_there_is_known_before_anybody_listens():
    rig = Rig(sound(9))
    async with open_microphone(QUICK, start=rig.start) as microphone:
        await until(microphone, lambda state: state.device is not None)

        assert microphone.state.status is Status.OFF
        assert [device.id for device in microphone.devices] == ["0d8c:0014"]
        assert rig.lives == 0
        assert (await microphone.look()) == microphone.devices
        assert rig.lists == 2


async def test_the_device_is_open_only_while_somebody_listens():
    rig = Rig(sound(60))
    async with open_microphone(QUICK, start=rig.start) as microphone:
        await microphone.look()
        async with microphone.listen():
            await until(microphone, lambda state: state.status is Status.LIVE)
            async with microphone.listen():
                pass
            assert microphone.state.status is Status.LIVE
            assert rig.open == 1
        await until(microphone, lambda state: state.status is Status.OFF)

        assert rig.open == 0
        assert microphone.state.reason is None


async def test_a_listener_gets_what_was_said():
    async with open_microphone(QUICK, start=Rig(sound(60)).start) as microphone:
        heard = await hear(microphone, 1.0)

    captured, missing = lengths(heard)
    assert captured == pytest.approx(RATE, abs=RATE // 5)
    assert missing == 0
    sounds = np.concatenate([each.samples for each in heard if isinstance(each, Sound)])
    assert sounds.dtype == np.float32
    assert set(np.unique(np.rint(sounds * 32_768))) == {1_000.0, 1_001.0}


async def test_a_process_that_ceases_to_give_sound_is_replaced_and_the_time_is_a_gap():
    rig = Rig(sound(0.5, then=60), sound(60))
    async with open_microphone(QUICK, start=rig.start) as microphone:
        begin = time.monotonic()
        async with microphone.listen() as hearing:
            await until(microphone, lambda state: state.status is Status.LIVE)
            state = await until(microphone, lambda state: state.reason is Reason.STALLED)
            assert state.status is Status.STALLED
            assert "pull it out" in state.remedy
            await until(microphone, lambda state: state.status is Status.LIVE)
            await asyncio.sleep(0.5)
            hearing.stop()
            passed = time.monotonic() - begin
            heard = [each async for each in hearing]

        captured, missing = lengths(heard)
        assert missing == pytest.approx(RATE * 0.45, abs=RATE * 0.2)
        assert captured + missing == pytest.approx(passed * RATE, abs=RATE * 0.15)
        assert microphone.state.restarts == 1
        assert microphone.state.lost == missing
        assert microphone.state.captured >= captured


async def test_a_process_that_worked_and_broke_is_replaced_at_once():
    rig = Rig(sound(2.1), sound(60))
    async with open_microphone(
        replace(QUICK, restart_first=30, restart_most=30), start=rig.start
    ) as microphone:
        heard = await hear(microphone, 3.0)

    captured, missing = lengths(heard)
    assert rig.lives == 2
    assert missing < RATE * 0.2
    assert captured + missing == pytest.approx(3 * RATE, abs=RATE * 0.2)


async def test_a_device_that_fails_again_and_again_is_left_alone_longer_each_time():
    rig = Rig(failing("device_busy"))
    async with open_microphone(QUICK, start=rig.start) as microphone:
        await hear(microphone, 1.5)

    # After 0.1, 0.2, 0.4, 0.4 … s.
    assert 4 <= rig.lives <= 6


@pytest.mark.parametrize(
    "reason", [each for each in Reason if each not in (Reason.DISABLED, Reason.STALLED)], ids=str
)
async def test_each_reason_is_told_with_a_remedy_and_goes_away_with_its_cause(reason: Reason, caplog):
    caplog.set_level("INFO", "ambientd")
    rig = Rig(failing(reason), failing(reason), sound(60))
    async with open_microphone(QUICK, start=rig.start) as microphone, microphone.listen():
        state = await until(microphone, lambda state: state.reason is reason)
        assert state.status is Status.UNAVAILABLE
        assert state.remedy.endswith(".")
        state = await until(microphone, lambda state: state.status is Status.LIVE)
        assert state.reason is None
        assert state.remedy == ""

    told_of = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(told_of) == 1, "once, however often it is tried"
    assert told_of[0].reason == reason
    assert "as told" in str(told_of[0].error)


async def test_a_microphone_that_is_not_there_is_told_while_nobody_listens_and_found_when_it_comes(
    monkeypatch,
):
    cards = [frozenset({"card0"})]
    monkeypatch.setattr(supervision.hardware, "signature", lambda: cards[-1])
    monkeypatch.setattr(supervision, "GLANCE", 0.05)
    monkeypatch.setattr(supervision, "SETTLE", 0.01)
    monkeypatch.setitem(globals(), "listing", absent)
    rig = Rig(sound(60))
    async with open_microphone(replace(QUICK, device="Jabra"), start=rig.start) as microphone:
        state = await until(microphone, lambda state: state.reason is Reason.NO_DEVICE)
        assert "Jabra" in state.remedy

        monkeypatch.undo()
        monkeypatch.setattr(supervision, "GLANCE", 0.05)
        monkeypatch.setattr(supervision, "SETTLE", 0.01)
        monkeypatch.setattr(supervision.hardware, "signature", lambda: frozenset({"card0", "card1"}))
        await until(microphone, lambda state: state.reason is None)
        assert microphone.state.status is Status.OFF


async def test_a_look_at_the_devices_that_hangs_is_not_the_last_one(monkeypatch):
    monkeypatch.setattr(supervision, "OPENING", 0.1)
    monkeypatch.setattr(supervision, "GLANCE", 0.05)
    monkeypatch.setattr(supervision, "LOOK_AGAIN", 0.2)
    looks = 0

    async def once_deaf() -> AsyncIterator[Frame]:
        nonlocal looks
        looks += 1
        if looks == 1:
            await asyncio.sleep(60)
        yield FOUND

    monkeypatch.setitem(globals(), "listing", once_deaf)
    async with open_microphone(QUICK, start=Rig(sound(1)).start) as microphone:
        await until(microphone, lambda state: state.reason is Reason.STALLED)
        state = await until(microphone, lambda state: state.reason is None)
        assert state.status is Status.OFF
        assert [device.name for device in microphone.devices] == ["USB Audio"]


async def test_a_card_that_comes_ends_the_wait(monkeypatch):
    monkeypatch.setattr(supervision, "SETTLE", 0.01)
    rig = Rig(failing("device_lost"), sound(60))
    slow = replace(QUICK, restart_first=30, restart_most=30)
    async with open_microphone(slow, start=rig.start) as microphone, microphone.listen():
        await until(microphone, lambda state: state.reason is Reason.DEVICE_LOST)
        waiting, lives = microphone.state, rig.lives
        monkeypatch.setattr(supervision.hardware, "signature", lambda: frozenset({"card7"}))

        live = await until(microphone, lambda state: state.status is Status.LIVE)
        assert (waiting.status, lives) == (Status.UNAVAILABLE, 1)
        assert (live.reason, live.remedy, rig.lives) == (None, "", 2)


async def test_time_without_a_device_is_told_as_it_passes_and_to_the_end():
    rig = Rig(sound(0.5), failing("device_lost"))
    slow = replace(QUICK, restart_first=1.2, restart_most=30)
    async with open_microphone(slow, start=rig.start) as microphone:
        begin = time.monotonic()
        heard = await hear(microphone, 3.0)
        passed = time.monotonic() - begin

    captured, missing = lengths(heard)
    assert captured == RATE // 2
    assert captured + missing == pytest.approx(passed * RATE, abs=RATE * 0.15)


async def test_nothing_is_missing_for_a_listener_who_has_heard_nothing_yet():
    rig = Rig(failing("device_busy"), failing("device_busy"), sound(60))
    async with open_microphone(QUICK, start=rig.start) as microphone:
        heard = await hear(microphone, 1.0)

    assert isinstance(heard[0], Sound)
    assert lengths(heard)[1] == 0


async def test_lost_time_is_counted_once_however_many_listen_and_whoever_leaves_in_it():
    slow = replace(QUICK, restart_first=1.2, restart_most=1.2)
    rig = Rig(sound(0.5), failing("device_lost"), sound(60))
    async with open_microphone(slow, start=rig.start) as microphone, microphone.listen() as staying:
        left = await hear(microphone, 1.0)
        await until(microphone, lambda state: state.captured > RATE * 0.7)
        staying.stop()
        stayed = [each async for each in staying]
        assert lengths(left)[1] > RATE * 0.3
        assert microphone.state.lost == lengths(stayed)[1]


async def test_what_passes_after_the_last_listener_left_in_a_gap_is_counted_nowhere():
    slow = replace(QUICK, restart_first=1.2, restart_most=1.2)
    rig = Rig(sound(0.5), failing("device_lost"), sound(60))
    async with open_microphone(slow, start=rig.start) as microphone:
        left = await hear(microphone, 1.0)
        following = await hear(microphone, 1.5)
        assert lengths(left)[1] > RATE * 0.3
        assert lengths(following)[1] == 0
        assert microphone.state.lost == lengths(left)[1]


async def test_a_listener_that_does_not_listen_has_a_gap_of_its_own_and_holds_up_nobody():
    async def torrent() -> AsyncIterator[Frame]:
        yield FOUND
        yield OPENED
        now = time.monotonic_ns()
        for number in range(20 * 12):
            pcm = np.full(RATE // 20, number, np.int16)
            yield Frame(Kind.PCM, pcm.tobytes(), now + number * 50_000_000)
            await asyncio.sleep(0)
        await asyncio.sleep(60)

    async with (
        open_microphone(QUICK, start=Rig(torrent).start) as microphone,
        microphone.listen() as sleeper,
        microphone.listen() as listener,
    ):
        taken = 0
        async with asyncio.timeout(5):
            async for each in listener:
                assert isinstance(each, Sound)
                taken += len(each.samples)
                if taken == 12 * RATE:
                    break
        sleeper.stop()
        heard = [each async for each in sleeper]
        lost = microphone.state.lost

    captured, missing = lengths(heard)
    assert captured == PATIENCE
    assert captured + missing == 12 * RATE
    assert lost == missing
    assert microphone.state.lost == missing


@pytest.mark.parametrize(
    "frames",
    [
        [FOUND, Frame(Kind.PCM, bytes(1_600), 1)],
        [FOUND, told(Kind.OPENED, {"rate": 16_000})],
        [FOUND, OPENED, Frame(Kind.PCM, bytes(1_601), 1)],
        [told(Kind.FOUND, [])],
        [failed("what?")],
        [Garbled("no frame")],
    ],
    ids=["sound before format", "no channels", "half a sample", "no devices", "unknown reason", "no frame"],
)
async def test_nonsense_from_the_process_is_a_failure_and_not_the_daemons_end(frames):
    async def nonsense() -> AsyncIterator[Frame]:
        for frame in frames:
            if isinstance(frame, Exception):
                raise frame
            yield frame
        await asyncio.sleep(60)

    async with (
        open_microphone(QUICK, start=Rig(nonsense, sound(60)).start) as microphone,
        microphone.listen(),
    ):
        state = await until(microphone, lambda state: state.reason is Reason.FAILED)
        assert state.remedy
        await until(microphone, lambda state: state.status is Status.LIVE)


async def test_no_process_can_be_started(caplog):
    @asynccontextmanager
    async def start(asked: Mapping[str, Any]) -> AsyncIterator[ScriptedChild]:
        raise OSError(11, "Resource temporarily unavailable")
        yield

    async with open_microphone(QUICK, start=start) as microphone:
        state = await until(microphone, lambda state: state.reason is Reason.FAILED)
        assert state.status is Status.UNAVAILABLE
        assert microphone.alive
    assert "Resource temporarily unavailable" in str(caplog.records[0].error)


async def test_switched_off_in_the_settings_nothing_is_ever_started():
    rig = Rig(sound(60))
    async with open_microphone(Choice(enabled=False), start=rig.start) as microphone:
        with pytest.raises(ClientError) as refused:
            async with microphone.listen():
                pass
        assert await microphone.look() == ()

    assert refused.value.code == "microphone_disabled"
    assert microphone.state.status is Status.UNAVAILABLE
    assert microphone.state.reason is Reason.DISABLED
    assert microphone.alive
    assert rig.asked == []


async def test_level_silence_and_clipping_are_told_while_it_is_live():
    async with open_microphone(
        replace(QUICK, silence=0.5), start=Rig(sound(60, value=-32_768)).start
    ) as microphone:
        async with microphone.listen():
            state = await until(microphone, lambda state: state.level.clipping and state.level.peak_dbfs > -1)
            assert state.level.rms_dbfs > -7
        await until(microphone, lambda state: state.status is Status.OFF)
        assert not microphone.state.level.clipping

    async def dead() -> AsyncIterator[Frame]:
        yield FOUND
        yield OPENED
        for _ in range(100):
            await asyncio.sleep(0.05)
            yield Frame(Kind.PCM, bytes(1_600), time.monotonic_ns())

    deaf = open_microphone(replace(QUICK, silence=0.5), start=Rig(dead).start)
    async with deaf as microphone, microphone.listen():
        assert (await until(microphone, lambda state: state.level.silent)).status is Status.LIVE


async def test_the_supervision_that_hangs_counts_as_dead(monkeypatch):
    async with open_microphone(QUICK, start=Rig(sound(60)).start) as microphone:
        await until(microphone, lambda state: state.device is not None)
        assert microphone.alive
        later = time.monotonic() + supervision.DEAD + 1
        monkeypatch.setattr(supervision.time, "monotonic", lambda: later)
        assert not microphone.alive


async def test_the_settings_reach_the_process():
    rig = Rig(sound(60))
    chosen = replace(QUICK, device="0d8c:0014", channel=2, rate=48_000)
    async with open_microphone(chosen, start=rig.start) as microphone, microphone.listen():
        await until(microphone, lambda _: rig.lives == 1)

    assert rig.asked[-1] == {"device": "0d8c:0014", "channel": 2, "rate": 48_000}


async def test_who_listens_right_after_another_has_ceased_hears_at_once_and_nothing_is_called_a_fault():
    rig = Rig(sound(30))
    slow = replace(QUICK, restart_first=5.0, restart_most=5.0)
    async with asyncio.timeout(4), open_microphone(slow, start=rig.start) as microphone:
        for _ in range(3):
            async with microphone.listen() as hearing:
                assert isinstance(await anext(aiter(hearing)), Sound)
            assert microphone.state.reason is None
        assert microphone.state.restarts == 0
    assert rig.lives == 3


async def test_a_process_that_starts_when_nobody_listens_any_more_is_ended_at_once():
    rig = Rig(sound(30))

    @asynccontextmanager
    async def slowly(asked: Mapping[str, Any]) -> AsyncIterator[ScriptedChild]:
        if not asked.get("list"):
            await asyncio.sleep(0.2)
        async with rig.start(asked) as child:
            yield child

    async with open_microphone(QUICK, start=slowly) as microphone:
        async with microphone.listen():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

        assert rig.lives == 1
        assert rig.open == 0
        assert microphone.state.status is Status.OFF
