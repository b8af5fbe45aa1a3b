"""Through real PortAudio from a sound server, in real time: what was played is what is heard, and it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pulse import NAME, Server, missing
from running import DATA

from ambientd.capture.microphone import Choice, Microphone, open_microphone
from ambientd.core.audio import RATE
from ambientd.core.microphone import Gap, Sound, State, Status

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "all there")

CHOICE = Choice(device=NAME, restart_first=0.5, restart_most=1.0)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server(tmp_path)
    one.start()
    for name, value in one.environment.items():
        monkeypatch.setenv(name, value)
    yield one
    one.stop()


async def until(microphone: Microphone, holds: Callable[[State], bool]) -> State:
    async with asyncio.timeout(15):
        while not holds(microphone.state):
            await asyncio.sleep(0.02)
    return microphone.state


def found_in(heard: np.ndarray, played: np.ndarray) -> tuple[int, float]:
    """Where in ``played`` that was which was heard, and how alike the two are, from 0 to 1."""
    size = 1 << (len(heard) + len(played)).bit_length()
    match = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size)), size)
    at = int(match[: len(played) - len(heard)].argmax())
    there = played[at : at + len(heard)]
    return at, float(there @ heard / np.sqrt((there @ there) * (heard @ heard)))


async def test_what_is_played_in_the_room_is_heard_whole_and_in_time(server: Server):
    visit, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    async with open_microphone(CHOICE) as microphone, microphone.listen() as hearing:
        await until(microphone, lambda state: state.status is Status.LIVE)
        server.play(DATA / "visit.flac")
        await until(microphone, lambda state: state.level.rms_dbfs > -50)
        asyncio.get_running_loop().call_later(6, hearing.stop)
        heard = [each async for each in hearing]

    assert not [each for each in heard if isinstance(each, Gap)]
    sound = np.concatenate([each.samples for each in heard if isinstance(each, Sound)])
    early, alike = found_in(sound[-5 * RATE : -3 * RATE], visit[: 15 * RATE])
    late, alike_too = found_in(sound[-2 * RATE :], visit[: 15 * RATE])
    assert min(alike, alike_too) > 0.98
    # Three seconds lie between the two: nothing was lost or doubled.
    assert abs(late - early - 3 * RATE) <= RATE // 100


async def test_a_sound_server_that_goes_and_comes_back_is_taken_up_again_by_itself(server: Server):
    async with open_microphone(CHOICE) as microphone, microphone.listen() as hearing:
        await until(microphone, lambda state: state.status is Status.LIVE)
        server.stop()
        state = await until(microphone, lambda state: state.status is not Status.LIVE)
        state = await until(microphone, lambda state: state.reason is not None)
        assert state.remedy
        server.start()
        state = await until(microphone, lambda state: state.status is Status.LIVE)
        await asyncio.sleep(0.5)
        hearing.stop()
        gaps = [each.samples async for each in hearing if isinstance(each, Gap)]

        assert state.reason is None
        assert sum(gaps) == microphone.state.lost > 0


async def test_a_room_in_which_nothing_is_played_counts_as_switched_off(server: Server):
    choice = Choice(device=NAME, silence=1.0)
    async with open_microphone(choice) as microphone, microphone.listen():
        state = await until(microphone, lambda state: state.level.silent)

    assert state.status is Status.LIVE
