"""Recordings played to a server in real time, and what its reader saw when.

Latency of a word is counted from the moment the frame with its end was sent to the message in which it came to stay.
Where the words of a reference lie in the audio is told by another engine (see :mod:`bench.peers`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Final, Protocol

import aiohttp
import numpy as np

from ambientd.core.audio import RATE, Samples, to_pcm16
from bench.score import Score, score
from bench.screen import Screen, matches, tokens

FRAME: Final = RATE // 10
"""Samples a client sends at once."""

OVERLOADED: Final = 1013
"""Close code of a server that has no room for another session.  Source: IANA, WebSocket Close Code Numbers."""

STAGGER: Final = 1.7
"""Seconds between the starts of two sessions: rooms do not begin on one stroke."""

LONGEST_END: Final = 120.0
"""Seconds to wait for the end of a session."""


@dataclass(frozen=True, slots=True)
class Track:
    """Audio, what is said in it, and when."""

    name: str
    audio: Samples
    reference: str
    ends: tuple[tuple[str, float | None], ...]
    """Each token of the reference with the second at which it ends, where that is known."""


def track(
    name: str, audio: Samples, reference: str, timed: Sequence[tuple[str, float]], seconds: float
) -> Track:
    """The first ``seconds`` of a recording, its reference cut at the last word that ends in them.

    timed: words and their ends, in seconds, as another engine heard them.
    """
    expected = [token for word in reference.split() for token in tokens(word)]
    heard = [(token, end) for word, end in timed for token in tokens(word)]
    ends: list[float | None] = [None] * len(expected)
    for index, other in matches(expected, [token for token, _ in heard]):
        ends[index] = heard[other][1]
    inside = [index for index, end in enumerate(ends) if end is not None and end <= seconds]
    count = inside[-1] + 1 if inside else len(expected)
    return Track(
        name,
        audio[: round(seconds * RATE)],
        " ".join(expected[:count]),
        tuple(zip(expected[:count], ends[:count], strict=True)),
    )


class Speaker(Protocol):
    """How one kind of server is spoken to, and what its messages mean."""

    committed: str
    partial: str
    stable: str
    ready: asyncio.Event
    ended: asyncio.Event

    def address(self, url: str) -> str:
        """Where to connect."""
        ...

    async def hello(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """What a client says first."""
        ...

    def receive(self, message: dict[str, Any]) -> None:
        """Takes one message over into the texts."""
        ...

    async def end(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Asks for the end and waits for it."""
        ...


class Ambientd:
    """The protocol of this product."""

    def __init__(self, query: str = "") -> None:
        self.query = query
        self.committed = self.partial = self.stable = ""
        self.ready, self.ended = asyncio.Event(), asyncio.Event()

    def address(self, url: str) -> str:
        return f"{url}/ws/transcribe{self.query}"

    async def hello(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Nothing: the server speaks first."""

    def receive(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connected":
                self.ready.set()
            case "transcript":
                self.committed = f"{self.committed} {message['text']}"
                self.partial = self.stable = ""
            case "partial":
                self.partial, self.stable = message["text"], message["stable_text"]
            case "session_ended":
                self.ended.set()

    async def end(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json({"type": "end_session"})
        async with asyncio.timeout(LONGEST_END):
            await self.ended.wait()


@dataclass(slots=True)
class Played:
    """What one session came to."""

    score: Score
    commit: list[float] = field(default_factory=list)
    """Seconds, for each word of the reference that was heard right."""
    display: list[float] = field(default_factory=list)
    stable: list[float] = field(default_factory=list)
    tail: float = 0.0
    """Seconds from the end of the session to its last word."""
    drift: float = 0.0
    """Seconds by which the last third was later than the first, at the median."""
    seconds: float = 0.0
    """Of audio that was sent."""
    refused: bool = False
    """Whether the server had no room for it."""
    words: int = 0
    shown_changed: int = 0
    stable_changed: int = 0
    failed: str = ""

    @property
    def kept_up(self) -> bool:
        """Whether it ended cleanly, soon, and no later at the end than at the beginning."""
        return not self.failed and not self.refused and self.tail <= 10 and self.drift <= 3


async def play(track: Track, protocol: Speaker, url: str) -> Played:
    """Plays one track in real time."""
    final, shown, stable = Screen(), Screen(), Screen()

    def look() -> None:
        now = time.monotonic()
        final.show(protocol.committed, now)
        shown.show(f"{protocol.committed} {protocol.partial}", now)
        stable.show(f"{protocol.committed} {protocol.stable}", now)

    async def listen(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                protocol.receive(message.json())
                look()
        # The server has closed: whoever waits for its first or last word has waited enough.
        protocol.ready.set()
        protocol.ended.set()

    pcm, sent, failed = to_pcm16(track.audio), [], ""
    ended = finished = 0.0
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(protocol.address(url), max_msg_size=2**24) as socket,
    ):
        await protocol.hello(socket)
        listener = asyncio.create_task(listen(socket))
        try:
            async with asyncio.timeout(60):
                await protocol.ready.wait()
            if socket.close_code == OVERLOADED:
                return Played(score("", ""), refused=True)
            begin = time.monotonic()
            for at in range(0, len(pcm), 2 * FRAME):
                # A frame exists once its last sample has been spoken.
                await asyncio.sleep(max(0.0, begin + (at // 2 + FRAME) / RATE - time.monotonic()))
                await socket.send_bytes(pcm[at : at + 2 * FRAME])
                sent.append(time.monotonic())
            ended = time.monotonic()
            await protocol.end(socket)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            failed = type(error).__name__
        finished = time.monotonic()
        look()
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener

    played = Played(score(track.reference, protocol.committed), failed=failed)
    played.tail = finished - ended if ended else LONGEST_END
    played.seconds = len(sent) * FRAME / RATE
    played.words = len(final.words)
    played.shown_changed, played.stable_changed = shown.taken_back, stable.taken_back
    for screen, delays in ((final, played.commit), (shown, played.display), (stable, played.stable)):
        delays += [delay for _, delay in _delays(track, screen, sent)]
    third = len(track.audio) / RATE / 3
    early = [delay for end, delay in _delays(track, final, sent) if end < third]
    late = [delay for end, delay in _delays(track, final, sent) if end > 2 * third]
    if early and late:
        played.drift = float(np.median(late) - np.median(early))
    return played


def _delays(track: Track, screen: Screen, sent: Sequence[float]) -> Iterator[tuple[float, float]]:
    """For each word of the reference that was heard right: the second at which it ends, and how late it came."""
    for index, other in matches([token for token, _ in track.ends], screen.words):
        end = track.ends[index][1]
        if end is not None and sent:
            yield end, screen.times[other] - sent[min(int(end * RATE) // FRAME, len(sent) - 1)]


async def play_all(
    tracks: Sequence[Track], sessions: int, url: str, speaker: Callable[[], Speaker]
) -> list[Played]:
    """So many sessions at once, each with the next of the tracks."""

    async def one(number: int, track: Track) -> Played:
        await asyncio.sleep(number * STAGGER)
        return await play(track, speaker(), url)

    chosen = islice(cycle(tracks), sessions)
    return await asyncio.gather(*(one(number, track) for number, track in enumerate(chosen)))


async def play_each(tracks: Sequence[Track], url: str, speaker: Callable[[], Speaker]) -> list[Played]:
    """One session at a time, each of the tracks after the other."""
    return [await play(track, speaker(), url) for track in tracks]
