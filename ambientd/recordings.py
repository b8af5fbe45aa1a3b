"""Recordings that are sent as files: each is read by a process of its own (:mod:`ambientd.unpack`).

The body goes straight into that process as it comes, and samples come out as they are asked for: the daemon never holds
the file, and no temporary file ever holds it either.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from ambientd.core.audio import Samples, from_pcm16
from ambientd.errors import AmbientError, ClientError

HEAD_PATIENCE: Final = 60.0
"""Seconds to wait for the first words of a process once it has the whole file."""

LEFT_OVER: Final = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LD_LIBRARY_PATH")
"""What the process sees of our environment: nothing that leads to a key."""


class Recording:
    """One file on its way in and its samples on their way out.  Use :func:`receive`, and :meth:`close` in the end."""

    def __init__(self, process: asyncio.subprocess.Process, most: int) -> None:
        self._process = process
        self._most = most
        self._taken = 0
        self.seconds = 0.0
        """How long the file says it is."""
        self.fault = ""
        """Why not all of it could be read; empty while nothing is known against it."""

    async def write(self, chunk: bytes) -> None:
        """Takes the next bytes of the file.

        Raises:
            ClientError: there are more than are allowed.
        """
        self._taken += len(chunk)
        if self._taken > self._most:
            raise ClientError(
                "file_too_big",
                f"the file holds more than the {self._most} bytes this box takes",
                hint="Send it compressed (FLAC, MP3, Opus), or raise uploads.max_bytes.",
            )
        assert self._process.stdin is not None  # noqa: S101  # opened below
        with suppress(ConnectionError):  # it broke: what it says, or does not say, comes out in finish
            self._process.stdin.write(chunk)
            await self._process.stdin.drain()

    async def finish(self) -> None:
        """The file has come to its end: finds out what it is.

        Raises:
            ClientError: it is no recording that can be read; the reason is the client's to know.
        """
        assert self._process.stdin is not None  # noqa: S101
        with suppress(ConnectionError):
            self._process.stdin.close()
            await self._process.stdin.wait_closed()
        try:
            async with asyncio.timeout(HEAD_PATIENCE):
                said = await self._line()
        except TimeoutError:
            said = {}
        seconds = said.get("seconds")
        if not isinstance(seconds, float):
            reason = str(said.get("fault", "the file cannot be read"))
            raise ClientError("bad_recording", reason, hint=str(said.get("hint", "")))
        self.seconds = seconds

    async def __aiter__(self) -> AsyncIterator[Samples]:
        """The samples, about a second at a time."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101
        try:
            while length := int.from_bytes(await stdout.readexactly(4), "little"):
                yield from_pcm16(await stdout.readexactly(length))
        except asyncio.IncompleteReadError:
            self.fault = "the file broke its reader: only its beginning could be read"
            return
        self.fault = str((await self._line()).get("fault", ""))

    async def close(self) -> None:
        """Ends the process; what it still held is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _line(self) -> dict[str, object]:
        assert self._process.stdout is not None  # noqa: S101
        try:
            said = json.loads(await self._process.stdout.readline())
        except ValueError:
            return {}  # it broke
        return said if isinstance(said, dict) else {}


async def receive(most: int) -> Recording:
    """A recording that is about to be sent, of at most ``most`` bytes.

    Raises:
        AmbientError: the process that is to read it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ambientd.unpack",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in LEFT_OVER if name in os.environ},
        )
    except OSError as error:
        raise AmbientError(
            f"no process could be started to read the file: {error.strerror}", hint="Try again in a minute."
        ) from error
    return Recording(process, most)
