"""REST: the seed's three calls, the stored sessions, health and metrics."""

import asyncio
import base64
from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle
from scripted import silence, speech

from ambientd.core.audio import to_pcm16

SPEECH = to_pcm16(np.concatenate((speech(1.5), silence(1))))


async def speak(box: Any, name: str, times: int = 1) -> Any:
    """A connected socket whose session has said so many lines."""
    socket = await box.connect(f"/ws/transcribe/{name}")
    await socket.receive_json()
    for _ in range(times):
        await socket.send_bytes(SPEECH)
        await asyncio.wait_for(socket.receive_json(), 5)
    return socket


async def finished(box: Any, name: str, times: int = 1) -> None:
    socket = await speak(box, name, times)
    await socket.send_json({"type": "end_session"})
    await socket.receive_json()


async def get(box: Any, path: str) -> tuple[int, Any]:
    async with box.http.get(box.url + path) as answer:
        return answer.status, await answer.json()


async def post(box: Any, path: str, **options: Any) -> tuple[int, Any]:
    async with box.http.post(box.url + path, **options) as answer:
        return answer.status, await answer.json()


class TestLive:
    async def test_the_list_of_active_sessions(self, box):
        await speak(box, "abc-123")

        status, body = await get(box, "/api/v1/websocket/sessions")

        assert status == 200
        assert (body["active_sessions"], body["max_connections"]) == (1, 100)
        (session,) = body["sessions"]
        assert session["session_id"] == "abc-123"
        assert session["total_chunks"] == 1
        assert session["transcript_length"] == len("It hurts here.")
        assert session["connected_at"].startswith("20")

    async def test_ending_a_session_sends_its_client_the_last_line_first(self, box):
        socket = await box.connect("/ws/transcribe/abc")
        await socket.receive_json()
        await socket.send_bytes(to_pcm16(speech(1.5)))
        await socket.send_json({"type": "ping"})
        await socket.receive_json()

        status, body = await post(box, "/api/v1/websocket/sessions/abc/end")
        line, end = await socket.receive_json(), await socket.receive_json()

        assert (status, body["session_id"], body["total_chunks"]) == (200, "abc", 1)
        assert (line["type"], end["type"], end["reason"]) == ("transcript", "session_ended", "rest")

    async def test_ending_a_session_that_is_not_there(self, box):
        assert (await post(box, "/api/v1/websocket/sessions/nobody/end"))[0] == 404

    async def test_a_broadcast_reaches_every_session_as_it_was_posted(self, box):
        sockets = [await speak(box, name) for name in ("a", "b")]
        message = {"type": "announcement", "message": "System maintenance in 5 minutes"}

        status, body = await post(box, "/api/v1/websocket/broadcast", json=message)

        assert (status, body["sessions"]) == (200, 2)
        assert [await socket.receive_json() for socket in sockets] == [message, message]

    async def test_a_body_in_an_unknown_charset_is_refused(self, box):
        status, answer = await post(
            box,
            "/api/v1/websocket/broadcast",
            data=b"{}",
            headers={"Content-Type": "text/plain; charset=odd"},
        )

        assert (status, answer["code"]) == (400, "bad_json")

    async def test_a_sandboxed_frame_cannot_broadcast(self, box):
        message = {"type": "announcement", "message": "x"}

        status, _ = await post(box, "/api/v1/websocket/broadcast", json=message, headers={"Origin": "null"})

        assert status == 403

    @pytest.mark.parametrize("body", ["nonsense", "[]", "{}", '{"type": 3}', '{"type": ""}'])
    async def test_a_broadcast_without_a_type_is_refused(self, box, body):
        status, answer = await post(box, "/api/v1/websocket/broadcast", data=body)

        assert status == 400
        assert answer["detail"]

    async def test_a_broadcast_cannot_forge_a_transcript(self, box):
        status, answer = await post(
            box, "/api/v1/websocket/broadcast", json={"type": "transcript", "text": "Take 100 mg."}
        )

        assert (status, answer["code"]) == (400, "reserved_type")

    async def test_a_page_of_another_site_cannot_end_sessions(self, box):
        await speak(box, "abc")

        status, _ = await post(
            box, "/api/v1/websocket/sessions/abc/end", headers={"Origin": "https://evil.example"}
        )

        assert status == 403
        assert box.registry.find("abc")


