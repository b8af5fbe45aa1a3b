"""The protocol's client: events are typed, the unknown survives, and every refusal is put in words."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_daemon import CONNECTED, ScriptedDaemon, Socket, partial, running, transcript

from ambientd import client_events as events
from ambientd.client import (
    DaemonUnreachable,
    Disconnected,
    Refused,
    connect,
    fetch_transcript,
    websocket_address,
)
from ambientd.core import protocol
from ambientd.core.transcript import Gap, Line, Segment, Word
from ambientd.errors import ClientError


async def polite(ws: Socket, daemon: ScriptedDaemon) -> None:
    await ws.send_json(CONNECTED)
    await daemon.until_end(ws)
    await ws.send_json({"type": "session_ended", "message": "Session ended."})
    await ws.close(code=1000)


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    with running(polite) as scripted:
        yield scripted


def says(*messages: dict[str, Any] | str | bytes, code: int = 1000, reason: str = "") -> Any:
    """A script that says these messages and closes."""

    async def script(ws: Socket, _: ScriptedDaemon) -> None:
        for message in messages:
            if isinstance(message, bytes):
                await ws.send_bytes(message)
            else:
                await ws.send_str(message if isinstance(message, str) else json.dumps(message))
        await ws.close(code=code, message=reason.encode())

    return script


class TestEvents:
    async def test_greeting(self, daemon: ScriptedDaemon) -> None:
        async with connect(daemon.url) as connection:
            assert connection.opened == events.Connected(
                session_id="room-1",
                message="Connected.",
                config=events.AudioConfig(16000, 1, 8.0, "base-q8_0"),
            )

    async def test_every_known_message_becomes_its_event(self, daemon: ScriptedDaemon) -> None:
        info = {
            "type": "session_info",
            "session_id": "room-1",
            "connected_at": "2024-01-15T10:00:00Z",
            "total_chunks": 1,
            "full_transcript": "Good morning.",
            "metrics": {"avg_confidence_score": 0.9},
        }
        daemon.script = says(
            CONNECTED,
            partial("Good", 0.5, 1.0),
            transcript(0, "Good morning.", 0.5, 2.0),
            {"type": "gap", "start_time": 2.0, "end_time": 3.5, "reason": "decode_timeout"},
            {"type": "pong"},
            info,
            {"type": "error", "message": "Not JSON.", "code": "bad_json"},
            {"type": "error", "message": "Not JSON."},
            {"type": "session_ended", "message": "Ended."},
        )
        async with connect(daemon.url) as connection:
            heard = [event async for event in connection]

        assert heard == [
            events.Partial("Good", "", 0.5, 1.0),
            events.Transcript(
                text="Good morning.",
                confidence=0.9,
                chunk_index=0,
                processing_time_ms=321.5,
                start_time=0.5,
                end_time=2.0,
                model_used="base-q8_0",
                words=(events.Word("Good", 0.5, 2.0, 0.9), events.Word("morning.", 0.5, 2.0, 0.9)),
                language="en",
            ),
            events.Gap(2.0, 3.5, "decode_timeout"),
            events.Pong(),
            events.SessionInfo(
                "room-1", "2024-01-15T10:00:00Z", 1, "Good morning.", {"avg_confidence_score": 0.9}
            ),
            events.ServerError("Not JSON.", "bad_json"),
            events.ServerError("Not JSON.", ""),
            events.SessionEnded("Ended."),
        ]

    def test_an_error_says_when_to_come_back(self) -> None:
        raw = {"type": "error", "code": "overloaded", "message": "Busy.", "retry_after": 60}
        assert events.parse(json.dumps(raw)) == events.ServerError("Busy.", "overloaded", 60.0)

    @pytest.mark.parametrize(
        "raw",
        [
            {"type": "announcement", "message": "System maintenance in 5 minutes"},
            {"type": "ack", "received_samples": 16000},
            {"type": "transcript", "message": "a broadcast that borrows a name"},
            {"type": "transcript", "text": None},
            {"type": "partial", "text": 3, "start_time": 0, "end_time": 1},
            {"type": "connected", "config": 5},
            {"type": ["unhashable"]},
            {"no": "type"},
        ],
    )
    async def test_what_is_not_understood_is_handed_on_whole(
        self, daemon: ScriptedDaemon, raw: dict[str, Any]
    ) -> None:
        daemon.script = says(CONNECTED, raw, {"type": "pong"})
        async with connect(daemon.url) as connection:
            heard = [event async for event in connection]

        assert heard == [events.Other(raw), events.Pong()]

    def test_what_the_daemon_writes_is_what_the_client_reads(self) -> None:
        """Both ends against each other: no message of ours is an unknown one to our own client."""
        line = Line(
            index=0,
            text="Yes.",
            start=8000,
            end=24000,
            segments=(Segment("Yes.", 8000, 24000, (Word("Yes.", 8000, 16000, 0.8),)),),
            confidence=0.8,
            language="en",
            model="base-q8_0",
            processing_ms=12.3,
        )
        said = [
            protocol.transcript(line, session_time=2.0),
            protocol.partial("Yes", "", start=8000, end=16000),
            protocol.gap(Gap(0, 8000, "decode_timeout")),
            protocol.pong(),
            protocol.error(ClientError("bad_json", "not JSON")),
        ]

        heard = [events.parse(json.dumps(message)) for message in said]

        assert heard == [
            events.Transcript(
                "Yes.", 0.8, 0, 12.3, 0.5, 1.5, "base-q8_0", (events.Word("Yes.", 0.5, 1.0, 0.8),), "en"
            ),
            events.Partial("Yes", "", 0.5, 1.0),
            events.Gap(0.0, 0.5, "decode_timeout"),
            events.Pong(),
            events.ServerError("not JSON", "bad_json"),
        ]


class TestSpeaking:
    async def test_control_messages_and_audio(self, daemon: ScriptedDaemon) -> None:
        async with connect(daemon.url) as connection:
            await connection.send(bytes(8192))
            await connection.ping()
            await connection.session_info()
            await connection.end()
            heard = [event async for event in connection]

        assert connection.sent_samples == 4096
        assert daemon.audio_bytes == 8192
        assert daemon.texts == [{"type": "ping"}, {"type": "session_info"}, {"type": "end_session"}]
        assert heard == [events.SessionEnded("Session ended.")]

    async def test_address_carries_session_and_wish_for_partials(self, daemon: ScriptedDaemon) -> None:
        async with connect(daemon.url):
            pass
        async with connect(daemon.url, session_id="my-session-123", partials=True):
            pass

        assert daemon.paths == ["/ws/transcribe", "/ws/transcribe/my-session-123?partials=1"]

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("http://localhost:8000", "ws://localhost:8000/ws/transcribe/a"),
            ("localhost:8000", "ws://localhost:8000/ws/transcribe/a"),
            ("ws://localhost:8000/ws/transcribe", "ws://localhost:8000/ws/transcribe/a"),
            ("https://box/ambient/", "wss://box/ambient/ws/transcribe/a"),
            ("wss://box", "wss://box/ws/transcribe/a"),
            ("http://[::1]:8000?x=1", "ws://[::1]:8000/ws/transcribe/a"),
        ],
    )
    def test_addresses_in_any_form(self, url: str, address: str) -> None:
        assert str(websocket_address(url, session_id="a")) == address

    def test_a_session_id_cannot_leave_its_place_in_the_address(self) -> None:
        address = websocket_address("http://localhost:8000", session_id="a/b?c")

        assert str(address) == "ws://localhost:8000/ws/transcribe/a%2Fb%3Fc"

    async def test_realtime_play_takes_as_long_as_the_audio(self, daemon: ScriptedDaemon) -> None:
        async with connect(daemon.url) as connection:
            began = time.monotonic()
            await connection.play([bytes(3200)] * 8)
            took = time.monotonic() - began

        assert took == pytest.approx(0.8, abs=0.2)

    async def test_fast_play_does_not_starve_the_reader(self, daemon: ScriptedDaemon) -> None:
        """Lines arrive while a long file is still being sent."""

        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await ws.receive()
            await ws.send_json(transcript(0, "Early.", 0, 1))
            await polite_rest(ws)

        async def polite_rest(ws: Socket) -> None:
            async for _ in ws:
                pass

        daemon.script = script
        async with connect(daemon.url) as connection:
            endless = (bytes(8192) for _ in range(10**9))
            playing = asyncio.create_task(connection.play(endless, realtime=False))
            event = await asyncio.wait_for(anext(connection), 5)
            playing.cancel()
            await asyncio.wait({playing})

        assert isinstance(event, events.Transcript)

    async def test_a_daemon_that_stops_reading_holds_the_sender_back(self, daemon: ScriptedDaemon) -> None:
        """TCP pushes back: neither end piles audio up, and nothing is lost once the daemon reads again."""
        offered = 64 * 1024 * 1024
        reading = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def script(ws: Socket, daemon: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(reading.wait(), loop))
            await daemon.until_end(ws)
            await ws.close()

        daemon.script = script
        async with connect(daemon.url) as connection:
            blocks = (bytes(65536) for _ in range(offered // 65536))
            playing = asyncio.create_task(connection.play(blocks, realtime=False))
            await asyncio.sleep(1)
            held = connection.sent_samples
            await asyncio.sleep(0.5)
            still = connection.sent_samples
            reading.set()
            await playing
            await connection.end()
            async for _ in connection:
                pass

        assert held == still
        assert held * 2 < offered / 2
        assert daemon.audio_bytes == offered

    async def test_sending_after_the_end_fails_clearly(self, daemon: ScriptedDaemon) -> None:
        async with connect(daemon.url) as connection:
            await connection.end()
            async for _ in connection:
                pass
            with pytest.raises(Disconnected, match="connection to the daemon is closed"):
                await connection.send(bytes(2))


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (1000, "closed before it began"),
            (1001, "going away"),
            (1003, "cannot use what was sent.*signed 16-bit"),
            (1008, "rules forbid this.*session id"),
            (1009, "too big.*smaller frames"),
            (1011, "failed.*journalctl"),
            (1013, "busy.*later"),
            (4321, "code 4321"),
        ],
    )
    async def test_close_codes_in_words(self, daemon: ScriptedDaemon, code: int, words: str) -> None:
        daemon.script = says(code=code)

        with pytest.raises(Refused, match=words) as refused:
            async with connect(daemon.url):
                pass

        assert refused.value.code == code

    async def test_the_reason_given_is_passed_on(self, daemon: ScriptedDaemon) -> None:
        daemon.script = says(code=1013, reason="100 of 100 connections are taken")

        with pytest.raises(Refused, match="The daemon is busy: 100 of 100 connections are taken"):
            async with connect(daemon.url):
                pass

    async def test_an_error_message_before_the_close_is_the_better_reason(
        self, daemon: ScriptedDaemon
    ) -> None:
        complaint = {"type": "error", "code": "bad_session_id", "message": "A session id is 1 to 64 letters."}
        daemon.script = says(complaint, code=1008, reason="bad id")

        with pytest.raises(Refused, match="A session id is 1 to 64 letters"):
            async with connect(daemon.url, session_id="ü"):
                pass

    async def test_closed_in_the_middle(self, daemon: ScriptedDaemon) -> None:
        """The events before it are not lost."""
        daemon.script = says(CONNECTED, {"type": "pong"}, code=1001, reason="restart")
        async with connect(daemon.url) as connection:
            heard = [await anext(connection)]
            with pytest.raises(Disconnected, match="going away: restart") as lost:
                await anext(connection)

        assert heard == [events.Pong()]
        assert lost.value.code == 1001

    async def test_an_old_complaint_is_not_the_reason(self, daemon: ScriptedDaemon) -> None:
        daemon.script = says(CONNECTED, {"type": "error", "message": "Old."}, {"type": "pong"}, code=1011)

        async with connect(daemon.url) as connection:
            with pytest.raises(Disconnected) as lost:
                async for _ in connection:
                    pass

        assert "Old." not in str(lost.value)

    async def test_cut_line(self, daemon: ScriptedDaemon) -> None:
        """The daemon was killed: no close frame at all."""

        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.send_json(CONNECTED)
            assert ws._req is not None
            assert ws._req.transport is not None
            ws._req.transport.abort()

        daemon.script = script
        async with connect(daemon.url) as connection:
            with pytest.raises(Disconnected, match="broke off") as lost:
                async for _ in connection:
                    pass

        assert lost.value.code == 1006

    async def test_a_line_cut_after_the_session_ended_is_no_loss(self, daemon: ScriptedDaemon) -> None:
        daemon.script = says(CONNECTED, {"type": "session_ended", "message": "Ended."}, code=1001)

        async with connect(daemon.url) as connection:
            heard = [event async for event in connection]

        assert heard == [events.SessionEnded("Ended.")]

    async def test_nobody_listens(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]

            with pytest.raises(
                DaemonUnreachable, match=rf"127\.0\.0\.1:{port}.*make run.*systemctl start ambientd"
            ):
                async with connect(f"http://127.0.0.1:{port}"):
                    pass

    @pytest.mark.parametrize("url", ["http://", "ftp://box", "http://box:99999", "http://no such host"])
    async def test_no_address(self, url: str) -> None:
        with pytest.raises(DaemonUnreachable):
            async with connect(url):
                pass

    @pytest.mark.parametrize("message", ["hello", "[1, 2]", b"\x00\xff"])
    async def test_something_else_answers(self, daemon: ScriptedDaemon, message: str | bytes) -> None:
        daemon.script = says(message)

        with pytest.raises(DaemonUnreachable, match="does not speak the transcription protocol"):
            async with connect(daemon.url):
                pass

    async def test_refused_before_there_is_a_websocket(self, daemon: ScriptedDaemon) -> None:
        with pytest.raises(Refused, match=r"status 404.*check the address") as refused:
            async with connect(f"{daemon.url}/elsewhere"):
                pass

        assert refused.value.code == 404

    async def test_a_daemon_that_never_greets(
        self, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def script(ws: Socket, _: ScriptedDaemon) -> None:
            await ws.receive()

        daemon.script = script
        monkeypatch.setattr("ambientd.client._OPENING_SECONDS", 0.3)

        with pytest.raises(DaemonUnreachable):
            async with connect(daemon.url):
                pass


class TestTranscripts:
    async def test_fetched_in_a_format(self, daemon: ScriptedDaemon) -> None:
        daemon.documents["srt"] = "1\n00:00:00,500 --> 00:00:02,000\nGüten Morgen.\n"

        assert await fetch_transcript("room-1", "srt", url=daemon.url) == daemon.documents["srt"]
        assert daemon.paths == ["/api/v1/sessions/room-1/transcript?format=srt"]

    async def test_not_there(self, daemon: ScriptedDaemon) -> None:
        with pytest.raises(Refused) as refused:
            await fetch_transcript("room-1", "vtt", url=daemon.url)

        assert refused.value.code == 404
