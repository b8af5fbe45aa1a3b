"""What is wrong with a box, found by looking at it: the same look from inside the daemon and from a shell.

    installed  model, libraries, settings       stored   database, key, audit, deliveries, backups
    machine    clock, sound cards, core dumps   outside  daemon, unit, port: only where the daemon cannot tell

Each module gives findings and never raises for what it finds: a check that could not be made is a finding as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ambientd.checkup import installed, machine, stored
from ambientd.config import Settings
from ambientd.core.checks import Finding

KEPT: Final = 600.0
"""Seconds for which the long checks hold: the model's checksum and the audit's chain read whole files."""


def quick(settings: Settings) -> list[Finding]:
    """What takes milliseconds."""
    return [
        *installed.quick(settings),
        *stored.quick(settings),
        *machine.quick(settings),
    ]


def thorough(settings: Settings) -> list[Finding]:
    """What reads whole files: seconds on a slow disk."""
    return [installed.model(settings), stored.chain(settings)]


def from_inside(settings: Settings) -> Callable[[], Awaitable[Sequence[Finding]]]:
    """The look for the daemon's own list: in a thread, the long part once in ``KEPT`` seconds."""
    turn = asyncio.Lock()
    last: tuple[float, list[Finding]] | None = None

    async def box() -> Sequence[Finding]:
        nonlocal last
        async with turn:
            if last is None or time.monotonic() - last[0] > KEPT:
                last = (time.monotonic(), await asyncio.to_thread(thorough, settings))
            return [*last[1], *await asyncio.to_thread(quick, settings)]

    return box
