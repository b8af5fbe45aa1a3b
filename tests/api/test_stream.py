"""The WebSocket: what clients of the seed protocol rely on, and what happens to those who break it."""

import asyncio
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType
from scripted import Engine, heard, silence, speech

from ambientd.core.audio import to_pcm16
from ambientd.core.metrics import SessionMetrics
from ambientd.core.transcript import Line
from ambientd.errors import StoreUnavailable
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions

Socket = aiohttp.ClientWebSocketResponse

SPEECH = to_pcm16(np.concatenate((speech(1.5), silence(1))))


async def receive(socket: Socket) -> dict[str, Any]:
    return await asyncio.wait_for(socket.receive_json(), 5)


async def rest(socket: Socket) -> tuple[list[dict[str, Any]], int | None]:
    """All messages until the socket closes, and its close code."""
    messages = []
    while (message := await asyncio.wait_for(socket.receive(), 10)).type is WSMsgType.TEXT:
        messages.append(json.loads(message.data))
    return messages, socket.close_code


class TestConversation:
    async def test_from_connected_to_session_ended(self, box):
        socket = await box.connect()
        connected = await receive(socket)
        await socket.send_bytes(SPEECH)
        await socket.send_json({"type": "end_session"})

        messages, code = await rest(socket)

        assert connected["type"] == "connected"
        assert connected["config"] == {
            "sample_rate": 16000,
            "channels": 1,
            "chunk_duration": 1.0,
            "whisper_model": "scripted",
            "audio_buffer_size": 8192,
            "language": "en",
        }
        assert [m["type"] for m in messages] == ["transcript", "session_ended"]
        assert code == 1000

    async def test_a_transcript_has_every_field_clients_read(self, box):
        socket = await box.connect()
        await receive(socket)
        await socket.send_bytes(SPEECH)

        line = await receive(socket)

        assert line["text"] == "It hurts here."
        assert line["is_final"] is True
        assert line["chunk_index"] == 0
        assert 0 <= line["confidence"] <= 1
        assert line["model_used"] == "scripted"
        assert line["audio_size_bytes"] == 2 * round(16000 * line["audio_duration"])
        assert line["end_time"] - line["start_time"] == pytest.approx(line["audio_duration"])
        assert {"processing_time_ms", "session_time"} <= line.keys()
        assert line["segments"][0]["words"][0] == {
            "word": "It",
            "start": 0.0,
            "end": 0.1,
            "probability": 0.9616,
        }

    async def test_ping_and_session_info(self, box):
        socket = await box.connect("/ws/transcribe/my-session-123")
        await receive(socket)
        await socket.send_bytes(SPEECH)
        await receive(socket)
        await socket.send_json({"type": "ping"})
        await socket.send_json({"type": "session_info"})

        assert await receive(socket) == {"type": "pong"}
        info = await receive(socket)
        assert info["session_id"] == "my-session-123"
        assert info["total_chunks"] == 1
        assert info["full_transcript"] == "It hurts here."
        assert info["metrics"]["chunks_processed"] == 1
        assert {
            "avg_processing_time_ms",
            "max_processing_time_ms",
            "min_processing_time_ms",
            "total_session_duration",
            "avg_confidence_score",
            "real_time_factor",
        } <= info["metrics"].keys()

    async def test_partials_are_only_for_those_who_ask(self, open_box):
        box = await open_box()
        asked, plain = await box.connect("/ws/transcribe?partials=1"), await box.connect()
        for socket in (asked, plain):
            await receive(socket)
            for _ in range(4):
                await socket.send_bytes(to_pcm16(speech(0.5)))
                await asyncio.sleep(0.05)
            await socket.send_bytes(to_pcm16(silence(1)))

        assert (await receive(asked))["type"] == "partial"
        assert (await receive(plain))["type"] == "transcript"

    async def test_a_client_that_vanishes_leaves_a_finished_session(self, open_box):
        box = await open_box(grace=0.1)
        socket = await box.connect("/ws/transcribe/gone")
        await receive(socket)
        await socket.send_bytes(to_pcm16(speech(1.5)))
        socket._writer.transport.abort()
        await socket.close()
        while box.registry.find("gone"):
            await asyncio.sleep(0.01)

        answer = await box.http.get(f"{box.url}/api/v1/sessions/gone")
        stored = await answer.json()

        assert (stored["state"], stored["reason"]) == ("ended", "disconnect")
        assert stored["total_chunks"] == 1
        assert stored["metrics"]["received_samples"] == 24_000


