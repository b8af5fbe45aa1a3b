"""A client that loses its connection again and again: every sample arrives once, in order."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Engine, detect, speech, terms_of

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.record import EndReason
from ambientd.core.transcript import Gap, Line
from ambientd.errors import ClientError
from ambientd.session.hold import Hold
from ambientd.session.past import Past
from ambientd.session.session import Session


@dataclass
class Sheet:
    """Keeps what was written."""

    lines: list[Line] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    metrics: Any = None

    async def create(self, *_: Any, **__: Any) -> None: ...

    async def append_line(self, _id: str, line: Line, _metrics: Any) -> None:
        self.lines.append(line)

    async def append_gap(self, _id: str, gap: Gap, _metrics: Any) -> None:
        self.gaps.append(gap)

    async def finalise(self, _id: str, *, metrics: Any, **_: Any) -> None:
        self.metrics = metrics


@dataclass
class Wire:
    """One connection of the client's: what it sends may arrive late, or never."""

    hold: Hold
    sent: int
    """Bytes of the recording put on it, or before it."""
    frames: list[bytes] = field(default_factory=list)


def noise(samples: int) -> bytes:
    """Audio in which every stretch differs from every other."""
    return np.random.default_rng(7).integers(-9000, 9000, samples).astype("<i2").tobytes()


actions = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 5001)),
        st.tuples(st.just("arrive"), st.integers(0, 3)),  # the oldest frame of some connection, dead or alive
        st.tuples(st.just("reconnect"), st.integers(0, 1)),
    ),
    max_size=60,
)


@dataclass
class Client:
    """Sends its recording over one connection after the other, of which it trusts only the newest."""

    session: Session
    pcm: bytes
    wires: list[Wire] = field(default_factory=list)

    def connect(self) -> None:
        hold = self.session.attach()
        self.wires.append(Wire(hold, 2 * self.session.taken))

    def send(self, length: int) -> None:
        """Puts the next bytes on the newest connection; they have not arrived yet."""
        now = self.wires[-1]
        if frame := self.pcm[now.sent : now.sent + length]:
            now.frames.append(frame)
            now.sent += len(frame)

    async def arrive(self, wire: Wire) -> None:
        """Lets the oldest frame on ``wire`` arrive, which may have been given up long ago."""
        if not wire.frames:
            return
        frame = wire.frames.pop(0)
        if wire is self.wires[-1]:
            await self.session.feed(frame, wire.hold)
        else:
            with pytest.raises(ClientError, match="another connection"):
                await self.session.feed(frame, wire.hold)


@settings(max_examples=100, deadline=None)
@given(actions)
async def test_whatever_is_cut_delayed_or_sent_twice_no_sample_is_lost_or_doubled(script):
    heard: list[Samples] = []

    def listen(frame: Samples) -> float:
        heard.append(frame)
        return 0.0

    session = Session("room-1", terms_of(), detect=listen, decoder=Engine(), ledger=Sheet())
    running = asyncio.create_task(session.run())
    client = Client(session, noise(40_000))
    client.connect()
    for action, value in script:
        if action == "send":
            client.send(value)
        elif action == "arrive":
            await client.arrive(client.wires[-1 - value % len(client.wires)])
        else:
            if value:  # the box has noticed
                session.desert(client.wires[-1].hold)
            client.connect()
            session.desert(
                client.wires[0].hold if value else client.wires[-2].hold
            )  # now it notices, too late
        assert not session.deserted
    client.send(len(client.pcm))
    for wire in client.wires:
        while wire.frames:
            await client.arrive(wire)
    session.end(EndReason.CLIENT)
    await running

    whole = len(client.pcm) // 1024 * 1024
    assert to_pcm16(np.concatenate(heard)) == client.pcm[:whole]
    assert session.metrics.received_samples == len(client.pcm) // 2


async def test_what_the_client_could_not_keep_is_a_marked_gap_and_time_goes_on_behind_it():
    sheet = Sheet()
    session = Session("room-1", terms_of(), detect=detect, decoder=Engine(), ledger=sheet)
    running = asyncio.create_task(session.run())
    await session.feed(to_pcm16(speech(1.5)))
    session.lost(7 * RATE)
    await session.feed(to_pcm16(speech(1.5)))
    session.end(EndReason.CLIENT)
    await running

    assert [(line.start, line.end) for line in sheet.lines] == [
        (0, 3 * RATE // 2),
        (17 * RATE // 2, 10 * RATE),
    ]
    assert sheet.gaps == [Gap(3 * RATE // 2, 17 * RATE // 2, "lost")]
    assert session.taken == sheet.metrics.received_samples == 10 * RATE


async def test_a_session_that_a_crash_cut_off_goes_on_behind_its_last_line():
    sheet = Sheet()
    before = Session("room-1", terms_of(sample_rate=48_000), detect=detect, decoder=Engine(), ledger=sheet)
    running = asyncio.create_task(before.run())
    for part in (speech(1.5), np.zeros(RATE, np.float32), speech(0.5)):
        await before.feed(to_pcm16(np.repeat(part, 3)))
    before.end(EndReason.CLIENT)
    await running
    first, metrics = sheet.lines[0], before.metrics
    del sheet.lines[1:]  # the plug was pulled before the second line

    past = Past(before.connected_at, cut_off=True, lines=(first,), metrics=metrics.with_line(first))
    after = Session(
        "room-1", terms_of(sample_rate=48_000), detect=detect, decoder=Engine(), ledger=sheet, past=past
    )
    running = asyncio.create_task(after.run())
    taken = after.taken
    await after.feed(to_pcm16(np.repeat(speech(1.5), 3)))
    after.end(EndReason.CLIENT)
    await running

    assert taken == 3 * first.end
    assert [line.start for line in sheet.lines] == [0, first.end]
    assert sheet.lines[1].index == past.metrics.chunks_processed
    assert after.text.count("It hurts here.") == 2
    assert after.connected_at == before.connected_at
