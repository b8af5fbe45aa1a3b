"""One conversation, with a scripted engine and a ledger that remembers the order of things."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import Engine, detect, heard, silence, speech, terms_of

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.decoding import AUTO, Heard, Rank, Request
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionState
from ambientd.core.transcript import Gap, Line
from ambientd.errors import ClientError, DecodeFailed, StoreUnavailable
from ambientd.session.capacity import Capacity
from ambientd.session.hub import Listener
from ambientd.session.session import Session

CANARY = "xylophonequartz"


@dataclass
class Ledger:
    """Remembers what was written, and what the listener had been shown at that moment."""

    lines: list[Line] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    metrics: SessionMetrics = field(default_factory=SessionMetrics)
    fails: bool = False
    before_line: Callable[[], None] = lambda: None

    async def create(self, *_: Any, **__: Any) -> None: ...

    async def append_line(self, session_id: str, line: Line, metrics: SessionMetrics) -> None:
        self.before_line()
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailable("the disk is full", hint="Make room.")
        self.lines.append(line)
        self.metrics = metrics

    async def append_gap(self, session_id: str, gap: Gap, metrics: SessionMetrics) -> None:
        self.gaps.append(gap)
        self.metrics = metrics

    async def finalise(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
        **_: Any,
    ) -> None:
        self.end = {"state": state, "reason": reason}
        self.metrics = metrics


@dataclass
class Running:
    session: Session
    listener: Listener
    task: asyncio.Task[None]

    async def rest(self) -> list[Any]:
        """All messages until the session's end."""
        messages = []
        while (message := await asyncio.wait_for(self.listener.next(), 5)) is not None:
            messages.append(message)
        await self.task
        return messages

    async def say(self, *audio: Samples) -> None:
        for part in audio:
            await self.session.feed(to_pcm16(part))


@asynccontextmanager
async def running(
    engine: Engine | None = None, ledger: Ledger | None = None, *, partials: bool = False, **terms: Any
) -> AsyncIterator[Running]:
    session = Session(
        "visit-1",
        terms_of(**terms),
        detect=detect,
        decoder=engine or Engine(),
        ledger=ledger or Ledger(),
    )
    listener = session.hub.subscribe(frozenset({"partial"}) if partials else frozenset())
    task = asyncio.create_task(session.run())
    yield Running(session, listener, task)
    if not task.done():
        session.end(EndReason.CLIENT)
        await asyncio.wait_for(task, 5)


def kinds(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages]


async def test_lines_come_in_order_and_then_the_end():
    async with running() as box:
        await box.say(silence(1), speech(1.5), silence(1), speech(1.5), silence(1))
        box.session.end(EndReason.CLIENT)

        messages = await box.rest()

    assert kinds(messages) == ["transcript", "transcript", "session_ended"]
    assert [m["chunk_index"] for m in messages[:2]] == [0, 1]
    assert messages[0]["end_time"] <= messages[1]["start_time"]
    assert messages[0]["segments"][0]["words"][0]["word"] == "It"


async def test_a_line_is_stored_before_it_is_shown():
    ledger = Ledger()
    async with running(ledger=ledger) as box:
        shown_early = []
        ledger.before_line = lambda: shown_early.append(len(box.listener._waiting))
        await box.say(speech(1.5), silence(1))
        box.session.end(EndReason.CLIENT)

        messages = await box.rest()

    assert shown_early == [0]
    assert [line.text for line in ledger.lines] == [messages[0]["text"]]


async def test_what_is_being_said_at_the_end_is_still_decoded():
    ledger = Ledger()
    async with running(ledger=ledger) as box:
        await box.say(silence(1), speech(0.7))
        box.session.end(EndReason.DISCONNECT)
        await box.rest()

    assert len(ledger.lines) == 1
    assert ledger.lines[0].end == round(1.7 * RATE)
    assert ledger.end == {"state": SessionState.ENDED, "reason": EndReason.DISCONNECT}


