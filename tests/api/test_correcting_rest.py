"""Correcting and approving a transcript over REST."""

from __future__ import annotations

from typing import Any

import pytest

from ambientd.core.record import Progress
from ambientd.store.listing import Wanted

PATH = "/api/v1/sessions/visit/correction"
SPOKEN = (b"\x00\x40" * 24_000) + b"\0\0" * 16_000


@pytest.fixture
async def visit(box: Any) -> Any:
    """A box with a session that has ended: ``It hurts here.``"""
    socket = await box.connect("/ws/transcribe/visit")
    await socket.receive_json()
    await socket.send_bytes(SPOKEN)
    await socket.send_json({"type": "end_session"})
    async for message in socket:
        if message.json()["type"] == "session_ended":
            break
    await socket.close()
    return box


async def call(box: Any, method: str, path: str = PATH, body: Any = None) -> tuple[int, Any]:
    async with box.http.request(method, box.url + path, json=body) as answer:
        return answer.status, await answer.json()


def correction(text: str, **others: Any) -> dict[str, Any]:
    return {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0, "text": text}], **others}


async def test_a_line_is_corrected_and_both_texts_are_told(visit: Any) -> None:
    status, told = await call(visit, "PUT", body=correction("It hurts there."))

    assert (status, told["revision"], told["open"]) == (200, 1, True)
    assert (told["lines"][0]["heard"], told["lines"][0]["text"]) == ("It hurts here.", "It hurts there.")
    assert told["history"][0]["lines"] == [{"chunk_index": 0, "text": "It hurts there."}]
    assert await call(visit, "GET") == (200, told)
    _, transcript = await call(visit, "GET", "/api/v1/sessions/visit/transcript")
    _, live = await call(visit, "GET", "/api/v1/sessions/visit/transcript?tier=live")
    assert (transcript["text"], live["text"]) == ("It hurts there.", "It hurts here.")
    assert (await call(visit, "GET", "/api/v1/sessions/visit"))[1]["revision"] == 1


async def test_who_read_an_older_revision_is_told(visit: Any) -> None:
    await call(visit, "PUT", body=correction("It hurts there."))
    status, told = await call(visit, "PUT", body=correction("It hurts everywhere."))
    assert (status, told["code"]) == (409, "corrected_meanwhile")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tier": "best", "revision": 0, "lines": []},
        {"tier": "live", "revision": True, "lines": []},
        {"tier": "live", "revision": 0, "lines": "all"},
        {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0}]},
        {"tier": "live", "revision": 0, "lines": [{"chunk_index": 9, "text": "Jane Roe"}]},
        {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0, "text": "x" * 20_001}]},
        {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0, "text": "x"}] * 2},
        {"tier": "live", "revision": 0, "lines": [{"chunk_index": 0, "text": " "}]},
    ],
)
async def test_a_body_that_is_no_correction_changes_nothing(visit: Any, body: Any) -> None:
    status, told = await call(visit, "PUT", body=body)

    assert (status, told["code"]) == (400, "bad_correction")
    assert "Roe" not in told["detail"]
    assert (await call(visit, "GET"))[1]["revision"] == 0


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("PUT", PATH), ("POST", PATH[:-10] + "review")])
async def test_of_a_session_that_is_not_there(box: Any, method: str, path: str) -> None:
    body = correction("x") if method == "PUT" else None
    status, told = await call(box, method, path, body)
    assert (status, told["code"]) == (404, "no_such_session")


async def test_whoever_has_read_it_says_so(visit: Any) -> None:
    status, told = await call(visit, "POST", "/api/v1/sessions/visit/review")

    assert status == 200
    assert told["reviewed_at"]


async def test_what_was_read_must_be_what_is_there(visit: Any) -> None:
    path = "/api/v1/sessions/visit/review"
    await call(visit, "PUT", body=correction("It hurts there."))
    for stale in (None, {"tier": "live", "revision": 0}, {"tier": "refined", "revision": 1}):
        status, told = await call(visit, "POST", path, stale)
        assert (status, told["code"]) == (409, "corrected_meanwhile")
    assert (await call(visit, "GET", "/api/v1/sessions/visit"))[1]["reviewed_at"] is None
    status, told = await call(visit, "POST", path, {"tier": "live", "revision": 1})
    assert (status, told["reviewed_at"] is not None) == (200, True)


@pytest.mark.parametrize(
    "body",
    [{"tier": "best", "revision": 0}, {"tier": "live"}, {"tier": "live", "revision": True}, {"read": 1}],
)
async def test_a_review_that_does_not_say_what_was_read_is_none(visit: Any, body: Any) -> None:
    status, told = await call(visit, "POST", "/api/v1/sessions/visit/review", body)
    assert (status, told["code"] in {"bad_review", "unknown_field"}) == (400, True)
    assert (await call(visit, "GET", "/api/v1/sessions/visit"))[1]["reviewed_at"] is None


async def test_the_list_can_be_narrowed_by_progress(visit: Any) -> None:
    """Without a centre nothing waits for it."""
    _, recorded = await call(visit, "GET", "/api/v1/sessions?progress=recorded")
    _, waiting = await call(visit, "GET", "/api/v1/sessions?progress=waiting")
    _, answered = await call(visit, "GET", "/api/v1/sessions?progress=answered")
    status, _ = await call(visit, "GET", "/api/v1/sessions?progress=lost")

    assert [each["progress"] for each in recorded["sessions"]] == ["recorded"]
    assert waiting["sessions"] == []
    assert (answered["sessions"], answered["total"], status) == ([], 0, 400)
    assert await visit.sessions.count(Wanted(progress=(Progress.WAITING,))) == 1


async def test_an_undelivered_session_is_deleted_only_by_who_insists(visit: Any) -> None:
    refused, _ = await call(visit, "DELETE", "/api/v1/sessions/visit")
    done, _ = await call(visit, "DELETE", "/api/v1/sessions/visit?undelivered=1")

    assert (refused, done) == (409, 200)
    assert (await call(visit, "GET"))[0] == 404