class TestBadInput:
    """Each with an error that says what to do; the session lives unless the protocol is broken."""

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("not json", "bad_json"),
            ("[1, 2]", "bad_message"),
            ('"ping"', "bad_message"),
            ("{}", "unknown_type"),
            ('{"type": "dance"}', "unknown_type"),
            ('{"type": 7}', "unknown_type"),
            ("[" * 100_000, "bad_json"),
            (b"", "empty_frame"),
            ((0.3 * np.sin(np.arange(4000) / 9)).astype("<f4").tobytes(), "float_audio"),
            (
                np.clip(128 + 30 * np.sin(np.arange(4000) / 9), 0, 255).astype(np.uint8).tobytes(),
                "8bit_audio",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
    )
    async def test_an_error_with_code_and_advice_and_the_session_lives(self, box, frame, code):
        socket = await box.connect()
        await receive(socket)
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))

        error = await receive(socket)
        await socket.send_json({"type": "ping"})

        assert (error["type"], error["code"]) == ("error", code)
        assert len(error["message"]) > 20
        assert await receive(socket) == {"type": "pong"}

    async def test_an_odd_byte_is_carried_into_the_next_frame(self, box):
        socket = await box.connect("/ws/transcribe/odd")
        await receive(socket)
        for at in range(0, len(SPEECH), 1001):
            await socket.send_bytes(SPEECH[at : at + 1001])
        await socket.send_json({"type": "session_info"})
        await socket.send_json({"type": "end_session"})

        messages, _ = await rest(socket)

        info = next(m for m in messages if m["type"] == "session_info")
        assert info["metrics"]["received_samples"] == len(SPEECH) // 2
        assert "error" not in [m["type"] for m in messages]

    async def test_a_fitting_wav_header_is_passed_over(self, box):
        socket = await box.connect("/ws/transcribe/wav")
        await receive(socket)
        fmt = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
        await socket.send_bytes(
            b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + fmt + b"data\0\0\0\0" + SPEECH[:2000]
        )
        await socket.send_json({"type": "session_info"})

        assert (await receive(socket))["metrics"]["received_samples"] == 1000

    @pytest.mark.parametrize("cut", [1, 3, 4, 20, 43])
    async def test_a_wav_header_may_be_cut_in_two(self, box, cut):
        socket = await box.connect()
        await receive(socket)
        fmt = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
        wav = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + fmt + b"data\0\0\0\0" + SPEECH[:2000]
        await socket.send_bytes(wav[:cut])
        await socket.send_bytes(wav[cut:])
        await socket.send_json({"type": "session_info"})

        assert (await receive(socket))["metrics"]["received_samples"] == 1000

    @pytest.mark.parametrize("start", [b"fLaC", b"OggS", b"ID3", b"RIFF\0\0\0\0WAVEfmt "])
    async def test_any_other_file_closes_the_connection_with_the_reason(self, box, start):
        socket = await box.connect()
        await receive(socket)
        await socket.send_bytes(start + bytes(1000))

        messages, code = await rest(socket)

        assert messages[0]["code"] == "file_not_pcm"
        assert code == 1003

    async def test_a_huge_frame_closes_with_1009_and_says_what_to_send(self, box):
        socket = await box.connect()
        await receive(socket)
        await socket.send_bytes(bytes(10_000_000))

        messages, code = await rest(socket)

        assert messages[0]["code"] == "frame_too_big"
        assert code == 1009

    async def test_audio_after_end_session_is_refused_and_the_end_comes_all_the_same(self, open_box):
        box = await open_box(engine=Engine(delay=0.3))
        socket = await box.connect()
        await receive(socket)
        await socket.send_bytes(SPEECH)
        await socket.send_json({"type": "end_session"})
        await socket.send_bytes(SPEECH)

        messages, code = await rest(socket)

        assert [m["type"] for m in messages] == ["error", "transcript", "session_ended"]
        assert messages[0]["code"] == "session_ending"
        assert code == 1000

    @pytest.mark.parametrize("name", ["a b", "x" * 65, "%00", "ü", "a%2Fb"])
    async def test_a_bad_session_id_is_refused(self, box, name):
        messages, code = await rest(await box.connect(f"/ws/transcribe/{name}"))

        assert messages[0]["code"] == "bad_session_id"
        assert code == 1008

    async def test_an_id_in_use_is_refused_and_the_first_client_stays(self, box):
        first = await box.connect("/ws/transcribe/room-1")
        await receive(first)

        messages, code = await rest(await box.connect("/ws/transcribe/room-1"))
        await first.send_json({"type": "ping"})

        assert (messages[0]["code"], code) == ("session_in_use", 1008)
        assert await receive(first) == {"type": "pong"}

    async def test_an_id_used_before_is_refused(self, box):
        socket = await box.connect("/ws/transcribe/room-1")
        await socket.send_json({"type": "end_session"})
        await rest(socket)

        messages, code = await rest(await box.connect("/ws/transcribe/room-1"))

        assert (messages[0]["code"], code) == ("session_exists", 1008)

    async def test_a_page_of_another_site_may_not_connect(self, box):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await box.connect(headers={"Origin": "https://evil.example"})

        assert refused.value.status == 403

    @pytest.mark.parametrize("origin", ["null", None])
    async def test_a_page_from_a_file_and_a_program_may(self, box, origin):
        socket = await box.connect(headers={"Origin": origin} if origin else {})

        assert (await receive(socket))["type"] == "connected"