async def test_every_sample_is_counted_whatever_the_frames():
    ledger = Ledger()
    pcm = to_pcm16(np.concatenate((silence(0.3), speech(1.23), silence(1))))
    async with running(ledger=ledger) as box:
        for at in range(0, len(pcm), 777):  # odd, so that samples are cut in two
            await box.session.feed(pcm[at : at + 777])
        box.session.end(EndReason.CLIENT)
        await box.rest()

    assert ledger.metrics.received_samples == len(pcm) // 2


async def test_a_failed_decode_is_a_gap_and_the_session_goes_on():
    def script(request: Request) -> Heard:
        if request.start < RATE:
            raise DecodeFailed("a decode took longer than 10 s")
        return heard(request)

    ledger = Ledger()
    async with running(Engine(script), ledger) as box:
        await box.say(speech(1.5), silence(1), speech(1.5), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert kinds(messages) == ["gap", "transcript", "session_ended"]
    assert [gap.reason for gap in ledger.gaps] == ["decode_failed"]
    assert ledger.metrics.gap_samples == ledger.gaps[0].end - ledger.gaps[0].start
    assert [line.index for line in ledger.lines] == [0]


async def test_a_doubtful_decode_is_repeated_with_some_chance_and_without_the_prompt():
    def script(request: Request) -> Heard:
        return heard(request) if request.temperature else heard(request, "and so on and " * 9)

    engine = Engine(script)
    async with running(engine, prompt="A doctor talks.") as box:
        await box.say(speech(1.5), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert messages[0]["text"] == "It hurts here."
    assert [(r.temperature, r.prompt) for r in engine.requests] == [(0.0, "A doctor talks."), (0.4, "")]


async def test_what_still_loops_is_cut_off_and_marked():
    ledger = Ledger()
    async with running(Engine(lambda r: heard(r, "it hurts " + "when I walk up " * 9)), ledger) as box:
        await box.say(speech(3.5), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert kinds(messages) == ["transcript", "gap", "session_ended"]
    assert messages[0]["text"] == "it hurts when I walk up"
    assert messages[1]["reason"] == "loop"


async def test_what_was_said_twice_and_heard_twice_is_believed():
    twice = "any fever or chills or night sweats recently " * 2
    ledger = Ledger()
    async with running(Engine(lambda r: heard(r, twice.strip())), ledger) as box:
        await box.say(speech(3.5), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert messages[0]["text"] == twice.strip()
    assert ledger.gaps == []


async def test_speech_that_gives_no_word_is_asked_again_and_then_marked():
    ledger = Ledger()
    engine = Engine(lambda r: heard(r, "") if r.end < 4 * RATE or r.temperature == 0 else heard(r))
    async with running(engine, ledger) as box:
        await box.say(speech(3), silence(1), speech(3), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    assert kinds(messages) == ["gap", "transcript", "session_ended"]
    assert messages[0]["reason"] == "inaudible"
    assert len(engine.requests) == 4


class TestUnheard:
    """Whisper stops early in one piece of twelve; the rest of the piece must not be lost."""

    @staticmethod
    def stops_early(request: Request) -> Heard:
        """Reaches 1.5 s of whatever it is given, then the rest at the second time."""
        reach = min(request.end, request.start + round(1.5 * RATE))
        found = heard(request, f"From {request.start // 1600} to {reach // 1600}.")
        (segment,) = found.segments
        return replace(found, segments=(replace(segment, end=reach),))

    def stops_early_once(self) -> Engine:
        answers = iter([self.stops_early])

        def script(request: Request) -> Heard:
            return next(answers, heard)(request)

        return Engine(script)

    async def test_speech_behind_the_last_time_is_heard_with_what_follows(self):
        ledger, engine = Ledger(), self.stops_early_once()
        async with running(engine, ledger) as box:
            await box.say(speech(3), silence(1), speech(1.5), silence(1))
            box.session.end(EndReason.CLIENT)
            await box.rest()

        second = engine.requests[1]
        assert RATE * 1.2 <= second.start <= RATE * 1.5
        assert second.end > 5 * RATE
        assert [line.index for line in ledger.lines] == [0, 1]
        assert ledger.lines[0].end <= ledger.lines[1].start

    async def test_it_is_heard_by_itself_when_nothing_follows(self):
        ledger, engine = Ledger(), self.stops_early_once()
        async with running(engine, ledger) as box:
            await box.say(speech(3), silence(5))
            while len(ledger.lines) < 2:
                await asyncio.sleep(0.01)

        assert engine.requests[1].end == ledger.lines[1].end

    async def test_a_decoder_that_always_stops_early_costs_no_more_and_its_rest_is_marked(self):
        ledger, engine = Ledger(), Engine(self.stops_early)
        async with running(engine, ledger) as box:
            await box.say(*[speech(3.9), silence(1)] * 4)
            box.session.end(EndReason.CLIENT)
            await box.rest()

        assert all(a.end <= b.start for a, b in pairwise(ledger.lines))
        assert {gap.reason for gap in ledger.gaps} == {"inaudible"}
        decoded = sum(len(request.audio) for request in engine.requests)
        assert decoded < 2.5 * ledger.metrics.received_samples
        assert ledger.metrics.decoded_samples <= ledger.metrics.received_samples


async def test_silence_and_noise_markers_are_no_line():
    async with running(Engine(lambda r: heard(r, "[BLANK_AUDIO]"))) as box:
        await box.say(speech(1.5), silence(1))
        box.session.end(EndReason.CLIENT)

        assert kinds(await box.rest()) == ["session_ended"]


async def test_a_detected_language_is_kept_for_the_session():
    engine = Engine(lambda r: heard(r, language="es"))
    async with running(engine, language=AUTO) as box:
        await box.say(speech(1.2), silence(1), speech(3.5), silence(1), speech(1.2), silence(1))
        box.session.end(EndReason.CLIENT)
        messages = await box.rest()

    # The first piece is too short to be sure of.
    assert [request.language for request in engine.requests] == [AUTO, AUTO, "es"]
    assert messages[0]["language"] == "es"


async def test_an_idle_session_ends_and_says_why():
    async with running(idle=0.05) as box:
        messages = await box.rest()

    assert kinds(messages) == ["error", "session_ended"]
    assert messages[0]["code"] == "idle"
    assert messages[1]["reason"] == "idle"


async def test_a_sign_of_life_keeps_an_idle_session():
    async with running(idle=0.15) as box:
        for _ in range(6):
            await asyncio.sleep(0.05)
            box.session.touch()
        assert not box.session.ending


async def test_a_session_ends_after_its_longest_time_however_busy():
    async with running(Engine(delay=0.05), longest=0.3, inbox=20 * RATE) as box:
        await box.say(*[speech(1)] * 20)  # several seconds of decoding wait
        while not box.session.ending:
            await asyncio.sleep(0.01)
            assert box.session.duration < 2
        messages = await box.rest()

    assert messages[-1]["reason"] == "max_duration"


async def test_audio_after_the_end_is_refused():
    async with running() as box:
        box.session.end(EndReason.CLIENT)

        with pytest.raises(ClientError, match="ending"):
            await box.say(speech(1))


async def test_a_full_inbox_makes_the_sender_wait_and_loses_nothing():
    ledger, engine = Ledger(), Engine(delay=0.05)
    async with running(engine, ledger, inbox=RATE) as box:
        sender = asyncio.create_task(box.say(*[speech(0.5)] * 20, silence(1)))
        most = 0.0
        while not sender.done():
            most = max(most, box.session.lag)
            await asyncio.sleep(0.001)
        box.session.end(EndReason.CLIENT)
        await box.rest()

    assert most <= 1.5
    assert ledger.metrics.received_samples == 11 * RATE
    assert sum(line.end - line.start for line in ledger.lines) >= 10 * RATE


async def test_a_store_that_fails_ends_the_session_and_the_line_is_not_shown():
    ledger = Ledger(fails=True)
    async with running(ledger=ledger) as box:
        await box.say(speech(1.5), silence(1))
        messages = await box.rest()

    assert kinds(messages) == ["error", "session_ended"]
    assert messages[0]["code"] == "store_unavailable"
    assert ledger.end["state"] is SessionState.INTERRUPTED


async def test_a_defect_ends_one_session_cleanly_and_tells_nothing_of_its_insides(
    caplog: pytest.LogCaptureFixture,
):
    def script(request: Request) -> Heard:
        raise KeyError(CANARY)

    ledger = Ledger()
    with caplog.at_level(logging.DEBUG):
        async with running(Engine(script), ledger) as box:
            await box.say(speech(1.5), silence(1))
            messages = await box.rest()

    assert kinds(messages) == ["error", "gap", "session_ended"]
    assert CANARY not in str(messages)
    assert ledger.end["reason"] is EndReason.ERROR
    assert ledger.gaps == [Gap(0, round(2.5 * RATE), "error")]


async def test_an_end_that_cannot_be_stored_is_not_told_as_one():
    class Broken(Ledger):
        async def finalise(self, *_: Any, **__: Any) -> None:
            raise StoreUnavailable("write to the file: disk full")

    async with running(ledger=Broken()) as box:
        box.session.end(EndReason.CLIENT)
        with pytest.raises(StoreUnavailable):
            await box.rest()

    assert not box.session.stored


async def test_an_abandoned_session_marks_what_it_could_not_decode():
    ledger = Ledger()
    async with running(Engine(delay=60), ledger) as box:
        await box.say(speech(1.5), silence(1), speech(1.5), silence(1))
        box.session.end(EndReason.SHUTDOWN)
        await asyncio.sleep(0.05)
        box.session.abandon()
        messages = await box.rest()

    assert kinds(messages) == ["gap", "session_ended"]
    assert ledger.gaps == [Gap(0, 5 * RATE, "shutdown")]


class TestPartials:
    async def test_the_open_utterance_is_shown_to_those_who_asked(self):
        async with running(partials=True) as box:
            for _ in range(8):
                await box.say(speech(0.4))
                await asyncio.sleep(0.01)
            await box.say(silence(1))
            box.session.end(EndReason.CLIENT)
            messages = await box.rest()

        assert kinds(messages)[0] == "partial"
        assert kinds(messages)[-2:] == ["transcript", "session_ended"]

    async def test_no_partial_while_the_lanes_are_busy(self):
        engine = Engine(idle=False)
        async with running(engine, partials=True) as box:
            for _ in range(8):
                await box.say(speech(0.4))
                await asyncio.sleep(0.01)

            assert engine.requests == []

    async def test_what_was_shown_and_not_confirmed_is_taken_back(self):
        engine = Engine(
            lambda r: heard(r, "[BLANK_AUDIO]") if r.rank is Rank.FINAL else heard(r, "It hurts.")
        )
        async with running(engine, partials=True) as box:
            await box.say(speech(1.2))
            shown = await asyncio.wait_for(box.listener.next(), 2)
            await box.say(silence(1))
            taken_back = await asyncio.wait_for(box.listener.next(), 2)

        assert (shown["text"], taken_back["text"]) == ("It", "")

    async def test_made_up_phrases_are_not_shown(self):
        engine = Engine(lambda r: replace(heard(r, "Thank you."), tokens=2, log_probability=-2.0))
        async with running(engine, partials=True) as box:
            await box.say(speech(1), silence(1))
            box.session.end(EndReason.CLIENT)

            assert kinds(await box.rest()) == ["session_ended"]

    async def test_nobody_asking_costs_no_decode(self):
        engine = Engine()
        async with running(engine) as box:
            for _ in range(8):
                await box.say(speech(0.4))
                await asyncio.sleep(0.01)
            await box.say(silence(1))
            box.session.end(EndReason.CLIENT)
            await box.rest()

        assert [request.rank for request in engine.requests] == [Rank.FINAL]

    async def test_what_several_passes_agree_on_is_stable(self):
        texts = iter(["I have a pane", "I have a pain in", "I have a pain in my chest."])
        last = "I have a pain in my chest."
        async with running(Engine(lambda r: heard(r, next(texts, last))), partials=True) as box:
            stable = []
            for _ in range(3):
                await box.say(speech(1))
                message = await asyncio.wait_for(box.listener.next(), 2)
                stable.append(message["stable_text"])

        assert stable == ["", "", "I have a"]


async def test_no_word_reaches_the_log(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with running(Engine(lambda r: heard(r, f"{CANARY} hurts"))) as box:
            await box.say(speech(1.5), silence(1))
            box.session.end(EndReason.CLIENT)
            messages = await box.rest()

    assert CANARY in messages[0]["text"]
    assert CANARY not in "\n".join(f"{r.getMessage()} {vars(r)}" for r in caplog.records)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(0.05, 4), st.floats(0.05, 4)), min_size=1, max_size=6),
    st.lists(st.sampled_from(["hear", "stop", "fail", "loop", "mute"]), min_size=1, max_size=12),
    st.integers(100, 40_000),
)
async def test_all_speech_is_in_a_line_or_a_gap_and_nothing_is_in_two(turns, script, frame):
    """Whatever the engine does, and however the audio is framed."""
    answers = iter(script * 20)

    def engine(request: Request) -> Heard:
        match next(answers, "hear"):
            case "stop":
                return TestUnheard.stops_early(request)
            case "fail":
                raise DecodeFailed("no answer")
            case "loop":
                return heard(request, "it hurts " + "when I walk up " * 9)
            case "mute":
                return heard(request, "")
        return heard(request)

    ledger = Ledger()
    audio = np.concatenate([part for quiet, spoken in turns for part in (silence(quiet), speech(spoken))])
    pcm = to_pcm16(audio)
    async with running(Engine(engine), ledger) as box:
        for at in range(0, len(pcm), frame):
            await box.session.feed(pcm[at : at + frame])
        box.session.end(EndReason.CLIENT)
        await box.rest()

    stretches = sorted(
        [(line.start, line.end) for line in ledger.lines] + [(g.start, g.end) for g in ledger.gaps]
    )
    assert all(start < end for start, end in stretches)
    assert all(a[1] <= b[0] for a, b in pairwise(stretches))
    covered = np.zeros(len(audio), bool)
    for start, end in stretches:
        covered[start:end] = True
    lost = np.flatnonzero((audio > 0.1) & ~covered)
    # A piece of less than two seconds that gave no word is taken for a cough; at a time token up to 0.6 s may be left.
    runs = np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1)
    assert all(len(run) <= 2.1 * RATE for run in runs)
    assert ledger.metrics.received_samples == len(audio)
    assert ledger.metrics.gap_samples == sum(gap.end - gap.start for gap in ledger.gaps)


async def test_many_rooms_with_much_to_judge_do_not_block_the_loop():
    """Thirty rooms, each with seconds of audio waiting and a detector that takes its time."""

    def slow(frame: Samples) -> float:
        end = time.thread_time() + 0.0002
        while time.thread_time() < end:
            pass
        return detect(frame)

    capacity = Capacity(1)
    rooms = [
        Session(
            f"room-{n}",
            terms_of(),
            detect=slow,
            decoder=Engine(),
            ledger=Ledger(),
            capacity=capacity,
        )
        for n in range(30)
    ]
    for room in rooms:
        for _ in range(3):
            await room.feed(to_pcm16(silence(1)))
        room.end(EndReason.CLIENT)
    tasks = [asyncio.create_task(room.run()) for room in rooms]
    worst = 0.0
    while not all(task.done() for task in tasks):
        began = time.thread_time()
        await asyncio.sleep(0)
        worst = max(worst, time.thread_time() - began)

    assert worst < 0.1  # one room's second takes 6 ms, thirty at once would take 190
    assert all(room.stored for room in rooms)
