"""The WebSocket protocol from the client's side, for the command line and the tests.

async with connect("http://localhost:8000") as connection:
    await connection.send(pcm)
    await connection.end()
    async for event in connection:
        if isinstance(event, Transcript):
            print(event.text)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from ambientd.client_address import DEFAULT_URL, base, connecting
from ambientd.client_events import Connected, Event, ServerError, SessionEnded, parse
from ambientd.core.audio import BYTES_PER_SAMPLE, RATE
from ambientd.errors import AmbientError

_OPENING_SECONDS: Final = 10.0
"""Patience for the connection and for the daemon's first message."""

_CLOSING_SECONDS: Final = 5.0
"""Patience for the other end's half of the closing handshake."""

_DOCUMENT_SECONDS: Final = 30.0
"""Patience for one answer of the REST interface."""

_PATIENT: Final = aiohttp.ClientTimeout(total=_DOCUMENT_SECONDS)

_SENDING_SECONDS: Final = 120.0
"""Patience for the answer once a recording has been sent."""

_LOG: Final = "Look at its log: journalctl -u ambientd"

_CLOSE_CODES: Final[Mapping[int, tuple[str, str]]] = {
    1000: ("The session was closed before it began", ""),
    1001: ("The daemon is going away", "Connect again once it is back."),
    1002: ("The daemon found the WebSocket protocol broken", "Check what lies between here and the daemon."),
    1003: ("The daemon cannot use what was sent", "Send signed 16-bit little-endian PCM, 16 kHz, mono."),
    1006: ("The connection to the daemon broke off", _LOG),
    1008: ("The daemon's rules forbid this", "Check the session id."),
    1009: ("A frame was too big", "Send smaller frames, 8192 bytes for example."),
    1011: ("The daemon failed", _LOG),
    1013: ("The daemon is busy", "Try again later."),
}
"""Close code: what it means, what to do.  Source: RFC 6455 section 7.4.1; 1013 is in IANA's registry."""

_STATUSES: Final[Mapping[int, str]] = {
    401: "It wants to know who is asking.",
    403: "It does not allow this client.",
    404: "Nothing transcribes at this address: check the address and the port.",
    409: "A session with this id is open already: choose another id.",
    429: "Too many connections: try again later.",
    503: "It is busy or not ready: try again later.",
}
"""HTTP status of a refusal: what to do."""


class DaemonUnreachable(AmbientError):
    """Nothing that speaks this protocol answers at the address."""