class TestLimits:
    async def test_one_session_too_many_is_told_to_try_later(self, open_box):
        box = await open_box(most=2)
        for _ in range(2):
            await receive(await box.connect())

        messages, code = await rest(await box.connect())

        assert messages[0]["code"] == "too_many_sessions"
        assert code == 1013

    async def test_a_thousand_at_once_get_an_answer_each(self, open_box):
        box = await open_box(most=50)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            sockets = []

            async def attempt() -> str:
                socket = await http.ws_connect(f"{box.url}/ws/transcribe")
                sockets.append(socket)
                message = await asyncio.wait_for(socket.receive_json(), 30)
                return message.get("code", message["type"])

            answers = await asyncio.gather(*(attempt() for _ in range(1000)))

            assert answers.count("connected") == 50
            assert answers.count("too_many_sessions") == 950

    async def test_an_idle_client_is_told_and_let_go(self, open_box):
        box = await open_box(idle=0.1)

        messages, code = await rest(await box.connect())

        assert [m["type"] for m in messages] == ["connected", "error", "session_ended"]
        assert messages[1]["code"] == "idle"
        assert code == 1000


class TestHeartbeat:
    async def test_a_client_that_does_not_answer_is_taken_for_gone(self, open_box):
        box = await open_box(heartbeat=0.1)
        socket = await box.connect("/ws/transcribe/mute", autoping=False)
        await receive(socket)
        while not (session := box.registry.find("mute")) or not session.deserted:
            await asyncio.sleep(0.02)

        assert not session.ending

    async def test_a_client_that_answers_stays(self, open_box):
        box = await open_box(heartbeat=0.4)
        socket = await box.connect("/ws/transcribe/alive")
        await receive(socket)
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(1.5)

        assert not box.registry.find("alive").deserted
        waiting.cancel()

    async def test_a_client_that_waits_for_room_in_the_inbox_is_not_taken_for_gone(self, open_box):
        box = await open_box(heartbeat=0.5, engine=Engine(delay=1.5), inbox=16_000)
        socket = await box.connect("/ws/transcribe/fast")
        await receive(socket)
        for _ in range(4):
            await socket.send_bytes(SPEECH)
        await socket.send_json({"type": "end_session"})

        messages, code = await rest(socket)

        assert [m["type"] for m in messages] == ["transcript"] * 4 + ["session_ended"]
        assert code == 1000


