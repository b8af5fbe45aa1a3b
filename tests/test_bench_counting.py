"""What the benchmarks count: loops, probabilities, delays, and who was refused."""

import asyncio

import numpy as np
import psutil
import pytest
from aiohttp import web
from bench.accuracy import outcome
from bench.gauges import Meter
from bench.loops import words_in_loops
from bench.naming import right
from bench.offline import COMMITTED, OFFLINE, rows
from bench.playback import Ambientd, Track, play
from bench.recordings import Recording
from bench.reliability import Claims, calibration_error, section

from ambientd.core.audio import RATE
from ambientd.core.transcript import Line, Segment, Word


def line(index: int, *words: tuple[str, float]) -> Line:
    found = tuple(Word(text, at, at + 1, probability) for at, (text, probability) in enumerate(words))
    text = " ".join(word.text for word in found)
    mean = sum(probability for _, probability in words) / len(words)
    return Line(index, text, 0, 9, (Segment(text, 0, 9, found),), mean, "en", "base", 1.0)


def test_speech_has_no_loops():
    assert words_in_loops("No, no, no. I said no, and I said so, and he said no again.") == 0


@pytest.mark.parametrize(
    ("before", "loop", "after"),
    [
        ("I feel", "pain " * 9, "in the evening"),
        ("", "I have a pain " * 5, ""),
        ("well", "the doctor said that it would go away by itself " * 2, "and it did not"),
    ],
)
def test_each_word_of_a_loop_is_counted_and_none_beside_it(before: str, loop: str, after: str):
    assert words_in_loops(f"{before} {loop} {after}") == len(loop.split())


def test_two_loops_are_counted_both():
    text = "pain " * 8 + "and then he came to see me about the knee " + "it was bad " * 4

    assert words_in_loops(text) == 8 + 12


def test_a_word_is_right_where_it_stands_in_the_reference():
    claims = Claims()

    claims.add("I take ten milligrams daily", [line(0, ("I", 0.9), ("take", 0.8), ("um", 0.1), ("tin", 0.3))])
    claims.add("every day", [line(0, ("every", 0.99), ("day.", 0.97))])

    assert [(claim.told, claim.right) for claim in claims.words] == [
        (0.9, 1),
        (0.8, 1),
        (0.3, 0),
        (0.99, 1),
        (0.97, 1),
    ]
    assert [claim.right for claim in claims.lines] == [pytest.approx(2 / 3), 1]


def test_the_calibration_error_is_how_far_what_is_told_is_from_what_is_right():
    claims = Claims()
    claims.add("yes yes", [line(0, ("yes", 0.6), ("maybe", 0.6))])

    assert calibration_error(claims.words) == pytest.approx(0.1)
    assert ["0.5 to 0.7", "2", "0.600", "0.500", "1", "0.600", "0.500"] in section("", "", claims).rows


def test_a_way_is_told_beside_the_offline_decode():
    recordings = [Recording("visit", np.zeros(10 * RATE, np.float32), "my knee has been swollen")]
    outcomes = [
        outcome(recordings[0], COMMITTED, "my knee has been swelling", 2.0),
        outcome(recordings[0], OFFLINE, "my knee has", 1.0),
    ]

    ours, offline = rows(outcomes, recordings)

    assert ours == [COMMITTED, "20.00", "0.50", "1 / 0 / 0", "20.0", "0", "0.200"]
    assert offline == [OFFLINE, "40.00", "1.00", "0 / 2 / 0", "40.0", "0", "0.100"]


def test_a_name_counts_as_often_as_it_was_said():
    found = right(["metformin", "metformin", "ibuprofen"], "Metformin and met formin, and metformin.")

    assert found == {"metformin": 2}


def test_delays_are_told_within_the_buckets_of_the_histogram():
    meter = Meter(psutil.Process(), slowest=0.04)
    meter.delays = {0.01: 90.0, 0.02: 98.0, 0.05: 100.0, 0.1: 100.0, float("inf"): 100.0}

    assert meter.delay(0.5) == pytest.approx(0.01 * 50 / 90)
    assert meter.delay(0.99) == pytest.approx(0.03)
    assert meter.longest == 0.05


async def test_a_session_that_is_refused_is_told_apart_from_one_that_failed():
    async def refuse(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "error", "code": "overloaded"})
        await socket.close(code=1013)
        return socket

    app = web.Application()
    app.router.add_get("/ws/transcribe", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        track = Track("visit", np.zeros(RATE, np.float32), "one", (("one", 0.5),))
        async with asyncio.timeout(10):
            played = await play(track, Ambientd(), f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()

    assert played.refused
    assert not played.failed
    assert not played.kept_up
