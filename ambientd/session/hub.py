"""Who is told what a session says: a bounded queue for each listener.

One slow listener must not slow the session nor the other listeners, so nothing here ever waits to put.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from ambientd.core.protocol import OPT_IN, Message

DEPTH: Final = 64
"""Messages a listener may be behind: minutes of committed lines, seconds of everything."""


class Listener:
    """One reader's queue of messages."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self.wanted = wanted
        """The types of message it asked for beyond those that everybody gets."""
        self.overrun = False
        """Whether messages had to be dropped: the listener must read the store instead."""
        self._waiting: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed = False

    def put(self, message: Message) -> None:
        """Queues ``message``; a partial, an ack and their like replace one of their type that nothing firm follows."""
        kind = message["type"]
        if self._closed or self.overrun or (kind in OPT_IN and kind not in self.wanted):
            return
        if kind in OPT_IN:
            self._replace(kind)
        if len(self._waiting) >= DEPTH:
            self.overrun = True
            self._waiting.clear()
            self._taken.set()
        else:
            self._waiting.append(message)
        self._changed.set()

    def _replace(self, kind: str) -> None:
        """Takes out the message of that type among the last ones of passing interest."""
        for place in reversed(range(len(self._waiting))):
            waiting = self._waiting[place]["type"]
            if waiting == kind:
                del self._waiting[place]
            if waiting not in OPT_IN or waiting == kind:
                return

    def close(self) -> None:
        """No message will follow those that wait."""
        self._closed = True
        self._changed.set()
        self._taken.set()

    async def room(self) -> None:
        """Returns while at most half of the queue is taken, or the listener is closed or overrun."""
        while len(self._waiting) > DEPTH // 2 and not (self._closed or self.overrun):
            self._taken.clear()
            await self._taken.wait()

    async def next(self) -> Message | None:
        """The next message; ``None`` once closed, or overrun, and nothing waits."""
        while not self._waiting:
            if self._closed or self.overrun:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._taken.set()
        return self._waiting.popleft()


class Hub:
    """The listeners of one session."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._closed = False
        self._but: str | None = None
        """The type of message that is still to come once the hub is closed."""

    def subscribe(self, wanted: frozenset[str] = frozenset()) -> Listener:
        """A new listener, told of everything published from now on; of :data:`OPT_IN` only what is ``wanted``."""
        listener = Listener(wanted)
        if self._closed and self._but not in wanted:
            listener.close()
        else:
            self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """Forgets ``listener``; it may have gone already."""
        self._listeners.discard(listener)

    def wants(self, kind: str) -> bool:
        """Whether any listener asked for messages of this opt-in type."""
        return any(kind in listener.wanted for listener in self._listeners)

    def publish(self, message: Message) -> None:
        """Queues ``message`` for every listener."""
        for listener in self._listeners:
            listener.put(message)

    def close(self, *, but: str | None = None) -> None:
        """Lets every listener read what waits, and then the end.

        ``but``: a type of message that is still to come; who asked for it stays until this is called again.
        """
        self._closed, self._but = True, but
        staying = {listener for listener in self._listeners if but in listener.wanted}
        for listener in self._listeners - staying:
            listener.close()
        self._listeners = staying
