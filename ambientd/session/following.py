"""One session as a reader is shown it who may come at any time: what is stored, then what comes, each thing once.

Rule 1  First the reader is put on the hub, then the store is read: whatever is published later waits, and whatever
        was published before is in the store, since it is stored first.
Rule 2  A line is known by its number, a gap by its place: what the store has told is passed over when it comes.
Rule 3  A reader too slow for its queue is not sent away: it reads in the store what it missed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from ambientd.core import protocol
from ambientd.core.audio import seconds
from ambientd.core.protocol import Message
from ambientd.core.transcript import Gap, Line
from ambientd.session.hub import Hub


class Record(Protocol):
    """The part of the store that is read."""

    async def so_far(self, session_id: str) -> tuple[list[Line], list[Gap]]:
        """The live lines and the gaps of one moment, in order."""
        ...


class Shown:
    """What one reader has been shown of a session."""

    def __init__(self, next_line: int = 0) -> None:
        self.next_line = next_line
        """Lines before this index it has."""
        self._gaps: set[tuple[float, float]] = set()
        self._end = 0.0
        """Seconds: where the last line ends."""

    def takes(self, message: Message) -> bool:
        """Whether ``message`` is new to the reader, who is shown it then."""
        match message["type"]:
            case "transcript":
                if message["chunk_index"] < self.next_line:
                    return False
                self.next_line = message["chunk_index"] + 1
                self._end = message["end_time"]
            case "gap":
                place = message["start_time"], message["end_time"]
                if place in self._gaps:
                    return False
                self._gaps.add(place)
            case "partial":
                # One that waited while its line was read from the store: it would be shown for ever.
                return not message["text"] or bool(message["start_time"] >= self._end)
        return True


async def stored(record: Record, session_id: str) -> list[Message]:
    """What is on record of a session, in the order of its time."""
    lines, gaps = await record.so_far(session_id)
    told = [(line.start, protocol.transcript(line, session_time=seconds(line.end))) for line in lines]
    told += [(gap.start, protocol.gap(gap)) for gap in gaps]
    return [message for _, message in sorted(told, key=lambda each: each[0])]


async def follow(
    hub: Hub, record: Record, session_id: str, *, wanted: frozenset[str]
) -> AsyncGenerator[Message]:
    """All there is and will be of a session, until its hub is closed.

    ``wanted``: opt-in types.

    Raises:
        StoreUnavailable: what is stored cannot be read.
    """
    shown = Shown()
    while True:
        listener = hub.subscribe(wanted)
        try:
            for message in await stored(record, session_id):
                if shown.takes(message):
                    yield message
            while (message_or_none := await listener.next()) is not None:
                if shown.takes(message_or_none):
                    yield message_or_none
        finally:
            hub.unsubscribe(listener)
        if not listener.overrun:
            return
