"""The sync over REST: state, rows, steering, and the answers."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from central.server import running

from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionState
from ambientd.core.retry import Backoff
from ambientd.core.transcript import Line
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.sync.route import Route


async def say(box: Any, session_id: str, text: str) -> None:
    sessions, now = Sessions(box.database), datetime.now(UTC)
    await sessions.create(session_id, connected_at=now, client="192.0.2.7", language="en", model="base")
    line = Line(0, text, 0, 16_000, (), 0.9, "en", "base", 500.0)
    await Lines(box.database).append_line(session_id, line, SessionMetrics())
    await sessions.finalise(
        session_id,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=now,
        metrics=SessionMetrics(),
    )


async def call(box: Any, method: str, path: str, **query: str) -> tuple[int, Any]:
    async with box.http.request(method, box.url + path, params=query) as answer:
        return answer.status, await answer.json()


async def test_without_a_centre_the_queue_is_shown_and_nothing_can_be_run(box: Any) -> None:
    await say(box, "s", "Good morning.")
    status, told = await call(box, "GET", "/api/v1/sync")

    assert status == 200
    assert (told["state"], told["profile"]) == ("off", "none")
    assert told["queue"] == {"held": 0, "pending": 1, "in_flight": 0, "delivered": 0, "parked": 0}
    assert told["oldest_seconds"] < 60
    assert (await call(box, "POST", "/api/v1/sync/run"))[0] == 409


async def test_rows_can_be_found_parked_and_released(box: Any) -> None:
    await say(box, "a", "Good morning.")
    await say(box, "b", "Good day.")
    _, listed = await call(box, "GET", "/api/v1/sync/items", limit="1")
    _, found = await call(box, "GET", "/api/v1/sync/items", match="a")
    row = found["items"][0]["id"]

    assert (listed["total"], len(listed["items"])) == (2, 1)
    assert (await call(box, "POST", f"/api/v1/sync/items/{row}/park"))[1]["state"] == "parked"
    assert (await call(box, "POST", f"/api/v1/sync/items/{row}/park"))[0] == 409
    _, parked = await call(box, "GET", "/api/v1/sync/items", state="parked")
    assert [(item["session_id"], item["last_error"]) for item in parked["items"]] == [
        ("a", "parked by hand.")
    ]
    status, released = await call(box, "POST", f"/api/v1/sync/items/{row}/retry")
    assert (status, released["state"]) == (202, "pending")


@pytest.mark.parametrize("verb", ["retry", "park"])
async def test_a_row_that_is_not_there(box: Any, verb: str) -> None:
    status, told = await call(box, "POST", f"/api/v1/sync/items/nobody/{verb}")

    assert (status, told["code"]) == (404, "no_such_item")


@pytest.mark.parametrize(("key", "value"), [("state", "lost"), ("limit", "0"), ("offset", "x")])
async def test_a_query_that_means_nothing(box: Any, key: str, value: str) -> None:
    assert (await call(box, "GET", "/api/v1/sync/items", **{key: value}))[0] == 400


async def test_it_can_be_paused_and_resumed(box: Any) -> None:
    assert (await call(box, "POST", "/api/v1/sync/pause"))[0] == 200
    assert (await call(box, "POST", "/api/v1/sync/resume"))[0] == 200


@pytest.mark.parametrize("path", ["run", "pause", "resume", "items/x/retry", "items/x/park"])
async def test_only_somebody_on_the_box_steers_it(box: Any, path: str) -> None:
    async with box.http.post(
        f"{box.url}/api/v1/sync/{path}", headers={"X-Forwarded-For": "192.0.2.7"}
    ) as answer:
        assert answer.status == 401


async def test_answers_of_a_conversation(open_box: Any, tmp_path: Path) -> None:
    """From the end of a session to its answers, and what is missing; they stay when the centre is away."""
    async with running(tmp_path / "centre.db") as centre:
        route = Route(
            "ambientai", centre.url, "box-7", backoff=Backoff(0.01, 0.05), settle=timedelta(seconds=0.2)
        )
        box = await open_box(route=route)
        await say(box, "s", "Good morning, Mrs. Alvarez. Take 5 mg of bisoprolol daily.")
        assert (await call(box, "POST", "/api/v1/sync/run"))[0] == 202
        end = time.monotonic() + 8
        while (told := (await call(box, "GET", "/api/v1/sessions/s/answers"))[1])["status"] != "done":
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        async with box.http.get(f"{box.url}/metrics") as answer:
            figures = await answer.text()
    status, offline = await call(box, "GET", "/api/v1/sessions/s/answers")

    assert (status, offline) == (200, told)
    assert told["answers"]
    assert {"question_id", "question", "category", "answer", "confidence", "snippet"} <= set(
        told["answers"][0]
    )
    assert told["missing"]
    assert not {each["question_id"] for each in told["answers"]} & {each["id"] for each in told["missing"]}
    assert 'ambientd_sync_rows{state="delivered"} 1.0' in figures
    assert 'ambientd_sync_attempts_total{outcome="delivered"} 1.0' in figures
    assert "bisoprolol" not in figures


async def test_a_conversation_without_answers_and_one_that_is_not_there(box: Any) -> None:
    await say(box, "s", "Good morning.")
    status, told = await call(box, "GET", "/api/v1/sessions/s/answers")

    assert (status, told["status"], told["answers"], told["missing"]) == (200, "none", [], [])
    assert (await call(box, "GET", "/api/v1/sessions/nobody/answers"))[0] == 404