class ConnectionEnded(AmbientError):
    """The daemon closed the connection for a reason other than the session's end.

    ``code`` is the WebSocket close code; for a refusal before there was a WebSocket, the HTTP status.
    """

    def __init__(self, code: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Refused(ConnectionEnded):
    """The daemon would not do what was asked."""


class Disconnected(ConnectionEnded):
    """The connection was lost, or closed by the daemon, before the session had ended."""


class Connection:
    """One open session.  Iterate over it for its events; it is exhausted when the session has ended.

    Sending and iterating may go on at the same time, each in one task.  Somebody must iterate: the daemon
    drops a client that does not read.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, opened: Connected) -> None:
        self._socket = socket
        self._ended = False
        self._complaint = ""
        self.opened = opened
        """The daemon's greeting."""
        self.sent_samples = 0
        """Audio handed to the network so far."""

    async def send(self, pcm: bytes) -> None:
        """Send PCM16 mono 16 kHz; waits while the daemon takes no more.

        Raises:
            Disconnected: the connection is closed; iterating tells why.
        """
        await self._write(self._socket.send_bytes(pcm))
        self.sent_samples += len(pcm) // BYTES_PER_SAMPLE

    async def play(self, blocks: Iterable[bytes], *, realtime: bool = True) -> None:
        """Send blocks of PCM: each when a microphone had heard it, or as fast as the daemon takes them.

        Raises:
            Disconnected: as :meth:`send`.
        """
        async with aclosing(paced(blocks, realtime=realtime)) as coming:
            async for block in coming:
                await self.send(block)

    async def ping(self) -> None:
        """Ask for a :class:`Pong`."""
        await self._control("ping")

    async def session_info(self) -> None:
        """Ask for a :class:`SessionInfo`."""
        await self._control("session_info")

    async def end(self) -> None:
        """End the session: the lines still due arrive, then :class:`SessionEnded`."""
        await self._control("end_session")

    async def lost(self, samples: int) -> None:
        """Tell that the next samples are lost for good: they become a gap, and time goes on behind it."""
        await self._write(self._socket.send_json({"type": "lost", "samples": samples}))

    async def close(self) -> None:
        """Leave without ending the session; iterating is over.  The daemon ends it in its own way."""
        self._ended = True
        await self._socket.close()

    async def _control(self, kind: str) -> None:
        await self._write(self._socket.send_json({"type": kind}))

    async def _write(self, frame: Awaitable[None]) -> None:
        try:
            await frame
        except ConnectionError as error:  # what aiohttp raises on a closed transport is one too
            raise Disconnected(1006, "The connection to the daemon is closed.", hint=_LOG) from error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            DaemonUnreachable: what answers breaks the protocol: it is not the daemon.
            Disconnected: the connection ended before the session did.
        """
        message = await self._socket.receive()
        event = _event(message)
        if event is not None:
            self._ended = self._ended or isinstance(event, SessionEnded)
            self._complaint = event.message if isinstance(event, ServerError) else ""
            return event
        code = self._socket.close_code or aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        if self._ended or code == aiohttp.WSCloseCode.OK:
            raise StopAsyncIteration
        meaning, hint = _worded(code, self._complaint, message.extra)
        raise Disconnected(code, meaning, hint=hint)


async def paced(blocks: Iterable[bytes], *, realtime: bool) -> AsyncGenerator[bytes]:
    """Blocks of PCM, each when a microphone had heard it, or at once."""
    clock = asyncio.get_running_loop().time
    began, samples = clock(), 0
    for block in blocks:
        samples += len(block) // BYTES_PER_SAMPLE
        # A sleep of nothing is needed too: a send that need not wait never lets the reading task run.
        await asyncio.sleep(max(0.0, began + samples / RATE - clock()) if realtime else 0)
        yield block


@asynccontextmanager
async def connect(
    url: str = DEFAULT_URL,
    *,
    session_id: str | None = None,
    partials: bool = False,
    resume_token: str = "",
    next_line: int = 0,
) -> AsyncIterator[Connection]:
    """Open a session for the length of the ``async with``.

    ``url``: the daemon's address, ``http`` or ``ws``, with or without the path of the endpoint.
    ``partials``: ask for the open utterance too.  ``resume_token``: of a session of that id, to take it up again even
    while the daemon still believes in its old connection; the greeting then says from where to go on.  The lines from
    ``next_line`` on that were written meanwhile follow.

    Leaving early closes the connection, and the daemon ends the session.

    Raises:
        DaemonUnreachable: nothing answers there, or something else does.
        Refused: the daemon answers and will not open the session.
    """
    address = websocket_address(url, session_id=session_id, partials=partials)
    if resume_token:
        address = address.update_query(resume=1)
    # No limit on the whole, since a session lasts hours.  And no heartbeat from this side: while the daemon
    # takes no more audio its answer is late, and a busy daemon would look like a dead one.
    async with connecting(url, aiohttp.ClientTimeout(total=None)) as http:
        try:
            async with asyncio.timeout(_OPENING_SECONDS):
                socket = await http.ws_connect(
                    address, timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING_SECONDS)
                )
                if resume_token:
                    await socket.send_json({"type": "resume", "token": resume_token, "next_line": next_line})
                connection = Connection(socket, await _greeting(socket))
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(error.status) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(url) from error
        try:
            yield connection
        finally:
            await socket.close()


async def fetch_transcript(session_id: str, form: str, *, url: str = DEFAULT_URL, tier: str = "final") -> str:
    """The stored transcript of a session, as ``text``, ``json``, ``srt``, ``vtt`` or ``fhir``.

    ``tier``: ``final``, ``live``, or ``refined``, which not every session has.

    Raises:
        DaemonUnreachable: nothing answers there.
        Refused: the daemon answers and does not give it; ``code`` is the HTTP status.
    """
    address = _base(url).joinpath("api/v1/sessions", quote(session_id, safe=""), "transcript", encoded=True)
    limits = aiohttp.ClientTimeout(total=_DOCUMENT_SECONDS)
    query = {"format": form} if tier == "final" else {"format": form, "tier": tier}
    try:
        async with (
            connecting(url, limits) as http,
            http.get(address.with_query(query)) as response,
        ):
            if response.status != 200:  # noqa: PLR2004  HTTP's "OK"
                raise _refused(response.status)
            return await response.text("utf-8")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(url) from error


async def send_recording(path: Path, *, url: str = DEFAULT_URL) -> str:
    """Sends a recording as a file to be heard in the background; gives its id.

    Raises:
        DaemonUnreachable: nothing answers at ``url``.
        Refused: the daemon does not take it, and why.
    """
    address = _base(url).joinpath("api/v1/transcriptions")
    # As long as it takes to send the file, but not for an answer that never comes.
    patience = aiohttp.ClientTimeout(total=None, sock_connect=_OPENING_SECONDS, sock_read=_SENDING_SECONDS)
    with path.open("rb") as file:
        return str((await _asked("POST", address, url=url, data=file, patience=patience))["id"])


async def recording(session_id: str, *, url: str = DEFAULT_URL) -> Mapping[str, Any]:
    """Where a recording stands that was sent as a file, and what came of it.

    Raises:
        DaemonUnreachable: nothing answers at ``url``.
        Refused: there is none of that id.
    """
    return await _asked("GET", _recording(url, session_id), url=url, patience=_PATIENT)


async def cancel_recording(session_id: str, *, url: str = DEFAULT_URL) -> None:
    """Breaks a recording off that was sent as a file.

    Raises:
        DaemonUnreachable: nothing answers at ``url``.
        Refused: there is none of that id.
    """
    await _asked("DELETE", _recording(url, session_id), url=url, patience=_PATIENT)


def _recording(url: str, session_id: str) -> URL:
    return _base(url).joinpath("api/v1/transcriptions").joinpath(quote(session_id, safe=""), encoded=True)


async def _asked(
    method: str, address: URL, *, url: str, patience: aiohttp.ClientTimeout, data: BinaryIO | None = None
) -> Mapping[str, Any]:
    """One call of the REST interface."""
    try:
        async with (
            connecting(url, patience) as http,
            http.request(method, address, data=data) as response,
        ):
            fields = await response.json() if response.content_type == "application/json" else {}
            if response.ok and isinstance(fields, dict):
                return fields
            detail = fields.get("detail") if isinstance(fields, dict) else None
            if isinstance(detail, str):
                raise Refused(response.status, f"The daemon refused: {detail}")
            raise _refused(response.status)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(url) from error


def websocket_address(url: str, *, session_id: str | None = None, partials: bool = False) -> URL:
    """The address to connect to.

    Raises:
        DaemonUnreachable: ``url`` is no address.
    """
    daemon = _base(url)
    address = daemon.with_scheme("wss" if daemon.scheme == "https" else "ws").joinpath("ws/transcribe")
    if session_id is not None:
        address = address.joinpath(quote(session_id, safe=""), encoded=True)
    return address.with_query(partials=1) if partials else address


def _base(url: str) -> URL:
    """The daemon's own address, ``http`` or ``https``, from any way of giving it."""
    try:
        return base(url)
    except ValueError as error:
        raise _unreachable(url) from error


async def _greeting(socket: aiohttp.ClientWebSocketResponse) -> Connected:
    complaint = ""
    while True:
        message = await socket.receive()
        event = _event(message)
        if isinstance(event, Connected):
            return event
        if isinstance(event, ServerError):
            complaint = event.message
        elif event is None:
            code = socket.close_code or aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            meaning, hint = _worded(code, complaint, message.extra)
            raise Refused(code, meaning, hint=hint)


def _event(message: aiohttp.WSMessage) -> Event | None:
    """What a frame says; ``None`` once the connection is closed."""
    if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
        return None
    try:
        return parse(str(message.data))
    except ValueError as error:
        raise DaemonUnreachable(
            "What answers does not speak the transcription protocol.", hint="Check the address and the port."
        ) from error


def _worded(code: int, complaint: str, reason: str | None) -> tuple[str, str]:
    """Why a connection ended, as message and hint.

    ``complaint``: the ``error`` message just before the close, which says itself what to do.  ``reason``: the
    text in the close frame, which has no room for that.
    """
    meaning, hint = _CLOSE_CODES.get(code, (f"The connection closed with code {code}", _LOG))
    if complaint:
        return f"{meaning}: {complaint}", ""
    return (f"{meaning}: {reason}." if reason else f"{meaning}."), hint


def _refused(status: int) -> Refused:
    hint = _STATUSES.get(status, _STATUSES[404] if status < 500 else _LOG)  # noqa: PLR2004  HTTP: theirs to mend
    return Refused(status, f"The daemon refused with HTTP status {status}.", hint=hint)


def _unreachable(url: str) -> DaemonUnreachable:
    return DaemonUnreachable(
        f"No ambientd answers at {url}.",
        hint="Start it: make run in a checkout, systemctl start ambientd where it is installed.",
    )
