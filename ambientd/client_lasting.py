"""A session that outlives its connection: what was sent is kept for a while, and sent again where it did not arrive.

async with lasting("http://localhost:8000") as session:
    await session.send(pcm)  # as with ambientd.client.connect

A lost connection, a box that restarts, a cable pulled: iterating goes on once the session has been taken up again, and
gives its new greeting as an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Final, Self

from ambientd.client import Connection, DaemonUnreachable, Disconnected, Refused, connect, paced
from ambientd.client_address import DEFAULT_URL
from ambientd.client_events import Connected, Event, Transcript
from ambientd.core.audio import BYTES_PER_SAMPLE, RATE

KEPT: Final = 120 * RATE * BYTES_PER_SAMPLE
"""Bytes of audio that can be sent again: more than the 30 s the daemon may have waiting and the 28 s that one decode of
its can hold, which is what it loses when it is killed."""

PATIENCE: Final = 60.0
"""Seconds for which a lost session is tried for.  The daemon by default waits as long (server.resume_grace)."""

SILENCE: Final = 20.0
"""Seconds without a message after which the daemon is asked whether it is there; after as many more it is not."""

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0
"""Seconds between two tries: doubled from the first to the longest."""

_BROKEN: Final = frozenset({1001, 1005, 1006, 1012, 1014})
"""Close codes that say nothing of the session: it may go on.  Source: RFC 6455 section 7.4.1 and its registry."""

_FORBIDDEN: Final = frozenset({1003, 1008, 1009})
"""Close codes after which another try would be answered in the same way.  Source: docs/protocol.md."""


class Kept:
    """The newest audio of a session, by its place in it."""

    def __init__(self, limit: int = KEPT) -> None:
        self.begin = 0
        """Bytes: place of the oldest that is still here."""
        self.end = 0
        """Bytes: place behind the newest."""
        self._limit = limit
        self._blocks: deque[bytes] = deque()

    def put(self, block: bytes) -> None:
        """Adds the next audio; the oldest goes where it is too much."""
        self._blocks.append(block)
        self.end += len(block)
        while self.end - self.begin - len(self._blocks[0]) >= self._limit:
            self.begin += len(self._blocks.popleft())

    def after(self, place: int) -> bytes:
        """The rest of the block that holds ``place``, which is here."""
        at = self.begin
        for block in self._blocks:
            if place < at + len(block):
                return block[place - at :]
            at += len(block)
        return b""


class Lasting:
    """One open session, over as many connections as it takes.  Use :func:`lasting`.

    Sending and iterating may go on at the same time, each in one task.  Somebody must iterate: that is also what
    connects again.
    """

    def __init__(
        self,
        links: AsyncExitStack,
        first: Connection,
        *,
        url: str,
        partials: bool,
        patience: float,
        limit: int,
    ) -> None:
        self.opened = first.opened
        """The daemon's first greeting."""
        self.resumed = 0
        """How often the session was taken up again."""
        self._token = first.opened.resume_token
        """Of the newest greeting: a daemon that was started anew gives a new one."""
        self._links = links
        self._url = url
        self._partials = partials
        self._patience = patience
        self._limit = limit
        self._kept = Kept(limit)
        self._link: Connection | None = first
        self._sent = 0
        """Bytes: how far the newest connection was given the session."""
        self._turn = asyncio.Lock()
        """Held by whoever writes audio: it must stay in order."""
        self._linked = asyncio.Event()
        self._linked.set()
        self._next_line = 0
        self._ending = False
        self._again: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Event] | None = None

    @property
    def sent_samples(self) -> int:
        """Audio taken from the caller so far."""
        return self._kept.end // BYTES_PER_SAMPLE

    async def send(self, pcm: bytes) -> None:
        """Sends PCM16 mono 16 kHz; waits while the daemon takes no more, or while too much waits for a connection."""
        while self._link is None and self._kept.end - self._sent + len(pcm) > self._limit:
            await self._linked.wait()
        self._kept.put(pcm)
        await self._flush()

    async def play(self, blocks: Iterable[bytes], *, realtime: bool = True) -> None:
        """Sends blocks of PCM: each when a microphone had heard it, or as fast as the daemon takes them."""
        async with aclosing(paced(blocks, realtime=realtime)) as coming:
            async for block in coming:
                await self.send(block)

    async def end(self) -> None:
        """Ends the session once all audio has arrived: the lines still due follow, then its end."""
        self._ending = True
        await self._flush()

    async def ping(self) -> None:
        """Asks for a pong, if there is a connection."""
        if self._link:
            try:
                await self._link.ping()
            except Disconnected:
                self._lose(self._link)

    async def close(self) -> None:
        """Leaves without ending the session; iterating is over."""
        if self._link:
            await self._link.close()

    async def _flush(self) -> None:
        """Writes what the connection has not been given yet; gives up where it breaks."""
        async with self._turn:
            link = self._link
            while link is not None and link is self._link:
                try:
                    if block := self._kept.after(self._sent):
                        await link.send(block)
                        if link is self._link:
                            self._sent += len(block)
                        continue
                    if self._ending:
                        await link.end()
                except Disconnected:
                    self._lose(link)
                return

    def _lose(self, link: Connection | None) -> None:
        """The connection is dead; iterating finds out as well, and connects again."""
        if link is not None and link is self._link:
            self._link = None
            self._linked.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; the greeting of each new connection is one.

        Raises:
            Disconnected: the session could not be taken up again in time.
            Refused: the daemon does not let it be taken up again.
        StopAsyncIteration: it has ended, perhaps unheard: what was said is in the store.
        """
        link = self._link
        if link is None:
            return await self._reconnect(Disconnected(1006, "The connection to the daemon broke off."))
        try:
            event = await self._coming(link)
        except Disconnected as error:
            lost = error
        else:
            if isinstance(event, Transcript):
                self._next_line = event.chunk_index + 1
            return event
        if lost.code not in _BROKEN:
            raise lost
        return await self._reconnect(lost)

    async def _coming(self, link: Connection) -> Event:
        """The next event of a connection, which may be silent for a while, but answers when it is asked.

        Raises:
            Disconnected: it is broken, or does not answer.
        """
        coming = self._next or asyncio.ensure_future(anext(link))
        self._next = coming
        await asyncio.wait({coming}, timeout=SILENCE)
        if not coming.done():
            await self.ping()
            await asyncio.wait({coming}, timeout=SILENCE)
        self._next = None
        if not coming.done():
            coming.cancel()
            raise Disconnected(1006, "The daemon does not answer any more.")
        return await coming

    async def _reconnect(self, lost: Disconnected) -> Connected:
        """Takes the session up again, and begins to send what did not arrive."""
        self._lose(self._link)
        clock = asyncio.get_running_loop().time
        until, wait = clock() + self._patience, _FIRST_WAIT
        await self._links.aclose()
        while True:
            try:
                link = await self._links.enter_async_context(
                    connect(
                        self._url,
                        session_id=self.opened.session_id,
                        partials=self._partials,
                        resume_token=self._token,
                        next_line=self._next_line,
                    )
                )
                break
            except (DaemonUnreachable, Refused) as error:
                if isinstance(error, Refused) and error.code in _FORBIDDEN:
                    if self._ending:
                        raise StopAsyncIteration from error  # it has ended, as it was told to
                    raise
                if clock() + wait > until:
                    raise lost from error
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        if not link.opened.resumed:
            raise lost  # the daemon knows nothing of the session: this would be another one
        await self._go_on(link)
        return link.opened

    async def _go_on(self, link: Connection) -> None:
        there = link.opened.received_samples * BYTES_PER_SAMPLE
        self._sent = max(there, self._kept.begin)
        if self._sent > there:
            await link.lost((self._sent - there) // BYTES_PER_SAMPLE)
        self.resumed += 1
        self._token = link.opened.resume_token
        self._link = link
        self._linked.set()
        # Not awaited: while it is sent again, messages must be read.
        self._again = asyncio.create_task(self._flush())

    async def leave(self) -> None:
        """Lets go of what runs in the background."""
        waiting = [task for task in (self._again, self._next) if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def lasting(
    url: str = DEFAULT_URL,
    *,
    session_id: str | None = None,
    partials: bool = False,
    patience: float = PATIENCE,
    limit: int = KEPT,
) -> AsyncIterator[Lasting]:
    """Opens a session that is taken up again when its connection is lost, for the length of the ``async with``.

    ``patience``: seconds for which that is tried.  ``limit``: bytes of audio kept for it; what the daemon lacks beyond
    them becomes a gap.

    Raises:
        DaemonUnreachable: nothing answers there at all.
        Refused: the daemon will not open the session.
    """
    async with AsyncExitStack() as links:
        first = await links.enter_async_context(connect(url, session_id=session_id, partials=partials))
        session = Lasting(links, first, url=url, partials=partials, patience=patience, limit=limit)
        try:
            yield session
        finally:
            await session.leave()
