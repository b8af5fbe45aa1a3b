"""A session paused: its time stands still, and nothing of the pause is in it."""

from __future__ import annotations

import asyncio
import time

import pytest
from scripted import Engine, silence, speech
from test_session import Ledger, kinds, running

from ambientd.core.audio import RATE, to_pcm16
from ambientd.core.decoding import Request
from ambientd.core.record import EndReason
from ambientd.core.room import Recording
from ambientd.errors import ClientError


async def test_what_is_being_said_at_the_pause_is_committed_at_once():
    async with running() as box:
        await box.say(speech(0.6))
        box.session.pause()
        messages = [await asyncio.wait_for(box.listener.next(), 5) for _ in range(2)]

        assert box.session.state is Recording.PAUSED
    assert kinds(messages) == ["recording", "transcript"]
    assert messages[0]["state"] == "paused"


async def test_audio_sent_during_the_pause_is_refused_and_counted_nowhere():
    ledger = Ledger()
    async with running(ledger=ledger) as box:
        await box.say(speech(0.6))
        box.session.pause()
        with pytest.raises(ClientError, match="paused"):
            await box.session.feed(to_pcm16(speech(2)))
        assert box.session.taken == round(0.6 * RATE)
        box.session.go_on()
        await box.say(speech(0.6))
        box.session.end(EndReason.CLIENT)
        await box.rest()

    assert ledger.metrics.received_samples == round(1.2 * RATE)


async def test_nothing_is_heard_across_a_pause():
    requests: list[Request] = []
    engine = Engine()
    engine.requests = requests
    async with running(engine) as box:
        await box.say(speech(0.6))
        box.session.pause()
        box.session.go_on()
        await box.say(speech(0.6), silence(1))
        box.session.end(EndReason.CLIENT)
        await box.rest()

    border = round(0.6 * RATE)
    assert len(requests) == 2
    assert all(r.end <= border or r.start >= border for r in requests)


async def test_elapsed_time_stands_still_and_the_idle_limit_does_not_run():
    async with running(idle=0.15, grace=0) as box:
        await box.say(speech(0.2))
        box.session.pause()
        before = box.session.duration
        await asyncio.sleep(0.4)

        assert box.session.duration == before
        assert not box.session.ending
        box.session.go_on()
        began = time.monotonic()
        while not box.session.ending:
            await asyncio.sleep(0.01)
        assert time.monotonic() - began >= 0.1
        assert box.session.duration < before + 0.4


async def test_a_pause_without_end_ends_the_session():
    async with running(pause=0.1) as box:
        await box.say(speech(0.6))
        box.session.pause()
        messages = await box.rest()

    assert kinds(messages) == ["recording", "transcript", "error", "session_ended"]
    assert "paused for 0.1 s" in messages[2]["message"]
    assert messages[-1]["reason"] == "idle"


async def test_a_second_pause_and_a_second_resume_change_nothing():
    async with running() as box:
        box.session.pause()
        box.session.pause()
        box.session.go_on()
        box.session.go_on()
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert [m["state"] for m in messages if m["type"] == "recording"] == ["paused", "recording"]


async def test_an_ending_session_cannot_be_paused():
    async with running() as box:
        box.session.end(EndReason.CLIENT)
        with pytest.raises(ClientError, match="ending"):
            box.session.pause()
        with pytest.raises(ClientError, match="ending"):
            box.session.go_on()


async def test_silence_of_the_set_length_ends_the_session_and_speech_before_it_does_not():
    async with running(silence=2.0) as box:
        await box.say(silence(1.5), speech(1.5), silence(1.5), speech(0.6))
        await asyncio.sleep(0.1)
        assert not box.session.ending
        await box.say(silence(3))
        messages = await box.rest()

    assert messages[-1]["reason"] == "silence"
    assert kinds(messages).count("transcript") == 2


async def test_audio_of_a_microphone_that_finds_no_room_is_left_to_be_marked_as_lost():
    ledger = Ledger()
    async with running(Engine(delay=0.2), ledger, inbox=RATE) as box:
        missed = 0
        for _ in range(40):
            block = speech(0.1)
            if not box.session.hear(block):
                missed += len(block)
        box.session.lost(missed)
        box.session.end(EndReason.CLIENT)
        await box.rest()

    assert missed
    assert sum(gap.end - gap.start for gap in ledger.gaps if gap.reason == "lost") == missed
    assert ledger.metrics.received_samples == 4 * RATE
