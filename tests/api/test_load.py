"""A busy box: who is refused and how, and what those who ask are told."""

import asyncio
import json

import numpy as np

from ambientd.api import metrics
from ambientd.core.decoding import Rank, Request
from ambientd.errors import ClientError
from ambientd.session.capacity import Capacity, Ceiling
from ambientd.session.registry import LOAD_EVERY


def full(retry: float = 45) -> Capacity:
    """One lane that decoded without a pause."""
    capacity = Capacity(1, Ceiling(retry=retry))
    capacity.decoded(Request(np.zeros(160_000, np.float32), 0, 0, "en"), 0, 60)
    return capacity


async def test_the_room_too_many_is_told_when_to_come_back_and_the_others_go_on(open_box):
    box = await open_box(capacity=full())
    first = await box.connect()
    assert (await first.receive_json())["type"] == "connected"

    second = await box.connect()
    refusal = await second.receive_json()
    closed = await second.receive()

    assert refusal["type"] == "error"
    assert refusal["code"] == "overloaded"
    assert refusal["retry_after"] == 45
    assert closed.data == 1013
    await first.send_json({"type": "ping"})
    assert (await first.receive_json())["type"] == "pong"
    assert box.registry.capacity.refused == 1
    assert "ambientd_sessions_refused_total 1.0" in await (await box.http.get(box.url + "/metrics")).text()


async def test_a_box_without_sessions_takes_one_however_late_it_was(open_box):
    box = await open_box(capacity=full())
    assert (await (await box.connect()).receive_json())["type"] == "connected"


async def test_an_http_answer_says_when_to_come_back():
    from ambientd.api.faults import answer  # noqa: PLC0415

    busy = answer(ClientError("overloaded", "busy", retry_after=45.4))
    assert (busy.status, busy.headers["Retry-After"]) == (503, "45")
    assert "Retry-After" not in answer(ClientError("bad_json", "no")).headers


async def test_load_is_told_to_those_who_asked_and_to_nobody_else(open_box, monkeypatch):
    monkeypatch.setattr("asyncio.sleep", quick(asyncio.sleep))
    box = await open_box()
    asked, plain = await box.connect("/ws/transcribe?load=1"), await box.connect()
    await asked.receive_json()
    await plain.receive_json()

    told = await asyncio.wait_for(asked.receive_json(), 5)
    while told["sessions"] < 2:  # sent while the second was still connecting
        told = await asyncio.wait_for(asked.receive_json(), 5)
    assert told == {
        "type": "load",
        "sessions": 2,
        "lag": 0.0,
        "lag_p95": 0.0,
        "utilisation": 0.0,
        "partial_interval": 0.0,
        "partials_thinned": False,
    }
    await plain.send_json({"type": "configure", "load": True})
    assert (await plain.receive_json())["load"] is True  # and not a load message before it
    assert (await asyncio.wait_for(plain.receive_json(), 5))["type"] == "load"


async def test_lag_and_utilisation_are_in_the_metrics(open_box):
    box = await open_box()
    box.registry.capacity.lagged(3.5)
    _, observe = metrics.collect(box.registry, box.engine)
    observe(Request(np.zeros(16_000, np.float32), 0, 0, "en", rank=Rank.FINAL), 0.0, 6.0)
    text = await (await box.http.get(box.url + "/metrics")).text()

    assert 'ambientd_piece_lag_seconds_bucket{le="3.0"} 0.0' in text
    assert 'ambientd_piece_lag_seconds_bucket{le="4.0"} 1.0' in text
    assert "ambientd_utilisation 0.1" in text


async def test_status_tells_what_the_box_is_and_how_it_does(open_box):
    box = await open_box()
    await (await box.connect()).receive_json()
    box.registry.capacity.lagged(2.5)
    async with box.http.get(box.url + "/api/v1/status") as answer:
        told = await answer.json()

    assert told["version"]
    assert told["engine"]["model"] == "scripted"
    assert told["sessions"] == {"live": 1, "limit": 100, "refused": 0}
    assert told["load"]["lag_p95"] == 2.5
    assert told["load"]["utilisation"] == 0


def quick(sleep):
    """``asyncio.sleep`` for which the time between two load messages is short."""
    return lambda seconds, *rest: sleep(0.05 if seconds == LOAD_EVERY else seconds, *rest)


def test_a_load_message_holds_numbers_that_json_knows():
    from ambientd.core.protocol import load  # noqa: PLC0415

    message = load(sessions=1, lag=0, box_lag=0, utilisation=1, preview_interval=float("inf"), thinned=True)
    assert json.loads(json.dumps(message))["partial_interval"] == 3600
