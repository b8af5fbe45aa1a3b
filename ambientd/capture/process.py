"""The capturing process as its parent holds it: started, read with a time limit, and certainly ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

from ambientd.capture import frames
from ambientd.capture.frames import Frame, Garbled, Kind

LEFT_OVER: Final = (
    *("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "HOME", "XDG_RUNTIME_DIR"),
    *("ALSA_CONFIG_PATH", "ALSA_CONFIG_DIR", "ALSA_PLUGIN_DIR", "ALSA_CARD"),
    *("PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH", "PULSE_SOURCE", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"),
)  # fmt: skip
"""What the process sees of our environment: where libraries and sound server are, nothing that leads to a key."""

COMMAND: Final = (sys.executable, "-m", "ambientd.capture.child")


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; ``None`` when the pipe has come to its end, be it in the middle of one.

    Raises:
        Garbled: this is no frame.
    """
    try:
        kind, broken, length, end = frames.HEADER.unpack(await reader.readexactly(frames.HEADER.size))
        if length > frames.LONGEST or kind not in set(Kind):
            raise Garbled("no frame begins like this")
        return Frame(Kind(kind), await reader.readexactly(length), end, bool(broken))
    except asyncio.IncompleteReadError:
        return None


class Child(Protocol):
    """A running capturing process."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    async def read(self) -> Frame | None:
        """The next frame; ``None`` once it has ended.

        Raises:
            Garbled: it writes nonsense.
        """
        ...

    def kill(self) -> None:
        """Ends it at once; :meth:`read` then gives ``None``."""
        ...

    async def last_words(self) -> str:
        """How it ended, for the log; empty if it ended by itself."""
        ...


class Process:
    """The process itself.  Use :func:`started`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def read(self) -> Frame | None:
        """See :class:`Child`."""
        assert self._process.stdout is not None  # noqa: S101  # opened below
        return await read(self._process.stdout)

    def kill(self) -> None:
        """See :class:`Child`."""
        # asyncio's own kill asks first whether the process has ended, and takes its end away from who waits for it.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def last_words(self) -> str:
        """See :class:`Child`."""
        status = await self._process.wait()
        if status < 0:
            return f"ended by {signal.Signals(-status).name}"
        return f"ended with status {status}" if status else ""


@asynccontextmanager
async def started(asked: Mapping[str, Any], *, command: Sequence[str] = COMMAND) -> AsyncIterator[Child]:
    """A capturing process, told what to do; leaving the block kills it.

    ``command``: a program that takes JSON as its last argument and writes frames.

    Raises:
        OSError: no process can be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        json.dumps({**asked, "parent": os.getpid()}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in LEFT_OVER if name in os.environ},
        start_new_session=True,
    )
    child = Process(process)
    try:
        yield child
    finally:
        child.kill()
        # Uninterruptible in a broken driver it may outlive its killing; the daemon does not wait for that.
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
