"""A daemon without an engine: it answers a client as a test tells it to, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import WSMsgType, web

Socket = web.WebSocketResponse
Script = Callable[[Socket, "ScriptedDaemon"], Awaitable[None]]

CONNECTED = {
    "type": "connected",
    "session_id": "room-1",
    "message": "Connected.",
    "config": {"sample_rate": 16000, "channels": 1, "chunk_duration": 8.0, "whisper_model": "base-q8_0"},
}


def transcript(index: int, text: str, start: float, end: float, confidence: float = 0.9) -> dict[str, Any]:
    words = [{"word": word, "start": start, "end": end, "probability": confidence} for word in text.split()]
    return {
        "type": "transcript",
        "text": text,
        "confidence": confidence,
        "chunk_index": index,
        "processing_time_ms": 321.5,
        "start_time": start,
        "end_time": end,
        "is_final": True,
        "model_used": "base-q8_0",
        "language": "en",
        "segments": [{"text": text, "language": "en", "start": start, "end": end, "words": words}],
        "session_time": end,
        "audio_duration": end - start,
        "audio_size_bytes": int((end - start) * 32000),
    }


def partial(text: str, start: float, end: float) -> dict[str, Any]:
    return {"type": "partial", "text": text, "stable_text": "", "start_time": start, "end_time": end}


class ScriptedDaemon:
    """``script`` says what happens on a connection; what clients sent is kept for the test to look at."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.url = ""
        self.paths: list[str] = []
        self.audio_bytes = 0
        self.texts: list[dict[str, Any]] = []
        self.documents: dict[str, str] = {}
        self.recordings: list[dict[str, Any]] = []
        """What is answered of a recording sent as a file, one after the other; the last for good."""
        self.received = b""

    async def until_end(self, socket: Socket) -> None:
        """Take audio and control messages up to ``end_session`` or the client's departure."""
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio_bytes += len(message.data)
            elif message.type is WSMsgType.TEXT:
                self.texts.append(message.json())
                if self.texts[-1]["type"] == "end_session":
                    return

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await self.script(socket, self)
        return socket

    async def document(self, request: web.Request) -> web.Response:
        self.paths.append(request.path_qs)
        try:
            return web.Response(text=self.documents[request.query["format"]])
        except KeyError:
            raise web.HTTPNotFound from None

    async def take(self, request: web.Request) -> web.Response:
        self.received = await request.read()
        if not self.recordings:
            return web.json_response({"detail": "no recording", "code": "bad_recording"}, status=415)
        return web.json_response(self.recordings[0], status=202)

    async def recording(self, request: web.Request) -> web.Response:
        self.paths.append(f"{request.method} {request.path}")
        if request.method == "DELETE":
            self.recordings = [self.recordings[0] | {"state": "cancelled"}]
        fields = self.recordings[0]
        if len(self.recordings) > 1:
            self.recordings.pop(0)
        return web.json_response(fields)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws/transcribe", self.stream)
        app.router.add_get("/ws/transcribe/{session_id}", self.stream)
        app.router.add_get("/api/v1/sessions/{session_id}/transcript", self.document)
        app.router.add_post("/api/v1/transcriptions", self.take)
        app.router.add_route("*", "/api/v1/transcriptions/{id}", self.recording)
        return app


@contextlib.contextmanager
def running(script: Script) -> Iterator[ScriptedDaemon]:
    """A scripted daemon on a free port, in a thread of its own: the main thread is the client's, for signals."""
    daemon = ScriptedDaemon(script)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(daemon.app(), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        daemon.url = f"http://127.0.0.1:{port}"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield daemon
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