class TestBursts:
    """A client that reads what it is sent is never dropped, however fast it asks."""

    async def test_a_burst_of_pings(self, box):
        socket = await box.connect()
        await receive(socket)
        for _ in range(300):
            await socket.send_json({"type": "ping"})

        assert [(await receive(socket))["type"] for _ in range(300)] == ["pong"] * 300

    async def test_much_audio_after_the_end(self, open_box):
        box = await open_box(engine=Engine(delay=0.2))
        socket = await box.connect()
        await receive(socket)
        await socket.send_bytes(SPEECH)
        await socket.send_json({"type": "end_session"})
        for _ in range(200):
            await socket.send_bytes(SPEECH[:640])

        messages, code = await rest(socket)

        kinds = [m["type"] for m in messages if m["type"] != "error"]
        assert kinds == ["transcript", "session_ended"]
        assert code == 1000


async def test_a_session_that_cannot_be_stored_as_ended_closes_with_1011(box, monkeypatch):
    socket = await box.connect("/ws/transcribe/broken")
    await receive(socket)

    async def broken(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("write to /var/lib/x.db: disk full")

    monkeypatch.setattr(box.registry._ledger, "finalise", broken)
    async with box.http.post(f"{box.url}/api/v1/websocket/sessions/broken/end") as answer:
        assert answer.status == 503
    messages, code = await rest(socket)

    assert [m["code"] for m in messages] == ["store_unavailable"]
    assert code == 1011


async def test_a_listener_that_does_not_read_is_dropped_and_the_session_lives(open_box):
    box = await open_box()
    socket = await box.connect("/ws/transcribe/slow")
    await receive(socket)
    session = box.registry.find("slow")
    for number in range(100):
        session.hub.publish({"type": "announcement", "message": "x", "number": number})

    messages, code = await rest(socket)

    assert messages[-1]["code"] == "too_slow"
    assert code == 1008


async def test_one_slow_decode_does_not_keep_another_room_waiting(open_box):
    engine = Engine()
    box = await open_box(engine=engine)
    engine.script = heard
    first, second = await box.connect(), await box.connect()
    for socket in (first, second):
        await receive(socket)
    engine.delay = 1.0
    await first.send_bytes(SPEECH)
    await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    await second.send_json({"type": "ping"})

    assert await receive(second) == {"type": "pong"}
    assert asyncio.get_running_loop().time() - began < 0.5


async def vanish(box, socket: Socket, name: str) -> None:
    """Breaks the connection, and waits until the box has noticed."""
    socket._response.connection.transport.abort()
    while not ((session := box.registry.find(name)) and session.deserted):
        await asyncio.sleep(0.01)


class TestResume:
    async def test_a_client_that_comes_back_goes_on_where_it_was(self, box):
        socket = await box.connect("/ws/transcribe/room-1")
        await receive(socket)
        await socket.send_bytes(SPEECH[:20_001])  # half a sample too much: it must come again
        await socket.send_json({"type": "ping"})
        await receive(socket)
        await vanish(box, socket, "room-1")

        back = await box.connect("/ws/transcribe/room-1")
        connected = await receive(back)
        await back.send_bytes(SPEECH[2 * connected["received_samples"] :])
        await back.send_json({"type": "end_session"})
        messages, code = await rest(back)

        assert connected["resumed"] is True
        assert connected["received_samples"] == 10_000
        assert [m["type"] for m in messages] == ["transcript", "session_ended"]
        assert code == 1000
        async with box.http.get(f"{box.url}/api/v1/sessions/room-1") as answer:
            stored = await answer.json()
        assert stored["metrics"]["received_samples"] == len(SPEECH) // 2

    async def test_a_new_session_has_nothing_yet(self, box):
        connected = await receive(await box.connect())

        assert (connected["resumed"], connected["received_samples"]) == (False, 0)

    async def test_a_client_that_stays_away_is_given_up_after_the_grace_time(self, open_box):
        box = await open_box(grace=0.1)
        socket = await box.connect("/ws/transcribe/room-1")
        await receive(socket)
        await vanish(box, socket, "room-1")
        session = box.registry.find("room-1")

        await asyncio.wait_for(session.finished.wait(), 5)

        assert session.reason == "disconnect"

    async def test_a_client_that_says_goodbye_is_not_waited_for(self, box):
        socket = await box.connect("/ws/transcribe/room-1")
        await receive(socket)
        await socket.close(code=1000)
        session = box.registry.find("room-1")
        if session:
            await asyncio.wait_for(session.finished.wait(), 5)

        assert box.registry.find("room-1") is None

    async def test_acks_tell_how_much_is_there_to_those_who_ask(self, box):
        asked, plain = await box.connect("/ws/transcribe?acks=1"), await box.connect()
        for socket in (asked, plain):
            await receive(socket)
            await socket.send_bytes(to_pcm16(silence(1.5)))
            await socket.send_json({"type": "ping"})

        assert await receive(asked) == {"type": "ack", "received_samples": 24_000}
        assert (await receive(plain))["type"] == "pong"


class TestConfigure:
    async def test_a_model_that_knows_english_only_refuses_others(self, open_box):
        box = await open_box(multilingual=False)
        socket = await box.connect()
        await receive(socket)
        await socket.send_json({"type": "configure", "language": "es"})

        assert (await receive(socket))["code"] == "bad_language"
        await socket.send_json({"type": "configure", "language": "en"})
        assert (await receive(socket))["type"] == "configured"

    async def test_wishes_hold_from_the_next_piece_on(self, box):
        socket = await box.connect()
        await receive(socket)
        await socket.send_json({"type": "configure", "language": "es", "prompt": "Hola.", "partials": True})

        assert await receive(socket) == {
            "type": "configured",
            "language": "es",
            "partials": True,
            "acks": False,
            "load": False,
            "refined": False,
        }
        await socket.send_bytes(SPEECH)
        while (await receive(socket))["type"] != "transcript":
            pass
        assert (box.engine.requests[-1].language, box.engine.requests[-1].prompt) == ("es", "Hola.")

    @pytest.mark.parametrize(
        "wish",
        [
            {"language": "xx"},
            {"language": 3},
            {"prompt": 7},
            {"prompt": "x" * 801},
            {"partials": "yes"},
            {"colour": "red"},
        ],
    )
    async def test_a_bad_wish_changes_nothing(self, box, wish):
        socket = await box.connect()
        await receive(socket)
        await socket.send_json({"type": "configure", **wish})

        assert (await receive(socket))["type"] == "error"
        await socket.send_json({"type": "configure"})
        assert (await receive(socket))["language"] == "en"

    async def test_the_token_takes_over_a_connection_that_still_seems_alive(self, box):
        dead = await box.connect("/ws/transcribe/room-1")
        token = (await receive(dead))["resume_token"]
        await dead.send_bytes(SPEECH[:20_001])
        await dead.send_json({"type": "ping"})
        await receive(dead)

        back = await box.connect("/ws/transcribe/room-1?resume=1")
        await back.send_json({"type": "resume", "token": token})
        connected = await receive(back)
        await dead.send_bytes(SPEECH[20_001:])  # late, from the connection that was given up
        await back.send_bytes(SPEECH[2 * connected["received_samples"] :])
        await back.send_json({"type": "end_session"})
        messages, code = await rest(back)
        told, refused = await rest(dead)

        assert (connected["resumed"], connected["received_samples"]) == (True, 10_000)
        assert connected["resume_token"] == token
        assert ([m["type"] for m in messages], code) == (["transcript", "session_ended"], 1000)
        assert (told[0]["code"], refused) == ("taken_over", 1008)
        async with box.http.get(f"{box.url}/api/v1/sessions/room-1") as answer:
            assert (await answer.json())["metrics"]["received_samples"] == len(SPEECH) // 2

    @pytest.mark.parametrize(("known", "told"), [(True, [1]), (False, [])])
    async def test_lines_that_were_missed_are_told_to_who_knows_the_token(self, box, known, told):
        socket = await box.connect("/ws/transcribe/room-1")
        token = (await receive(socket))["resume_token"]
        await socket.send_bytes(SPEECH)
        assert (await receive(socket))["chunk_index"] == 0
        await vanish(box, socket, "room-1")
        session = box.registry.find("room-1")
        await session.feed(SPEECH)
        while session.metrics.chunks_processed < 2:
            await asyncio.sleep(0.01)

        back = await box.connect("/ws/transcribe/room-1?resume=1")
        await back.send_json({"type": "resume", "token": token if known else "guessed", "next_line": 1})
        await receive(back)
        await back.send_json({"type": "end_session"})
        messages, _ = await rest(back)

        assert [m["chunk_index"] for m in messages if m["type"] == "transcript"] == told

    @pytest.mark.parametrize(
        ("first", "code"),
        [
            ('{"type": "resume", "token": "guessed"}', "session_in_use"),
            ('{"type": "resume", "token": "x", "next_line": "all"}', "resume_expected"),
            ('{"type": "resume"}', "resume_expected"),
            ('{"type": "ping"}', "resume_expected"),
            ("nonsense", "bad_json"),
        ],
    )
    async def test_without_the_token_nobody_takes_a_live_session(self, box, first, code):
        owner = await box.connect("/ws/transcribe/room-1")
        await receive(owner)

        stranger = await box.connect("/ws/transcribe/room-1?resume=1")
        await stranger.send_str(first)
        messages, refused = await rest(stranger)
        await owner.send_json({"type": "ping"})

        assert (messages[0]["code"], refused) == (code, 1008)
        assert await receive(owner) == {"type": "pong"}

    async def test_a_client_says_what_it_could_not_keep(self, box):
        socket = await box.connect("/ws/transcribe/room-1")
        await receive(socket)
        await socket.send_bytes(SPEECH)
        await receive(socket)
        await socket.send_json({"type": "lost", "samples": 32_000})
        gap = await receive(socket)
        await socket.send_json({"type": "lost", "samples": -1})
        error = await receive(socket)

        assert (gap["type"], gap["start_time"], gap["end_time"], gap["reason"]) == ("gap", 2.5, 4.5, "lost")
        assert error["code"] == "bad_field"


async def test_an_ephemeral_session_leaves_nothing(box):
    socket = await box.connect("/ws/transcribe/gone?ephemeral=1")
    assert (await socket.receive_json())["ephemeral"] is True
    await socket.send_bytes(to_pcm16(np.concatenate((speech(1.5), silence(1)))))
    assert (await socket.receive_json())["type"] == "transcript"
    await socket.send_json({"type": "end_session"})

    assert "nothing of it is kept" in (await socket.receive_json())["message"]
    async with box.http.get(f"{box.url}/api/v1/sessions/gone") as answer:
        assert answer.status == 404

    async def test_a_session_that_a_crash_cut_off_goes_on_under_the_same_id(self, box):
        sessions, lines = Sessions(box.database), Lines(box.database)
        line = Line(0, "It hurt.", 8_000, 24_000, (), 0.9, "en", "scripted", 1.0)
        metrics = replace(SessionMetrics().with_line(line), received_samples=32_000)
        await sessions.create(
            "room-1", connected_at=datetime.now(UTC), client="", language="en", model="scripted"
        )
        await lines.append_line("room-1", line, metrics)
        assert await sessions.recover() == ["room-1"]

        back = await box.connect("/ws/transcribe/room-1?resume=1")
        await back.send_json({"type": "resume", "token": "of the daemon before"})
        connected = await receive(back)
        await back.send_bytes(SPEECH)
        await back.send_json({"type": "end_session"})
        messages, _ = await rest(back)

        assert (connected["resumed"], connected["received_samples"]) == (True, 24_000)
        assert (messages[0]["chunk_index"], messages[0]["start_time"]) == (1, 1.5)
        async with box.http.get(f"{box.url}/api/v1/sessions/room-1") as answer:
            stored = await answer.json()
        assert (stored["state"], stored["total_chunks"]) == ("ended", 2)
        assert stored["metrics"]["received_samples"] == 24_000 + len(SPEECH) // 2
