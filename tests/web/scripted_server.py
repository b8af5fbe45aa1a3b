"""The service's side of the wire protocol, spoken from a script: it records what a page sends, decodes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

WEB = Path(__file__).parents[2] / "web"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The strictest content policy the page is promised to live with."""


def transcript(index: int, text: str, start: float, end: float, confidence: float = 0.93) -> dict[str, Any]:
    """A ``transcript`` message with every field of the protocol; ``words`` share the line's confidence."""
    words = [
        {"word": f" {word}", "start": start, "end": end, "probability": confidence} for word in text.split()
    ]
    return {
        "type": "transcript",
        "text": text,
        "confidence": confidence,
        "chunk_index": index,
        "processing_time_ms": 420.0 + 40 * index,
        "start_time": start,
        "end_time": end,
        "is_final": True,
        "model_used": "base",
        "language": "en",
        "segments": [{"text": text, "language": "en", "start": start, "end": end, "words": words}],
        "session_time": end,
        "audio_duration": end - start,
        "audio_size_bytes": int((end - start) * 32000),
    }


class ScriptedServer:
    """Serves ``web/`` at ``/`` and one session at a time at ``/ws/transcribe``, on a port of its own.

    Recorded: ``pcm`` (all audio bytes in order), ``frames`` (the size of each), ``orders`` (types of the JSON
    messages), ``target`` (path and query of the last session).  A test changes ``config`` before the page
    connects, and talks through ``say`` and ``close`` afterwards.
    """

    def __init__(self) -> None:
        self.config: dict[str, Any] = {
            "sample_rate": 16000,
            "channels": 1,
            "chunk_duration": 8.0,
            "whisper_model": "base",
            "audio_buffer_size": 8192,
        }
        self.pcm = bytearray()
        self.frames: list[int] = []
        self.orders: list[str] = []
        self.target = ""
        self.resumable = False
        """Whether sessions can be taken up again after their connection broke."""
        self.tickets: list[dict[str, Any]] = []
        """The first messages of connections that did so."""
        self._arrived = asyncio.Condition()
        self.reading = asyncio.Event()
        self.reading.set()
        self.session: web.WebSocketResponse | None = None
        application = web.Application()
        application.router.add_get("/ws/transcribe", self._talk)
        application.router.add_get("/ws/transcribe/{session_id}", self._talk)
        application.router.add_get("/", self._page)
        application.router.add_get("/{name}", self._page)
        self._runner = web.AppRunner(application, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reading.set()
        if self.session is not None:
            await self.session.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    @property
    def samples(self) -> np.ndarray:
        """int16[n]: everything received."""
        return np.frombuffer(bytes(self.pcm), dtype="<i2")

    async def heard(self, size: float, seconds: float = 15.0) -> None:
        """Waits until at least ``size`` bytes of audio are here.

        Raises:
            TimeoutError: they did not come.
        """
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.pcm) >= size)

    async def say(self, **message: Any) -> None:
        """Sends one JSON message to the page."""
        assert self.session is not None, "no page is connected"
        await self.session.send_json(message)

    async def close(self, code: int, reason: str = "") -> None:
        """Closes the session's socket with a code and a reason."""
        assert self.session is not None, "no page is connected"
        await self.session.close(code=code, message=reason.encode())

    async def _page(self, request: web.Request) -> web.StreamResponse:
        path = WEB / request.match_info.get("name", "websocket_test.html")
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(
            path, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        )

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        session = web.WebSocketResponse(compress=False, max_msg_size=262144)
        await session.prepare(request)
        self.session = session
        self.target = request.path_qs
        resumed = self.resumable and request.query.get("resume") == "1"
        if resumed:
            self.tickets.append(await session.receive_json())
        else:
            self.pcm.clear()
            self.frames.clear()
            self.orders.clear()
        await session.send_json(
            {
                "type": "connected",
                **({"resume_token": "known to us two"} if self.resumable else {}),
                "received_samples": len(self.pcm) // 2,
                "resumed": resumed,
                "session_id": request.match_info.get("session_id", "made-by-server"),
                "message": "WebSocket connection established",
                "config": self.config,
            }
        )
        async for message in session:
            await self.reading.wait()
            if message.type == WSMsgType.BINARY:
                self.pcm += message.data
                self.frames.append(len(message.data))
                async with self._arrived:
                    self._arrived.notify_all()
            elif message.type == WSMsgType.TEXT:
                await self._obey(session, json.loads(message.data)["type"])
        return session

    async def _obey(self, session: web.WebSocketResponse, order: str) -> None:
        self.orders.append(order)
        if order == "ping":
            await session.send_json({"type": "pong"})
        elif order == "session_info":
            metrics = {"chunks_processed": 2, "avg_processing_time_ms": 431.25, "real_time_factor": 0.08}
            await session.send_json(
                {
                    "type": "session_info",
                    "session_id": "made-by-server",
                    "connected_at": "2024-01-15T10:00:00Z",
                    "total_chunks": 2,
                    "full_transcript": "Good morning.",
                    "metrics": metrics,
                }
            )
        elif order == "end_session":
            seconds = len(self.pcm) / 32000
            await session.send_json(transcript(0, "The last words.", 0.0, seconds))
            await session.send_json({"type": "session_ended", "message": "Session ended and stored"})
            await session.close(code=WSCloseCode.OK)
