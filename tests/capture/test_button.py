"""A button read as the kernel gives it: from a pipe that holds what an input device would give."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ambientd.capture import button
from ambientd.capture.button import DOWN, DROPPED, EVENT, KEY, SYNC, UP, Press, open_button

PEDAL = 0x30
OTHER = 0x1E


def event(kind: int, code: int, value: int) -> bytes:
    return EVENT.pack(1_700_000_000, 0, kind, code, value)


def key(code: int, value: int) -> bytes:
    return event(KEY, code, value) + event(SYNC, 0, 0)


class Device:
    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.presses: asyncio.Queue[Press] = asyncio.Queue()
        self.file = os.open(path, os.O_RDWR)

    def give(self, raw: bytes) -> None:
        os.write(self.file, raw)

    async def press(self, within: float = 5) -> Press:
        return await asyncio.wait_for(self.presses.get(), within)


@asynccontextmanager
async def device(path: Path, code: int = 0) -> AsyncIterator[Device]:
    pipe = Device(path / "event0")
    async with open_button(pipe.path, code, pipe.presses.put_nowait, again=0.05):
        yield pipe
    os.close(pipe.file)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(button, "LONG", 0.2)


async def test_a_short_press_is_told_when_the_key_is_let_go(tmp_path: Path):
    async with device(tmp_path) as pedal:
        pedal.give(key(PEDAL, DOWN))
        await asyncio.sleep(0.05)
        assert pedal.presses.empty()
        pedal.give(key(PEDAL, UP))
        assert await pedal.press() is Press.SHORT


async def test_a_long_press_is_told_while_the_key_is_held_and_only_once(tmp_path: Path):
    async with device(tmp_path) as pedal:
        pedal.give(key(PEDAL, DOWN))
        assert await pedal.press(1) is Press.LONG
        pedal.give(key(PEDAL, 2) * 30 + key(PEDAL, UP))  # the keyboard repeats itself
        pedal.give(key(PEDAL, DOWN) + key(PEDAL, UP))
        assert await pedal.press() is Press.SHORT
        assert pedal.presses.empty()


async def test_only_the_key_that_is_set_counts(tmp_path: Path):
    async with device(tmp_path, PEDAL) as pedal:
        pedal.give(key(OTHER, DOWN) + key(OTHER, UP))
        await asyncio.sleep(0.05)
        assert pedal.presses.empty()
        pedal.give(key(PEDAL, DOWN) + key(OTHER, DOWN) + key(OTHER, UP) + key(PEDAL, UP))
        assert await pedal.press() is Press.SHORT


async def test_events_cut_anywhere_are_put_together(tmp_path: Path):
    async with device(tmp_path) as pedal:
        for byte in key(PEDAL, DOWN) + key(PEDAL, UP):
            pedal.give(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await pedal.press() is Press.SHORT


async def test_where_the_kernel_lost_events_no_press_is_made_up(tmp_path: Path):
    async with device(tmp_path) as pedal:
        pedal.give(key(PEDAL, DOWN) + event(SYNC, DROPPED, 0) + key(PEDAL, UP))
        await asyncio.sleep(0.3)
        assert pedal.presses.empty()


async def test_a_device_that_was_pulled_out_is_read_again_when_it_is_back(tmp_path: Path):
    path = tmp_path / "event0"
    presses: asyncio.Queue[Press] = asyncio.Queue()
    async with open_button(path, 0, presses.put_nowait, again=0.02):
        await asyncio.sleep(0.05)  # it is not there yet
        for _ in range(2):
            os.mkfifo(path)
            file = await asyncio.to_thread(os.open, path, os.O_WRONLY)  # returns once it is read
            os.write(file, key(PEDAL, DOWN) + key(PEDAL, UP))
            assert await asyncio.wait_for(presses.get(), 5) is Press.SHORT
            os.write(file, key(PEDAL, DOWN))  # pulled out while it is held
            path.unlink()
            os.close(file)
            await asyncio.sleep(0.3)
            assert presses.empty()
