"""A client written from the text of the first protocol document alone, as those in use were.

It knows nothing of this project's code and nothing of what was added since: another WebSocket library, the
messages and addresses of that document, and of each answer exactly the fields its readers rely on.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from running import DATA, Daemon
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

pytestmark = pytest.mark.model

Message = dict[str, Any]

VISIT = DATA / "visit.flac"

FRAME = 8192
"""Samples in one frame: what the document's AudioWorklet collects before it posts them."""

SEED_TYPES = {"connected", "transcript", "session_info", "pong", "error", "session_ended"}
"""All a client of that time has ever been sent; broadcasts have the type of whoever posts them."""

PATIENCE = 120.0
"""Seconds to wait for anything; generous, since a loaded machine decodes slowly."""


def frames(path: Path) -> list[bytes]:
    """The recording as ``Int16Array`` buffers of 8192 samples, little-endian, and a shorter last one."""
    audio, rate = soundfile.read(path, dtype="int16")
    assert rate == 16000
    assert audio.ndim == 1
    pcm = audio.astype("<i2").tobytes()
    return [pcm[start : start + 2 * FRAME] for start in range(0, len(pcm), 2 * FRAME)]


async def receive(ws: ClientConnection) -> Message:
    """The next message; all are JSON objects in text frames with a type."""
    text = await asyncio.wait_for(ws.recv(), PATIENCE)
    assert isinstance(text, str)
    message = json.loads(text)
    assert isinstance(message, dict)
    assert isinstance(message["type"], str)
    return message


async def receive_until(ws: ClientConnection, kind: str) -> list[Message]:
    """Messages up to and with the first of this type."""
    messages = [await receive(ws)]
    while messages[-1]["type"] != kind:
        messages.append(await receive(ws))
    return messages


async def receive_rest(ws: ClientConnection) -> list[Message]:
    """All messages until the server closes, which it does with 1000."""
    messages: list[Message] = []
    try:
        while True:
            messages.append(await receive(ws))
    except ConnectionClosed:
        assert ws.close_code == 1000
    return messages


async def say(ws: ClientConnection, kind: str) -> None:
    await ws.send(json.dumps({"type": kind}))


async def call(method: str, url: str, body: Message | None = None) -> tuple[int, Any]:
    """One REST request in a thread; status and JSON body."""

    def request() -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(  # noqa: S310  the address is our own daemon's
                urllib.request.Request(url, data, headers, method=method),  # noqa: S310
                timeout=PATIENCE,
            ) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())

    return await asyncio.to_thread(request)


async def eventually(true: Callable[[Any], bool], url: str) -> Any:
    """What ``url`` answers, once it answers as it should."""
    for _ in range(100):
        status, answer = await call("GET", url)
        assert status == 200
        if true(answer):
            return answer
        await asyncio.sleep(0.1)
    pytest.fail("the list of sessions never showed what happened")


