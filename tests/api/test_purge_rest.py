"""Deleting and purging over REST, for whoever is on the box."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from test_rest import finished, get, post, speak


async def delete(box, name, **options):
    async with box.http.delete(f"{box.url}/api/v1/sessions/{name}", **options) as answer:
        return answer.status, await answer.json()


async def test_a_session_nobody_has_received_is_deleted_only_on_insistence(box):
    await finished(box, "visit-1")
    status, body = await delete(box, "visit-1")
    assert (status, body["code"]) == (409, "not_delivered")
    assert "--force" in body["detail"]
    assert await delete(box, "visit-1", json={"force": True}) == (
        200,
        {"session_id": "visit-1", "scrubbed": True},
    )
    assert (await get(box, "/api/v1/sessions/visit-1"))[0] == 404


async def test_a_live_session_is_not_deleted(box):
    await speak(box, "visit-1")
    status, body = await delete(box, "visit-1", json={"force": True})
    assert (status, body["code"]) == (409, "session_in_use")


async def test_one_that_is_not_there(box):
    assert (await delete(box, "visit-9"))[0] == 404


@pytest.mark.parametrize("body", ["[1]", "{", '{"force": "yes"}', "true"])
async def test_a_body_that_means_nothing(box, body):
    await finished(box, "visit-1")
    assert (await delete(box, "visit-1", data=body))[0] == 400
    assert (await get(box, "/api/v1/sessions/visit-1"))[0] == 200


async def test_the_plan_and_the_purge(box):
    await finished(box, "visit-1")
    status, plan = await get(box, "/api/v1/purge")
    assert status == 200
    assert (plan["goes"], plan["stays"]) == ([], {"not_delivered": 1})
    assert await post(box, "/api/v1/purge") == (
        200,
        {"sessions": 0, "audit_rows": 0, "copies": [], "scrubbed": True},
    )
    async with box.http.get(f"{box.url}/metrics") as answer:
        assert "ambientd_last_purge_timestamp_seconds 1." in await answer.text()


async def test_a_clock_in_doubt_is_told_and_can_be_vouched_for(box):
    async with box.database.write() as connection:
        await connection.execute(
            text("INSERT INTO box_facts VALUES ('clock_seen', '2099-01-01T00:00:00.000000Z')")
        )
    status, body = await post(box, "/api/v1/purge")
    assert (status, body["code"]) == (409, "clock_doubtful")
    assert "the clock is behind" in str((await get(box, "/readyz"))[1]["warnings"])
    assert (await get(box, "/api/v1/purge"))[1]["clock"] == "behind"
    async with box.http.post(f"{box.url}/api/v1/purge", json={"clock_is_right": True}) as answer:
        assert answer.status == 200
    assert (await get(box, "/readyz"))[1]["warnings"] == []


async def test_a_copy_that_is_not_there(box):
    async with box.http.delete(f"{box.url}/api/v1/copies/ambientd.db") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "no_such_copy")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "purge"), ("POST", "purge"), ("DELETE", "sessions/s"), ("DELETE", "copies/c")],
)
async def test_only_on_the_box(box, method, path):
    async with box.http.request(
        method, f"{box.url}/api/v1/{path}", headers={"X-Forwarded-For": "192.0.2.7"}
    ) as answer:
        assert answer.status == 401
