"""The capturing process itself, as it is started by the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import refusal
from alsa import NAME, file_microphone, has_portaudio

from ambientd.capture.frames import Frame, Kind
from ambientd.capture.microphone import Choice, open_microphone
from ambientd.capture.process import Child, started
from ambientd.core.audio import RATE
from ambientd.core.microphone import Gap, Reason, Sound, Status

PR_SET_MDWE = 65
"""Linux 6.3: what systemd's MemoryDenyWriteExecute= forbids, for one process.  Source: linux/prctl.h."""


needs_portaudio = pytest.mark.skipif(not has_portaudio(), reason="PortAudio (libportaudio2) is not installed")

ROOM = (np.random.default_rng(11).normal(0, 3_000, RATE * 30)).clip(-32_768, 32_767).astype(np.int16)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configuration = file_microphone(tmp_path, ROOM)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    return configuration


FILE = {"device": NAME, "channel": 1, "rate": RATE}


async def frames(child: Child, count: int) -> list[Frame]:
    found: list[Frame] = []
    async with asyncio.timeout(20):
        while len(found) < count and (frame := await child.read()) is not None:
            found.append(frame)
    return found


def gone(pid: int) -> bool:
    """Whether the process has ended, be it that nobody has waited for it yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@needs_portaudio
async def test_the_samples_of_the_device_come_out_in_order_and_in_real_time(room: Path):
    begin = time.monotonic()
    async with started(FILE) as child:
        opening, opened, *sound = await frames(child, 2 + 60)

    assert opening.kind is Kind.FOUND
    assert NAME in [device["id"] for device in opening.fields["devices"]]
    assert (opened.kind, opened.fields["rate"], opened.fields["channels"]) == (Kind.OPENED, RATE, 1)
    pcm = np.frombuffer(b"".join(frame.body for frame in sound), np.int16)
    assert np.array_equal(pcm, ROOM[: len(pcm)])
    # The first second tells that the plugin has no clock; from then on it is read at its rate.
    assert time.monotonic() - begin > 1.5
    ends = [frame.end for frame in sound]
    assert {after - before for before, after in pairwise(ends)} == {50_000_000}


@needs_portaudio
async def test_the_devices_are_listed_without_opening_one(room: Path):
    async with started({"list": True, "device": "no such microphone"}) as child:
        (found,) = await frames(child, 5)

    assert found.kind is Kind.FOUND
    assert found.fields["chosen"] is None
    assert found.fields["reason"] == "no_device"
    assert NAME in [device["name"] for device in found.fields["devices"]]


@needs_portaudio
async def test_a_box_without_any_sound_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "asound.conf").write_text("pcm.absent { type hw  card 31 }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    async with open_microphone(Choice()) as microphone:
        assert await microphone.look() == ()

        assert microphone.state.reason is Reason.NO_DEVICE
        assert "Plug" in microphone.state.remedy


async def test_without_portaudio_the_daemon_runs_on_and_says_so():
    script = "import ambientd.capture.child as child; child.LIBRARY = 'libnot-there.so'; child.main()"
    start = partial(started, command=(sys.executable, "-c", script))
    async with open_microphone(Choice(), start=start) as microphone:
        await microphone.look()

        assert microphone.state.status is Status.UNAVAILABLE
        assert microphone.state.reason is Reason.NO_PORTAUDIO
        assert "libportaudio2" in microphone.state.remedy


@needs_portaudio
async def test_a_channel_the_device_does_not_have_is_told(room: Path):
    async with started({**FILE, "channel": 999}) as child:
        failed = (await frames(child, 2))[-1]

    assert failed.kind is Kind.FAILED
    assert "no channel 999" in failed.fields["detail"]


async def test_a_process_that_crashes_is_told_by_its_signal(caplog):
    start = partial(started, command=(sys.executable, "-c", "import os; os.abort()"))
    async with open_microphone(Choice(restart_first=0.1), start=start) as microphone:
        await microphone.look()

        assert microphone.state.reason is Reason.FAILED
    assert "SIGABRT" in str(caplog.records[0].error)


@needs_portaudio
async def test_it_dies_with_its_parent_however_that_dies(room: Path):
    parent = parent_of_a_child()
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    async with asyncio.timeout(2):
        while not gone(pid):
            await asyncio.sleep(0.02)


def open_for_writing(pid: int) -> set[str]:
    """The files the process could write to."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            flags = re.search(r"flags:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text())
            if target.startswith("/") and flags and int(flags[1], 8) & (os.O_WRONLY | os.O_RDWR):
                found.add(target)
    return found


def limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def parent_of_a_child() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, json.dumps(FILE)], stdout=subprocess.PIPE, text=True
    )


PARENT = """
import asyncio, json, sys
from ambientd.capture.process import started

async def main():
    async with started(json.loads(sys.argv[1])) as child:
        for _ in range(5):
            await child.read()
        print(child.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_portaudio
async def test_a_signal_meant_for_the_service_does_not_end_the_sound_and_no_core_would_be_left(room: Path):
    async with started(FILE) as child:
        await frames(child, 3)
        os.kill(child.pid, signal.SIGTERM)
        os.kill(child.pid, signal.SIGINT)
        assert len(await frames(child, 30)) == 30
        assert re.search(r"Max core file size +0 +0 ", limits(child.pid))

    assert gone(child.pid)


@needs_portaudio
async def test_it_works_where_memory_may_not_be_written_and_run(room: Path):
    script = (
        "import ctypes, ambientd.capture.child as child\n"
        f"assert ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0) == 0, 'not here'\n"
        "child.main()"
    )
    async with started(FILE, command=(sys.executable, "-c", script)) as child:
        found = await frames(child, 40)
        if not found:
            pytest.skip("the kernel is older than 6.3: no PR_SET_MDWE")

    assert [frame.kind for frame in found[:3]] == [Kind.FOUND, Kind.OPENED, Kind.PCM]
    assert len(found) == 40


@needs_portaudio
@pytest.mark.skipif(not refusal.possible(), reason=refusal.WHY)
async def test_it_works_where_the_sandbox_refuses_any_change_of_limits(room: Path):
    script = f"{refusal.SCRIPT}\nimport ambientd.capture.child as child\nchild.main()"
    async with started(FILE, command=(sys.executable, "-c", script)) as child:
        found = await frames(child, 10)

    assert len(found) == 10


def test_it_loads_little():
    script = "import sys, ambientd.capture.child; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"numpy", "asyncio", "soxr", "pydantic", "sounddevice", "ssl"} & set(loaded)


@needs_portaudio
async def test_nothing_it_heard_is_left_on_the_disk(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever files its libraries open, none of them is one that can be written, but for /dev/null."""
    async with started(FILE) as child:
        await frames(child, 30)
        assert open_for_writing(child.pid) <= {"/dev/null"}


@needs_portaudio
async def test_a_listener_hears_what_the_file_says_until_it_stops(room: Path):
    choice = Choice(device=NAME, channel=1, rate=RATE)
    async with open_microphone(choice) as microphone, microphone.listen() as hearing:
        asyncio.get_running_loop().call_later(2.5, hearing.stop)
        heard = [each async for each in hearing]
        assert microphone.state.device is not None
        assert microphone.state.device.name == NAME

    assert not [each for each in heard if isinstance(each, Gap)]
    pcm = np.concatenate([np.rint(each.samples * 32_768) for each in heard if isinstance(each, Sound)])
    assert len(pcm) > RATE
    assert np.array_equal(pcm, ROOM[: len(pcm)])
