"""The box makes itself known in the network, so that nobody has to type an address: mDNS, ``_ambientd._tcp``.

What it says is its host name, its addresses, the port and the version; no room, no name of a person, nothing else.
Networks come and go under a box: it is looked for again and again, and never waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ambientd import __version__

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

logger = logging.getLogger(__name__)

KIND: Final = "_ambientd._tcp.local."

LOOK: Final = 15.0
"""Seconds between two looks at the machine's addresses."""

GOODBYE: Final = 2.0
"""Seconds to take the announcement back when the daemon stops."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What is announced."""

    host: str
    """The host name, without a domain."""
    addresses: tuple[str, ...]
    port: int


@asynccontextmanager
async def announced(present: Callable[[], Presence | None], *, every: float = LOOK) -> AsyncIterator[None]:
    """Announce the box while the block lasts, whenever there is a network.

    ``present``: what there is to say now; ``None`` while there is nothing, such as a door that is not open yet.
    """
    task = asyncio.create_task(_Announcer(present).run(every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Announcer:
    def __init__(self, present: Callable[[], Presence | None]) -> None:
        self._present = present
        self._said: Presence | None = None
        self._info: AsyncServiceInfo | None = None
        self._network: AsyncZeroconf | None = None
        self._failing = False

    async def run(self, every: float) -> None:
        try:
            while True:
                try:
                    await self._look()
                    self._failing = False
                except (OSError, _trouble()) as error:  # no network, or one that forbids multicast
                    if not self._failing:
                        logger.info("the box cannot be announced now", extra={"error": error})
                    self._failing = True
                    await self._close()
                await asyncio.sleep(every)
        finally:
            await self._close()

    async def _look(self) -> None:
        now = self._present()
        if now is None or not now.addresses:
            await self._close()
            return
        if now == self._said:
            return
        from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415 - 0.1 s that the start need not wait for

        info = _info(now)
        if self._network is None:
            self._network = AsyncZeroconf()
            # Another box of the same name gets a number behind it.
            await (await self._network.async_register_service(info, allow_name_change=True))
            logger.info("announced", extra={"host": now.host, "port": now.port})
        else:
            await self._network.zeroconf.async_update_interfaces()
            await (await self._network.async_update_service(info))
        self._said, self._info = now, info

    async def _close(self) -> None:
        network, self._network, self._said = self._network, None, None
        if network is None:
            return
        try:
            async with asyncio.timeout(GOODBYE):
                await network.async_close()
        except (OSError, TimeoutError) as error:
            logger.debug("the announcement could not be taken back", extra={"error": error})


def _trouble() -> type[Exception]:
    from zeroconf import Error  # noqa: PLC0415 - as above

    return Error


def _info(now: Presence) -> AsyncServiceInfo:
    from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - as above

    return AsyncServiceInfo(
        KIND,
        f"{now.host}.{KIND}",
        port=now.port,
        properties={"version": __version__, "path": "/"},
        server=f"{now.host}.local.",
        parsed_addresses=list(now.addresses),
    )
