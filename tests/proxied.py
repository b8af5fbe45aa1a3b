"""A wire between clients and a service that can be cut, frozen or pulled out."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Proxy:
    """Passes bytes between clients and a port."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._server: asyncio.Server | None = None
        self._port = 0
        self._wires: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._frozen: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Listens, on the same port as before."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Pulls the cable: every wire breaks, and none can be laid."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Breaks every wire, without a goodbye."""
        for pair in self._wires:
            for writer in pair:
                writer.transport.abort()
        self._wires.clear()

    def freeze(self) -> None:
        """Every wire of now swallows what it is given, and seems alive at both ends."""
        for pair in self._wires:
            self._frozen.update(pair)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        self._wires.append((writer, back))
        with suppress(asyncio.CancelledError):  # the loop is going down
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                if sink not in self._frozen:
                    sink.write(data)
                    await sink.drain()
        if sink not in self._frozen:
            sink.close()