def a_number(value: object, least: float = 0.0, most: float = float("inf")) -> bool:
    """A JSON number in a range; JSON's ``true`` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def a_recent_moment(text: object) -> bool:
    """An ISO 8601 moment that names its zone, of the last few minutes."""
    assert isinstance(text, str)
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return abs(datetime.now(UTC) - moment) < timedelta(minutes=10)


class TestConnecting:
    async def test_without_an_id_one_is_made(self, daemon: Daemon) -> None:
        async with (
            connect(f"{daemon.ws}/ws/transcribe") as one,
            connect(f"{daemon.ws}/ws/transcribe") as other,
        ):
            first, second = await receive(one), await receive(other)

        for message in (first, second):
            assert message["type"] == "connected"
            assert isinstance(message["session_id"], str)
            assert message["session_id"]
            assert isinstance(message["message"], str)
            assert message["message"]
            config = message["config"]
            assert config["sample_rate"] == 16000
            assert config["channels"] == 1
            assert a_number(config["chunk_duration"], 0.1)
            assert isinstance(config["whisper_model"], str)
            assert config["whisper_model"]
        assert first["session_id"] != second["session_id"]

    async def test_an_id_of_the_clients_own(self, daemon: Daemon) -> None:
        async with connect(f"{daemon.ws}/ws/transcribe/my-session-123") as ws:
            connected = await receive(ws)
            await say(ws, "end_session")
            rest = await receive_rest(ws)

        assert connected["session_id"] == "my-session-123"
        assert [message["type"] for message in rest] == ["session_ended"]
        assert isinstance(rest[0]["message"], str)


class TestControl:
    async def test_ping(self, daemon: Daemon) -> None:
        async with connect(f"{daemon.ws}/ws/transcribe") as ws:
            await receive(ws)
            await say(ws, "ping")

            assert (await receive(ws))["type"] == "pong"

    async def test_session_info_of_a_session_just_begun(self, daemon: Daemon) -> None:
        async with connect(f"{daemon.ws}/ws/transcribe/info-empty") as ws:
            await receive(ws)
            await say(ws, "session_info")
            info = await receive(ws)

        check_session_info(info, "info-empty")
        assert info["total_chunks"] == 0
        assert info["full_transcript"] == ""

    async def test_an_error_says_what_is_wrong_and_the_session_goes_on(self, daemon: Daemon) -> None:
        async with connect(f"{daemon.ws}/ws/transcribe") as ws:
            await receive(ws)
            await ws.send("this is not JSON")
            error = await receive(ws)
            await say(ws, "ping")
            pong = await receive(ws)

        assert error["type"] == "error"
        assert isinstance(error["message"], str)
        assert error["message"]
        assert pong["type"] == "pong"


class TestVisit:
    async def test_a_conversation_from_beginning_to_end(self, daemon: Daemon) -> None:
        """Audio in the document's frames, a ping and a look at the session in between, then the end."""
        sent = frames(VISIT)
        seconds = sum(len(frame) for frame in sent) / 2 / 16000
        async with connect(f"{daemon.ws}/ws/transcribe/visit-seed") as ws:
            messages = [await receive(ws)]

            async def speak() -> None:
                for count, frame in enumerate(sent):
                    await ws.send(frame)
                    if count == len(sent) // 2:
                        await say(ws, "ping")
                    await asyncio.sleep(0.1)  # five times as fast as speech
                await say(ws, "session_info")
                await say(ws, "end_session")

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak())
                messages += await receive_rest(ws)

        kinds = [message["type"] for message in messages]
        assert set(kinds) <= SEED_TYPES
        assert kinds[0] == "connected"
        assert kinds[-1] == "session_ended"
        assert kinds.count("session_ended") == 1
        assert "pong" in kinds
        assert "error" not in kinds

        transcripts = [message for message in messages if message["type"] == "transcript"]
        assert [message["chunk_index"] for message in transcripts] == list(range(len(transcripts)))
        for message in transcripts:
            check_transcript(message, "visit-seed", seconds)
        starts = [message["start_time"] for message in transcripts]
        assert starts == sorted(starts)

        # What an old client shows: each text appended to the last.
        text = " ".join(message["text"] for message in transcripts).lower()
        for word in ("good morning", "ibuprofen", "metformin", "blood count"):
            assert word in text
        assert "[" not in text
        assert "(" not in text

        (info,) = (message for message in messages if message["type"] == "session_info")
        check_session_info(info, "visit-seed")
        before = messages[: messages.index(info)]
        shown = [message for message in before if message["type"] == "transcript"]
        # What is stored between the asking and the answer may be in the answer and shown a moment later.
        assert info["total_chunks"] >= len(shown)
        assert " ".join(info["full_transcript"].split()).startswith(
            " ".join(" ".join(message["text"] for message in shown).split())
        )

    async def test_silence_gives_no_transcript(self, daemon: Daemon) -> None:
        async with connect(f"{daemon.ws}/ws/transcribe") as ws:
            await receive(ws)
            for _ in range(12):
                await ws.send(np.zeros(FRAME, "<i2").tobytes())
            await say(ws, "end_session")
            rest = await receive_rest(ws)

        assert [message["type"] for message in rest] == ["session_ended"]


