"""A push button or pedal in the room: an input device of the kernel, read as it is.

A short press is told when the key is let go, a long one as soon as it has been held for long enough, so that the light
or the tone answers while the foot is still down.  The device may be pulled out and put back at any time.

Its events are taken for us alone where the device allows it: a pedal is a keyboard to Linux, and would type its letter
into the console's log-in.

Source: Documentation/input/input.rst (struct input_event) and include/uapi/linux/input.h of the kernel.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

LONG: Final = 1.5
"""Seconds from which on a press is a long one."""

AGAIN: Final = 3.0
"""Seconds between two attempts to open a device that is not there."""

EVENT: Final = struct.Struct("@llHHi")
"""Time in seconds and microseconds, type, code, value, as the kernel of this machine lays them out."""

KEY: Final = 1
SYNC: Final = 0
DROPPED: Final = 3
"""Code of a SYNC event: the kernel had no room for some; whether a key was let go is not known."""

UP: Final = 0
DOWN: Final = 1
"""Values of a KEY event; 2 is the keyboard repeating itself."""

GRAB: Final = 0x40044590
"""EVIOCGRAB: _IOW('E', 0x90, int)."""

MOST: Final = 64
"""Events read at once."""


class Press(StrEnum):
    """What somebody did."""

    SHORT = "short"
    LONG = "long"


class Button:
    """One device.  Use :func:`open_button`."""

    def __init__(self, path: Path, key: int, pressed: Callable[[Press], object], *, again: float) -> None:
        self._path = path
        self._key = key
        self._pressed = pressed
        self._again = again
        self._rest = b""
        self._held: asyncio.TimerHandle | None = None
        """Runs while the key is down and the press may still be a short one."""
        self._down: int | None = None
        """The key that is down."""

    async def run(self) -> None:
        """Reads the device for ever, whether it is there or not."""
        told: int | None = None
        while True:
            try:
                file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != told:  # once, however often it is tried again
                    logger.warning("the button cannot be read", extra={"path": self._path, "error": error})
                    told = error.errno
            else:
                told = None
                logger.info("the button is there", extra={"path": self._path})
                await self._follow(file)
            await asyncio.sleep(self._again)

    async def _follow(self, file: int) -> None:
        """Reads until the device goes."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        with suppress(OSError):  # no such call for what is no input device
            fcntl.ioctl(file, GRAB, 1)
        loop.add_reader(file, self._read, file, gone)
        try:
            await gone.wait()
            logger.warning("the button is gone", extra={"path": self._path})
        finally:
            loop.remove_reader(file)
            os.close(file)
            self._release()
            self._rest = b""

    def _read(self, file: int, gone: asyncio.Event) -> None:
        try:
            raw = os.read(file, MOST * EVENT.size)
        except BlockingIOError:
            return
        except OSError:
            raw = b""
        if not raw:
            gone.set()
            return
        raw = self._rest + raw
        whole = len(raw) - len(raw) % EVENT.size
        self._rest = raw[whole:]
        for _, _, kind, code, value in EVENT.iter_unpack(raw[:whole]):
            self._receive(kind, code, value)

    def _receive(self, kind: int, code: int, value: int) -> None:
        if kind == SYNC and code == DROPPED:
            self._release()
        elif kind == KEY and self._key in {0, code}:
            if value == DOWN and self._down is None:
                self._down = code
                self._held = asyncio.get_running_loop().call_later(LONG, self._hold)
            elif value == UP and code == self._down:
                short = self._held is not None
                self._release()
                if short:
                    self._pressed(Press.SHORT)

    def _hold(self) -> None:
        self._held = None
        self._pressed(Press.LONG)

    def _release(self) -> None:
        self._down = None
        if self._held is not None:
            self._held.cancel()
            self._held = None


@asynccontextmanager
async def open_button(
    path: Path, key: int, pressed: Callable[[Press], object], *, again: float = AGAIN
) -> AsyncIterator[None]:
    """Calls ``pressed`` for each press of the ``key`` of the device at ``path``, for as long as the block lasts.

    ``key``: its number; 0 takes any.  ``again``: seconds between two attempts to open what is not there.
    """
    task = asyncio.create_task(Button(path, key, pressed, again=again).run(), name="button")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
