"""Encounter, patient and consent, over REST and over the socket."""

from typing import Any

import pytest
from sqlalchemy import text

PATH = "/api/v1/sessions/visit/details"


async def connect(box: Any, name: str = "visit") -> Any:
    socket = await box.connect(f"/ws/transcribe/{name}")
    await socket.receive_json()
    return socket


async def get(box: Any, path: str = PATH) -> tuple[int, Any]:
    async with box.http.get(box.url + path) as answer:
        return answer.status, await answer.json()


async def patch(box: Any, body: Any, path: str = PATH, **options: Any) -> tuple[int, Any]:
    async with box.http.patch(box.url + path, json=body, **options) as answer:
        return answer.status, await answer.json()


async def audited(box: Any) -> list[str]:
    async with box.database.read() as connection:
        found = await connection.execute(text("SELECT action FROM audit_log WHERE object = 'visit'"))
        return [row[0] for row in found if row[0].startswith("details")]


async def test_they_are_changed_field_by_field_and_the_audit_knows(box):
    await connect(box)
    empty = {"encounter": None, "patient": None, "consent": None, "withdrawal": None}
    assert await get(box) == (200, empty)

    await patch(box, {"encounter": "enc-1"})
    _, answer = await patch(box, {"patient": "pat-1", "consent": {"given_by": "she", "version": "3"}})
    assert (answer["encounter"], answer["patient"], answer["withdrawal"]) == ("enc-1", "pat-1", None)
    _, withdrawn = await patch(box, {"withdrawal": True})

    assert withdrawn["withdrawal"]
    assert await get(box) == (200, withdrawn)
    assert await audited(box) == ["details.read", *["details.changed"] * 3, "details.read"]


@pytest.mark.parametrize("body", [[], {"name": "Jane Roe"}, {"withdrawal": True}])
async def test_a_wrong_body_changes_nothing(box, body):
    await connect(box)
    status, answer = await patch(box, body)

    assert status == 400
    assert "Roe" not in answer["detail"]
    assert (await get(box))[1]["encounter"] is None


async def test_of_nobody(box):
    assert (await get(box))[0] == 404
    assert (await patch(box, {"encounter": "x"}))[0] == 404


async def test_a_page_of_another_site_changes_nothing(box):
    await connect(box)
    status, _ = await patch(box, {"encounter": "x"}, headers={"Origin": "https://evil.example"})

    assert status == 403
    assert (await get(box))[1]["encounter"] is None


async def test_a_client_says_them_with_configure(box):
    """They are stored when the answer comes."""
    socket = await connect(box)
    await socket.send_json(
        {
            "type": "configure",
            "encounter": "enc-1",
            "patient": "pat-1",
            "consent": {"given_by": "she", "version": "3", "at": "2026-01-15T10:00:00Z"},
        }
    )

    assert (await socket.receive_json())["type"] == "configured"
    assert await get(box) == (
        200,
        {
            "encounter": "enc-1",
            "patient": "pat-1",
            "consent": {"given_by": "she", "version": "3", "at": "2026-01-15T10:00:00+00:00"},
            "withdrawal": None,
        },
    )


async def test_a_wrong_configure_changes_nothing_at_all(box):
    socket = await connect(box)
    await socket.send_json({"type": "configure", "language": "es", "encounter": "enc-1", "consent": "yes"})
    refused = await socket.receive_json()
    await socket.send_json({"type": "configure"})

    assert (refused["type"], refused["code"]) == ("error", "bad_details")
    assert (await socket.receive_json())["language"] == "en"
    assert (await get(box))[1]["encounter"] is None