class TestRest:
    async def test_the_list_shows_a_session_while_it_lives(self, daemon: Daemon) -> None:
        address = f"{daemon.url}/api/v1/websocket/sessions"

        def ids(answer: Message) -> set[str]:
            return {session["session_id"] for session in answer["sessions"]}

        async with connect(f"{daemon.ws}/ws/transcribe/listed") as ws:
            await receive(ws)
            answer = await eventually(lambda answer: "listed" in ids(answer), address)
            await say(ws, "end_session")
            await receive_rest(ws)
        await eventually(lambda answer: "listed" not in ids(answer), address)

        assert answer["active_sessions"] == len(answer["sessions"])
        assert a_number(answer["max_connections"], 1)
        (session,) = (session for session in answer["sessions"] if session["session_id"] == "listed")
        assert a_recent_moment(session["connected_at"])
        assert session["total_chunks"] == 0
        assert session["transcript_length"] == 0

    async def test_ending_a_session_from_outside(self, daemon: Daemon) -> None:
        """What was said is not lost: the last line comes before the end."""
        async with connect(f"{daemon.ws}/ws/transcribe/ended-by-rest") as ws:
            await receive(ws)
            for frame in frames(VISIT)[:14]:
                await ws.send(frame)
            await say(ws, "ping")
            before = await receive_until(ws, "pong")  # so the audio before it has been read
            status, _ = await call("POST", f"{daemon.url}/api/v1/websocket/sessions/ended-by-rest/end")
            rest = await receive_rest(ws)

        assert status == 200
        assert rest[-1]["type"] == "session_ended"
        said = " ".join(m["text"] for m in before + rest if m["type"] == "transcript").lower()
        assert "good morning" in said

    async def test_ending_a_session_that_is_not_there(self, daemon: Daemon) -> None:
        status, _ = await call("POST", f"{daemon.url}/api/v1/websocket/sessions/nobody/end")

        assert status == 404

    async def test_a_broadcast_reaches_every_session_as_posted(self, daemon: Daemon) -> None:
        announcement = {"type": "announcement", "message": "System maintenance in 5 minutes"}
        async with (
            connect(f"{daemon.ws}/ws/transcribe") as one,
            connect(f"{daemon.ws}/ws/transcribe") as other,
        ):
            await receive(one)
            await receive(other)
            status, _ = await call("POST", f"{daemon.url}/api/v1/websocket/broadcast", announcement)

            assert status == 200
            assert await receive(one) == announcement
            assert await receive(other) == announcement

    async def test_a_second_connection_under_a_live_id_is_refused(self, daemon: Daemon) -> None:
        """The document leaves it open; the conversation that is there must not suffer."""
        async with connect(f"{daemon.ws}/ws/transcribe/taken") as first:
            await receive(first)
            async with connect(f"{daemon.ws}/ws/transcribe/taken") as second:
                refusal = await receive(second)
                with pytest.raises(ConnectionClosedError):
                    await receive(second)
            await say(first, "ping")
            pong = await receive(first)

        assert refusal["type"] == "error"
        assert second.close_code != 1000
        assert pong["type"] == "pong"


def check_transcript(message: Message, session_id: str, seconds: float) -> None:
    """Every field an old client reads of a transcript, and that they agree with each other."""
    assert message.get("session_id", session_id) == session_id
    assert isinstance(message["text"], str)
    assert message["text"].strip()
    assert a_number(message["confidence"], 0, 1)
    assert isinstance(message["chunk_index"], int)
    assert a_number(message["processing_time_ms"])
    assert a_number(message["start_time"], 0, seconds)
    assert a_number(message["end_time"], message["start_time"], seconds + 0.01)
    assert message["is_final"] is True
    assert isinstance(message["model_used"], str)
    assert message["model_used"]
    assert a_number(message["session_time"])
    assert a_number(message["audio_duration"], 0, seconds + 0.01)
    assert isinstance(message["audio_size_bytes"], int)
    assert message["audio_size_bytes"] > 0
    words = []
    for segment in message["segments"]:
        assert isinstance(segment["text"], str)
        for word in segment["words"]:
            assert isinstance(word["word"], str)
            assert a_number(word["start"], 0, seconds)
            assert a_number(word["end"], word["start"], seconds + 0.01)
            assert a_number(word["probability"], 0, 1)
            words.append(word["word"].strip())
    assert " ".join(words) == " ".join(message["text"].split())


def check_session_info(message: Message, session_id: str) -> None:
    """Every field an old client reads of a session."""
    assert message["type"] == "session_info"
    assert message["session_id"] == session_id
    assert a_recent_moment(message["connected_at"])
    assert isinstance(message["total_chunks"], int)
    assert isinstance(message["full_transcript"], str)
    metrics = message["metrics"]
    assert isinstance(metrics["chunks_processed"], int)
    for name in (
        "avg_processing_time_ms",
        "max_processing_time_ms",
        "min_processing_time_ms",
        "total_session_duration",
        "real_time_factor",
    ):
        assert a_number(metrics[name]), name
    assert a_number(metrics["avg_confidence_score"], 0, 1)