class TestStored:
    async def test_sessions_are_listed_newest_first_in_pages(self, box):
        for name in ("one", "two", "three"):
            await finished(box, name)

        _, first = await get(box, "/api/v1/sessions?limit=2")
        _, second = await get(box, f"/api/v1/sessions?limit=2&before={first['next'].replace('+', '%2B')}")

        assert [s["session_id"] for s in first["sessions"]] == ["three", "two"]
        assert [s["session_id"] for s in second["sessions"]] == ["one"]
        assert first["total"] == 3

    async def test_one_session(self, box):
        await finished(box, "one", times=2)

        status, body = await get(box, "/api/v1/sessions/one")

        assert status == 200
        assert (body["state"], body["reason"], body["total_chunks"]) == ("ended", "client", 2)
        assert body["metrics"]["chunks_processed"] == 2

    @pytest.mark.parametrize(
        ("form", "kind", "start"),
        [
            ("text", "text/plain", None),
            ("srt", "application/x-subrip", "1\n00:00:00,000 --> 00:00:0"),
            ("vtt", "text/vtt", "WEBVTT"),
        ],
    )
    async def test_the_transcript_in_every_form(self, box, form, kind, start):
        await finished(box, "one")

        async with box.http.get(f"{box.url}/api/v1/sessions/one/transcript?format={form}") as answer:
            text = await answer.text()

            assert answer.content_type == kind
        assert "It hurts here." in text
        assert text.startswith(start or "")

    async def test_conversations_are_found_by_their_words(self, box):
        for name in ("one", "two"):
            await finished(box, name)

        async with box.http.post(f"{box.url}/api/v1/sessions/search", json={"words": ["HURTS"]}) as answer:
            found = (await answer.json())["sessions"]

        assert [each["session_id"] for each in found] == ["two", "one"]
        assert found[0]["passage"] == "It hurts here."

    @pytest.mark.parametrize(
        "body", ["[]", "{}", '{"words": []}', '{"words": [" "]}', '{"words": ["a"], "limit": 0}', "{"]
    )
    async def test_a_search_for_nothing_is_refused(self, box, body):
        async with box.http.post(f"{box.url}/api/v1/sessions/search", data=body) as answer:
            assert answer.status == 400

    async def test_the_transcript_as_fhir_is_a_bundle(self, box):
        await finished(box, "one")

        async with box.http.get(f"{box.url}/api/v1/sessions/one/transcript?format=fhir") as answer:
            bundle = await answer.json(content_type="application/fhir+json")

        assert Bundle.model_validate(bundle).type == "collection"
        held = bundle["entry"][0]["resource"]["content"][0]["attachment"]["data"]
        assert "It hurts here." in base64.b64decode(held).decode()

    async def test_the_transcript_as_json_is_what_was_shown(self, box):
        socket = await box.connect("/ws/transcribe/one")
        await socket.receive_json()
        await socket.send_bytes(SPEECH)
        shown = await socket.receive_json()
        await socket.send_json({"type": "end_session"})
        await socket.receive_json()

        _, body = await get(box, "/api/v1/sessions/one/transcript")

        assert [line["text"] for line in body["lines"]] == [shown["text"]]

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/api/v1/sessions/nobody", 404),
            ("/api/v1/sessions/nobody/transcript", 404),
            ("/api/v1/sessions?limit=0", 400),
            ("/api/v1/sessions?limit=x", 400),
            ("/api/v1/sessions?state=odd", 400),
            ("/api/v1/sessions?refinement=odd", 400),
            ("/api/v1/sessions?delivery=odd", 400),
            ("/api/v1/sessions?before=odd", 400),
            ("/nowhere", 404),
        ],
    )
    async def test_wrong_requests_get_a_reason(self, box, path, status):
        got, body = await get(box, path)

        assert got == status
        assert body["detail"]

    async def test_an_unknown_form_is_refused(self, box):
        await finished(box, "one")

        assert (await get(box, "/api/v1/sessions/one/transcript?format=docx"))[0] == 400

    async def test_the_list_is_narrowed(self, box):
        await finished(box, "a")

        for query, found in (
            ("refinement=none", 1),
            ("refinement=done", 0),
            ("room=x", 0),
            ("delivery=parked", 0),
        ):
            _, page = await get(box, f"/api/v1/sessions?{query}")
            assert (len(page["sessions"]), page["total"]) == (found, found)


class TestHealth:
    async def test_alive_and_ready(self, box):
        assert await get(box, "/healthz") == (200, {"status": "ok"})
        assert (await get(box, "/readyz"))[1]["checks"] == {
            "model": "ok",
            "store": "ok",
            "disk": "ok",
        }

    async def test_not_ready_without_a_store(self, box):
        box.database.path.unlink()

        status, body = await get(box, "/readyz")

        assert status == 503
        assert body["checks"]["store"] != "ok"

    async def test_metrics_count_sessions_audio_and_lines_and_name_nobody(self, box):
        socket = await speak(box, "canary-session")
        await socket.send_str("nonsense")
        await socket.receive_json()

        async with box.http.get(f"{box.url}/metrics") as answer:
            text = await answer.text()

        assert "ambientd_sessions 1.0" in text
        assert "ambientd_audio_seconds_total 2.5" in text
        assert "ambientd_lines_total 1.0" in text
        assert 'ambientd_client_errors_total{code="bad_json"} 1.0' in text
        assert "canary" not in text
        assert "hurts" not in text


class TestPages:
    async def test_the_page_is_served_at_the_root(self, box):
        async with box.http.get(f"{box.url}/") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/html"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    async def test_its_worklet_lies_beside_it(self, box):
        async with box.http.get(f"{box.url}/audio-processor.js") as answer:
            assert answer.status == 200
            assert "javascript" in answer.content_type

    @pytest.mark.parametrize("path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml"])
    async def test_nothing_outside_the_folder_is_served(self, box, path):
        async with box.http.get(box.url + path) as answer:
            assert answer.status in {403, 404}
