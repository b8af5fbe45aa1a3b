"""The daemon as it is wired, with a made-up engine on real lanes, and three ways to make it hang.  For tests only.

Run as a program it is ``ambientd``; how it hangs is asked from outside:

    SIGUSR1          the event loop waits in C and never comes back
    SIGUSR2          the store's writing thread ends
    audio of HANGS   the lane that hears it waits in C, deaf to every abort
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ambientd.core.decoding import Heard, Request

HANGS = 8_001
"""The loudness that hangs a lane; see :func:`light_box.spoken`."""


def wait_in_c() -> None:
    """Without the GIL, and without ever coming back: pause(2) in a loop of the C library's own."""
    while True:
        ctypes.CDLL(None).pause()


class Context:
    """What a lane has in place of whisper.cpp."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def hear(self, request: Request, *, aborted: Callable[[], bool] = lambda: False) -> Heard:
        from light_box import hear  # noqa: PLC0415 - slow to load, and tests need only the constant

        if HANGS in np.rint(np.abs(request.audio) * 32_768).astype(int):
            wait_in_c()
        return hear(request)

    def close(self) -> None:
        pass


def main() -> int:
    from aiosqlite import core  # noqa: PLC0415 - slow to load
    from light_box import Detector  # noqa: PLC0415 - slow to load

    from ambientd import __main__, daemon, warming  # noqa: PLC0415 - slow to load
    from ambientd.store.database import Database  # noqa: PLC0415 - slow to load

    databases: list[Database] = []

    def pulse_of(database: Database) -> object:
        databases.append(database)
        return patient(database)

    def end_writer(*_: object) -> None:
        databases[-1]._writing._tx.put_nowait((None, lambda: core._STOP_RUNNING_SENTINEL))

    patient = partial(daemon.pulse_of, patience=0.5)
    daemon.pulse_of = pulse_of
    daemon.STUCK = 0.5
    warming.Whisper = Context
    daemon.VoiceDetector = Detector
    daemon.ordinary_words = lambda _weights: frozenset()
    daemon.models.resolve = lambda name, _quantisation, *folders: Path(folders[0]) / f"{name}.bin"
    signal.signal(signal.SIGUSR1, lambda *_: wait_in_c())
    signal.signal(signal.SIGUSR2, end_writer)
    return __main__.main()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
