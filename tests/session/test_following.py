"""Readers who come and go as they like, slow ones among them: each has everything once, in order."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core import protocol
from ambientd.core.audio import RATE
from ambientd.core.room import Recording, recording
from ambientd.core.transcript import Gap, Line
from ambientd.session.following import Shown, follow
from ambientd.session.hub import DEPTH, Hub


def line(index: int) -> Line:
    return Line(
        index=index,
        text=f"Line {index}.",
        start=index * RATE,
        end=index * RATE + RATE // 2,
        segments=(),
        confidence=0.9,
        language="en",
        model="scripted",
        processing_ms=1.0,
    )


@dataclass
class Talk:
    """A session that says things: to the record first, then to the hub."""

    hub: Hub = field(default_factory=Hub)
    kept: list[Line] = field(default_factory=list)
    kept_gaps: list[Gap] = field(default_factory=list)
    reading: float = 0.0
    """Seconds the store takes to read."""

    async def so_far(self, _session_id: str) -> tuple[list[Line], list[Gap]]:
        kept = list(self.kept), list(self.kept_gaps)
        await asyncio.sleep(self.reading)
        return kept

    async def say(self, index: int) -> None:
        at = index * RATE
        self.hub.publish(protocol.partial("Line", "", start=at, end=at + 100))
        await asyncio.sleep(0)
        self.kept.append(line(index))
        await asyncio.sleep(0)
        self.hub.publish(protocol.transcript(line(index), session_time=1.0))

    async def lose(self, index: int) -> None:
        gap = Gap(index * RATE + RATE // 2, (index + 1) * RATE, "lost")
        self.kept_gaps.append(gap)
        await asyncio.sleep(0)
        self.hub.publish(protocol.gap(gap))

    def end(self) -> None:
        self.hub.publish(protocol.session_ended("room-1", reason="client", lines=len(self.kept)))
        self.hub.close()


async def read(talk: Talk, *, pause: float = 0.0, wanted: frozenset[str] = frozenset()) -> list[Any]:
    told = []
    async with aclosing(follow(talk.hub, talk, "room-1", wanted=wanted)) as messages:
        async for message in messages:
            told.append(message)
            await asyncio.sleep(pause)
    return told


def firm(messages: list[Any]) -> list[tuple[str, Any]]:
    return [
        (m["type"], m.get("chunk_index", m.get("start_time")))
        for m in messages
        if m["type"] in {"transcript", "gap"}
    ]


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_joins_at_any_moment_has_every_line_and_gap_once_and_in_order(seed: int):
    chance = random.Random(seed)  # noqa: S311 - the same every time
    talk = Talk(reading=chance.choice([0.0, 0.001]))
    readers: list[asyncio.Task[list[Any]]] = []
    expected: list[tuple[str, Any]] = []
    for index in range(200):
        if chance.random() < 0.08:
            slow = chance.choice([0.0, 0.0, 0.0002])
            wanted = chance.choice([frozenset(), frozenset({"partial"})])
            readers.append(asyncio.create_task(read(talk, pause=slow, wanted=wanted)))
        await talk.say(index)
        expected.append(("transcript", index))
        if chance.random() < 0.2:
            await talk.lose(index)
            expected.append(("gap", index + 0.5))
        if chance.random() < 0.2:
            await asyncio.sleep(0.001)
    readers.append(asyncio.create_task(read(talk)))
    await asyncio.sleep(0.001)
    talk.end()

    told = await asyncio.wait_for(asyncio.gather(*readers), 30)

    assert len(told) > 5
    assert all(firm(messages) == expected for messages in told)


async def test_a_reader_that_falls_behind_reads_in_the_store_what_it_missed_and_keeps_nobody_waiting():
    talk = Talk()
    listening = follow(talk.hub, talk, "room-1", wanted=frozenset())
    first = asyncio.ensure_future(anext(listening))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):  # nothing here waits for the reader, who takes nothing
        for index in range(3 * DEPTH):
            await talk.say(index)
    talk.end()

    told = [await first, *[message async for message in listening]]

    assert firm(told) == [("transcript", index) for index in range(3 * DEPTH)]


async def test_the_open_utterance_is_not_shown_again_once_its_line_was_read_from_the_store():
    talk = Talk(reading=0.01)
    reader = asyncio.create_task(read(talk, wanted=frozenset({"partial"})))
    await asyncio.sleep(0)
    await talk.say(0)  # while the store is being read: the partial waits in the queue
    await asyncio.sleep(0.05)
    talk.end()
    told = await reader

    assert "transcript" in [m["type"] for m in told]
    assert all(m["type"] != "partial" for m in told[[m["type"] for m in told].index("transcript") :])


async def test_passing_messages_of_two_kinds_do_not_fill_a_listeners_queue():
    hub = Hub()
    listener = hub.subscribe(frozenset({"partial", "microphone"}))
    for at in range(10 * DEPTH):
        hub.publish(protocol.partial(f"word {at}", "", start=at, end=at + 1))
        hub.publish({"type": "microphone", "state": "live"})
    hub.publish(recording("room-1", state=Recording.PAUSED, elapsed=1.0))
    hub.publish(protocol.partial("the last", "", start=1, end=2))
    hub.close()
    kinds = []
    while (message := await listener.next()) is not None:
        kinds.append(message["type"])

    assert not listener.overrun
    assert kinds == ["partial", "microphone", "recording", "partial"]


@given(st.lists(st.integers(0, 9)))
def test_a_line_is_taken_once_whatever_comes_again(indexes: list[int]):
    shown = Shown()
    taken = [i for i in indexes if shown.takes(protocol.transcript(line(i), session_time=0.0))]
    assert taken == sorted(set(taken))
