"""A session that outlives its connection, against the real service behind a wire that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxied import Proxy

from ambientd.client import Disconnected, Refused
from ambientd.client_events import Connected, Gap, Transcript
from ambientd.client_lasting import Kept, Lasting, lasting
from ambientd.core.audio import Samples, to_pcm16
from ambientd.session.registry import Registry


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_what_is_kept_is_the_end_of_what_was_put(lengths: list[int], limit: int):
    kept, whole = Kept(limit), b""
    for number, length in enumerate(lengths):
        block = bytes([number]) * length
        kept.put(block)
        whole += block

    assert kept.end == len(whole)
    assert len(whole) - kept.begin >= min(limit, len(whole))
    place, found = kept.begin, b""
    while block := kept.after(place):
        found += block
        place += len(block)
    assert found == whole[kept.begin :]


@dataclass
class Wired:
    """A box behind a wire, and all audio that its voice detector was given."""

    proxy: Proxy
    registry: Registry
    frames: list[Samples]

    @property
    def heard(self) -> bytes:
        return to_pcm16(np.concatenate(self.frames)) if self.frames else b""


@pytest.fixture
async def wired(open_box) -> AsyncIterator[Callable[..., Awaitable[Wired]]]:
    """Opens a box behind a wire: ``await wired(grace=0)``."""
    proxies = []

    async def open_one(**terms: Any) -> Wired:
        frames: list[Samples] = []

        def listen(frame: Samples) -> float:
            frames.append(frame)
            return 0.0

        box = await open_box(detector=listen, **terms)
        proxy = Proxy(int(box.url.rsplit(":", 1)[1]))
        await proxy.open()
        proxies.append(proxy)
        return Wired(proxy, box.registry, frames)

    yield open_one
    for proxy in proxies:
        proxy.close()


def noise(seconds: float) -> bytes:
    return np.random.default_rng(3).integers(-9000, 9000, round(16_000 * seconds)).astype("<i2").tobytes()


async def collect(session: Lasting) -> list[Any]:
    return [event async for event in session]


async def test_every_sample_arrives_once_however_often_the_wire_breaks(wired):
    pcm = noise(12)
    box = await wired()
    async with lasting(box.proxy.url, session_id="room-1") as session:
        reading = asyncio.create_task(collect(session))
        chance = np.random.default_rng(5)
        for at in range(0, len(pcm), 3001):
            await session.send(pcm[at : at + 3001])
            if chance.random() < 0.08:
                box.proxy.cut()
            await asyncio.sleep(0.005)
        await session.end()
        await asyncio.wait_for(reading, 30)

    assert session.resumed >= 3
    assert session.sent_samples == len(pcm) // 2
    assert box.heard[: len(pcm) // 1024 * 1024] == pcm[: len(pcm) // 1024 * 1024]
    assert len(box.heard) == len(pcm) // 1024 * 1024


async def test_a_wire_that_swallows_everything_is_given_up_and_its_session_taken_over(wired, monkeypatch):
    monkeypatch.setattr("ambientd.client_lasting.SILENCE", 0.2)
    pcm = noise(6)
    box = await wired()
    async with lasting(box.proxy.url, session_id="room-1") as session:
        reading = asyncio.create_task(collect(session))
        await session.send(pcm[:64_000])
        await asyncio.sleep(0.05)
        box.proxy.freeze()
        await session.send(pcm[64_000:])
        await session.end()
        await asyncio.wait_for(reading, 30)

    assert session.resumed == 1
    assert box.heard == pcm[: len(pcm) // 1024 * 1024]


async def test_what_could_not_be_kept_is_a_gap_at_its_place(wired):
    box = await wired()
    async with lasting(box.proxy.url, session_id="room-1", limit=32_000) as session:
        await session.send(noise(1))
        await asyncio.sleep(0.1)
        box.proxy.close()
        session._lose(session._link)
        for _ in range(4):  # nobody waits for a full memory here: it is filled behind the session's back
            session._kept.put(noise(1))
        await box.proxy.open()
        reading = asyncio.create_task(collect(session))
        await session.end()
        events = await asyncio.wait_for(reading, 30)

    (gap,) = [event for event in events if isinstance(event, Gap)]
    assert (gap.start_time, gap.end_time, gap.reason) == (1.0, 4.0, "lost")
    assert isinstance(events[0], Connected)
    assert events[0].resumed
    assert not [event for event in events if isinstance(event, Transcript)]


async def test_a_box_that_stays_away_is_given_up_with_the_reason(wired):
    box = await wired()
    async with lasting(box.proxy.url, patience=0.5) as session:
        box.proxy.close()
        with pytest.raises(Disconnected, match="broke off"):
            await asyncio.wait_for(collect(session), 10)


async def test_a_session_that_was_finished_meanwhile_is_not_begun_anew(wired):
    box = await wired(grace=0.0)
    async with lasting(box.proxy.url, session_id="room-1") as session:
        box.proxy.close()
        while box.registry.find("room-1"):
            await asyncio.sleep(0.01)
        await box.proxy.open()
        with pytest.raises(Refused, match="rules forbid"):
            await asyncio.wait_for(collect(session), 10)
