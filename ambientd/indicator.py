"""A light or a tone in the room: a program of the clinic's own, run with the state whenever that changes.

Rule 1  It is run with one argument out of a fixed list, never through a shell, without the daemon's environment.
Rule 2  One at a time, not more often than every ``APART`` seconds, and the newest state wins.
Rule 3  What hangs is killed, with all it has started; what fails is told once.  Nothing ever waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

APART: Final = 0.25
"""Seconds."""

ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}


class Indicator:
    """Use :func:`open_indicator`."""

    def __init__(self, program: Path, patience: float) -> None:
        self._program = program
        self._patience = patience
        self._wanted = ""
        self._shown = ""
        self._stir = asyncio.Event()
        self._failing = False

    def show(self, state: str) -> None:
        """Has ``state`` shown as soon as may be."""
        if state != self._wanted:
            self._wanted = state
            self._stir.set()

    async def run(self) -> None:
        """Shows what is wanted, for ever."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            await self.settle()
            await asyncio.sleep(APART)

    async def settle(self) -> None:
        """Shows what is wanted now, if it is not shown."""
        if self._wanted == self._shown:
            return
        self._shown = self._wanted
        fault = await self._call(self._shown)
        if fault and not self._failing:
            logger.warning(
                "the program that shows the state failed", extra={"path": self._program, "reason": fault}
            )
        self._failing = bool(fault)

    async def _call(self, state: str) -> str:
        """Runs the program; gives what went wrong, one word, or nothing."""
        nothing = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                state,
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                env=ENVIRONMENT,
                start_new_session=True,  # so that what it starts can be killed with it
            )
        except OSError as error:
            return f"{type(error).__name__}"
        try:
            async with asyncio.timeout(self._patience):
                status = await process.wait()
        except TimeoutError:
            return "timeout"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return f"status_{status}" if status else ""


@asynccontextmanager
async def open_indicator(program: Path, patience: float) -> AsyncIterator[Indicator]:
    """The indicator at work; on leaving, ``off`` is shown.  ``patience``: seconds the program may take."""
    indicator = Indicator(program, patience)
    task = asyncio.create_task(indicator.run(), name="indicator")
    try:
        yield indicator
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        indicator.show("off")
        await indicator.settle()
