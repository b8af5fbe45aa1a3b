"""The reference centre keeps the real one's habits, good and bad, and fails when it is told to."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from central.application import content_digest
from central.certificates import Tls
from central.faults import Fault
from central.questions import CATEGORIES, sentences
from central.server import USERS, Centre, running

TEXT = (
    "Good morning, Mrs. Alvarez. Are you taking anything? Yes, 2.5 milligrams daily. Come back in two weeks."
)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path / "centre.db") as there:
        yield there


@pytest.fixture
async def http(centre: Centre) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(centre.url, timeout=aiohttp.ClientTimeout(total=0.6)) as client:
        yield client


async def send(http: aiohttp.ClientSession, text: str = TEXT, **query: str) -> tuple[int, Any]:
    async with http.post("/api/v1/text-processing", json={"text": text}, params=query) as reply:
        return reply.status, await reply.json()


async def get(http: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with http.get(path) as reply:
        return reply.status, await reply.json()


async def log_in(http: aiohttp.ClientSession) -> str:
    email, password = next(iter(USERS.items()))
    async with http.post("/api/v1/auth/login", json={"email": email, "password": password}) as reply:
        return (await reply.json())["access_token"]


async def test_a_repeat_makes_a_second_upload(centre: Centre, http: aiohttp.ClientSession):
    _, first = await send(http)
    _, second = await send(http)
    await centre.worker.idle()

    assert first["upload_id"] != second["upload_id"]
    assert (await centre.records.texts())[TEXT] == 2


async def test_the_text_and_the_answers_come_only_when_the_worker_has_stored_them(
    centre: Centre, http: aiohttp.ClientSession
):
    centre.worker.delay = 0.2
    _, sent = await send(http)
    _, before = await get(http, f"/api/v1/uploads/{sent['upload_id']}")
    while (await get(http, f"/api/v1/tasks/{sent['task_id']}"))[1]["status"] != "completed":
        await asyncio.sleep(0.01)
    _, started = await get(http, f"/api/v1/uploads/{sent['upload_id']}")
    await centre.worker.idle()
    _, after = await get(http, f"/api/v1/uploads/{sent['upload_id']}")

    assert before["transcription"] is None
    assert started["transcription"]["full_text"] == TEXT
    assert started["qa_results"] == []
    assert {each["category"] for each in after["qa_results"]} == CATEGORIES
    assert after["upload"]["status"] == "completed"
    for each in after["qa_results"]:
        assert each["context_snippet"] is None or each["context_snippet"] in TEXT
        assert each["is_manual_review_required"] == (not each["is_confident"])


async def test_a_bad_or_expired_token_is_silently_nobody(centre: Centre, http: aiohttp.ClientSession):
    token = await log_in(http)
    for given in (token, "nonsense", token[:-1]):
        assert (await send(http, access_token=given))[0] == 200
    assert (await centre.records.counts())["anonymous"] == 2

    centre.faults.order(Fault.EXPIRED_TOKEN)
    assert (await send(http, access_token=token))[0] == 200
    assert (await centre.records.counts())["anonymous"] == 3


async def test_a_token_ends_after_its_lifetime(centre: Centre, http: aiohttp.ClientSession):
    token = await log_in(http)
    assert centre.tokens.user(token) is not None
    centre.tokens._clock = lambda: time.time() + 30 * 60
    assert centre.tokens.user(token) is None


async def test_wrong_credentials_are_401(http: aiohttp.ClientSession):
    async with http.post(
        "/api/v1/auth/login", json={"email": "box@clinic.example", "password": "x"}
    ) as reply:
        assert reply.status == 401


async def test_uploads_are_listed_newest_first_with_their_size_and_no_text(
    centre: Centre, http: aiohttp.ClientSession
):
    sent = [(await send(http, "ä" * length))[1]["upload_id"] for length in (1, 2, 3)]
    _, page = await get(http, "/api/v1/uploads?page=1&size=2")
    _, rest = await get(http, "/api/v1/uploads?page=2&size=2")

    assert [item["id"] for item in page["items"] + rest["items"]] == sent[::-1]
    assert [item["file_size"] for item in page["items"]] == [6, 4]
    assert (page["total"], page["pages"]) == (3, 2)
    assert {item["original_filename"] for item in page["items"]} == {"text_input.txt"}
    assert "ä" not in str(page)


@pytest.mark.parametrize(("length", "status"), [(0, 422), (1, 200), (50_000, 200), (50_001, 422)])
async def test_a_text_has_1_to_50000_characters(http: aiohttp.ClientSession, length: int, status: int):
    assert (await send(http, "ß" * length))[0] == status


async def test_an_unknown_task_is_a_500_and_an_unknown_upload_a_404(http: aiohttp.ClientSession):
    status, said = await get(http, f"/api/v1/tasks/{uuid.uuid4()}")
    assert (status, "Task ID not found" in said["detail"]) == (500, True)
    assert (await get(http, f"/api/v1/uploads/{uuid.uuid4()}"))[0] == 404


async def test_a_restarted_centre_goes_on_with_its_tasks(tmp_path: Path):
    file = tmp_path / "centre.db"
    async with (
        running(file, delay=60) as centre,
        aiohttp.ClientSession(centre.url) as http,
    ):
        await send(http)
    async with running(file) as centre:
        await centre.worker.idle()
        assert (await centre.records.texts())[TEXT] == 1


async def test_put_is_idempotent_and_refuses_another_body(centre: Centre, http: aiohttp.ClientSession):
    async def put(body: bytes, digest: str) -> int:
        path = "/api/v1/boxes/7/transcripts/0b5f"
        async with http.put(path, data=body, headers={"Content-Digest": digest}) as reply:
            return reply.status

    assert await put(b"one", content_digest(b"one")) == 201
    assert await put(b"one", content_digest(b"one")) == 200
    assert await put(b"two", content_digest(b"two")) == 409
    assert await put(b"two", content_digest(b"one")) == 400
    assert await centre.records.bodies() == {"0b5f": b"one"}


DONE = {
    Fault.REFUSE: 0,
    Fault.ERROR: 0,
    Fault.ERROR_AFTER: 1,
    Fault.ORPHAN: 0,
    Fault.BUSY: 0,
    Fault.UNAUTHORISED: 0,
    Fault.HANG: 0,
    Fault.LATE: 1,
    Fault.HANG_AFTER: 1,
    Fault.CUT_BEFORE: 0,
    Fault.CUT_AFTER: 1,
    Fault.WRONG_JSON: 1,
    Fault.NOT_JSON: 0,
}


@pytest.mark.parametrize("fault", DONE)
async def test_a_fault_spoils_one_call_and_no_other(
    centre: Centre, http: aiohttp.ClientSession, fault: Fault
):
    centre.faults.order(fault, path="/api/v1/text-processing")
    assert (await get(http, "/health"))[0] == 200
    try:
        status, _ = await send(http)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        status = 0
    assert status != 200
    await asyncio.sleep(0.3)  # by then it is back
    assert (await send(http, "another"))[0] == 200
    await centre.worker.idle()

    assert dict(centre.faults.seen) == {fault: 1}
    assert (await centre.records.texts())[TEXT] == DONE[fault]
    assert (await centre.records.counts())["textless"] == (fault is Fault.ORPHAN)


async def test_a_slow_answer_is_whole(centre: Centre, http: aiohttp.ClientSession):
    centre.faults.order(Fault.SLOW_BODY)
    began = time.monotonic()
    assert (await send(http))[0] == 200
    assert time.monotonic() - began > 0.25


async def test_away_means_refused_until_it_listens_again_on_the_same_port(
    centre: Centre, http: aiohttp.ClientSession
):
    await get(http, "/health")
    await centre.leave()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(http, "/health")
    await centre.listen()
    assert (await get(http, "/health"))[0] == 200


async def test_faults_drawn_from_a_seed_are_the_same_again(centre: Centre, http: aiohttp.ClientSession):
    async def drawn() -> list[int]:
        centre.faults.draw(7, 0.5, [Fault.ERROR, Fault.BUSY])
        return [(await get(http, "/health"))[0] for _ in range(20)]

    first = await drawn()
    assert first == await drawn()
    assert set(first) == {200, 429, 500}


async def test_faults_can_be_ordered_and_what_came_listed_over_http(http: aiohttp.ClientSession):
    async with http.post("/__faults", json={"order": [{"fault": "error"}]}) as reply:
        assert reply.status == 200
    assert [(await send(http))[0] for _ in range(2)] == [500, 200]
    assert await get(http, "/__faults") == (200, {"error": 1})
    assert (await get(http, "/__received"))[1]["counts"]["uploads"] == 1


async def test_certificates_that_must_not_be_trusted_are_not(tmp_path: Path):
    tls = Tls(tmp_path / "tls")
    trust = ssl.create_default_context(cafile=tls.ca)
    reasons = {
        Fault.EXPIRED_CERTIFICATE: "expired",
        Fault.WRONG_NAME: "mismatch",
        Fault.UNKNOWN_CA: "get local",
    }
    async with running(tmp_path / "centre.db", tls=tls) as centre:
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(centre.url, connector=connector) as http:
            for fault, reason in reasons.items():
                assert (await get(http, "/health"))[0] == 200
                centre.faults.order(fault)
                with pytest.raises(aiohttp.ClientError):
                    await get(http, "/health")
                with pytest.raises(aiohttp.ClientConnectorCertificateError, match=reason):
                    await get(http, "/health")
                await asyncio.sleep(0.3)


async def test_a_centre_may_ask_for_a_client_certificate(tmp_path: Path):
    tls = Tls(tmp_path / "tls", clients=True)
    known = ssl.create_default_context(cafile=tls.ca)
    known.load_cert_chain(tls.client)
    unknown = ssl.create_default_context(cafile=tls.ca)
    async with running(tmp_path / "centre.db", tls=tls) as centre, aiohttp.ClientSession(centre.url) as http:
        async with http.get("/health", ssl=known) as reply:
            assert reply.status == 200
        with pytest.raises(aiohttp.ClientError):
            await http.get("/health", ssl=unknown)


def test_sentences_end_where_people_end_them():
    assert sentences(TEXT) == [
        "Good morning, Mrs. Alvarez.",
        "Are you taking anything?",
        "Yes, 2.5 milligrams daily.",
        "Come back in two weeks.",
    ]
