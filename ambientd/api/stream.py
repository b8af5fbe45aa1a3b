"""The WebSocket of the seed protocol: frames in, messages out.

Two loops per connection: one reads frames and feeds the session, one writes what the session's hub queues for it.
The reader never waits for a decode, only for room in the inbox, which slows the sender down through TCP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from aiohttp import WSMsgType, web

from ambientd.api.access import actor, allows, caller, closes, even_locked, locked
from ambientd.api.farewell import SEND_PATIENCE, code_of, refuse
from ambientd.api.origin import is_encrypted, peer
from ambientd.api.reach import own_id
from ambientd.api.services import SERVICES, Services
from ambientd.api.wire import Socket
from ambientd.core import details, protocol
from ambientd.core.access import Permission
from ambientd.core.record import BOX, EndReason
from ambientd.core.room import Recording
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.session.following import Shown
from ambientd.session.hold import Hold, taken_over
from ambientd.session.hub import Listener
from ambientd.session.session import Session
from ambientd.store.audit import Action

logger = logging.getLogger(__name__)

routes = web.RouteTableDef()

PATIENCE: Final = 4.0
"""Seconds a peer has to answer a close frame."""

TOKEN_PATIENCE: Final = 10.0
"""Seconds a client that wants to resume has to say so."""

_FAREWELLS: Final = {EndReason.SHUTDOWN: protocol.CLOSE_GOING_AWAY, EndReason.ERROR: protocol.CLOSE_ERROR}
"""Reason of the session's end -> close code, where that is not the ordinary one."""

HARD_LIMIT: Final = 16 * 2**20
"""Bytes of a frame beyond which aiohttp cuts the connection without a word; smaller ones that are still too big
are read to their end, so that the client can be told why."""

HARD_LIMIT_OF_NETWORK: Final = 2**20
"""The same for who comes from the network: there are many, and each could fill so much memory."""


@routes.get("/ws/transcribe")
@routes.get("/ws/transcribe/{session_id}")
@even_locked
@allows(Permission.RECORD)
async def transcribe(request: web.Request) -> web.WebSocketResponse:
    """One client's conversation."""
    services = request.app[SERVICES]
    socket = Socket(
        autoping=False,
        max_msg_size=max(
            HARD_LIMIT_OF_NETWORK if is_encrypted(request) else HARD_LIMIT, services.max_frame_bytes + 1
        ),
        compress=False,  # PCM does not compress, and trying costs more than sending
        timeout=PATIENCE,
    )
    await socket.prepare(request)
    closes(request, socket)
    try:
        session, resumed, next_line = await _open(request, socket, services)
    except (ClientError, StoreUnavailable) as error:
        services.registry.faults[code_of(error)] += 1
        await refuse(socket, error)
        return socket
    services.gate.records(caller(request), session)
    # From here on no frame of an older connection is taken, so what the greeting tells stays true.
    hold = session.attach()
    listener = session.hub.subscribe(_wanted(request))
    try:
        await socket.send_json(greeting(session, services, resumed=resumed))
        shown = Shown(next_line or 0)
        if next_line is not None:
            await _catch_up(socket, session, shown, services)
        voice = Voice(session, hold, listener, shown, peer(request))
        await _converse(socket, voice, services)
    except ConnectionResetError:
        logger.debug("client is gone", extra={"session": session.id})
    finally:
        session.hub.unsubscribe(listener)
        if hold.lost.is_set():
            pass  # the client is on another connection by now
        elif socket.close_code == protocol.CLOSE_ENDED:
            session.end(EndReason.DISCONNECT)  # unless it is ending already: the first reason counts
        elif not session.ending:
            session.desert(hold)
    return socket


@dataclass(frozen=True, slots=True)
class Voice:
    """One connection's part in a session."""

    session: Session
    hold: Hold
    listener: Listener
    shown: Shown
    """What it has been told already."""
    origin: str | None
    """Where it comes from."""


async def _catch_up(
    socket: web.WebSocketResponse, session: Session, shown: Shown, services: Services
) -> None:
    """Sends the lines a client missed."""
    for line in await services.lines.lines(session.id):
        message = protocol.transcript(line, session_time=session.duration)
        if shown.takes(message):
            await socket.send_json(message)


def greeting(session: Session, services: Services, *, resumed: bool) -> protocol.Message:
    """The ``connected`` message."""
    return protocol.connected(
        session.id,
        sample_rate=session.terms.sample_rate,
        channels=session.terms.channels,
        chunk_duration=services.chunk_duration,
        whisper_model=services.model,
        audio_buffer_size=services.audio_buffer_size,
        language=session.language,
        received_samples=session.taken,
        resumed=resumed,
        resume_token=session.resume_token,
        ephemeral=session.terms.ephemeral,
        paused=session.state is Recording.PAUSED,
        later=session.later,
    )


def too_slow() -> ClientError:
    """What somebody is told who does not take what is sent."""
    return ClientError(
        "too_slow",
        "messages were not read fast enough",
        hint="Read the transcript from /api/v1/sessions.",
        close_code=protocol.CLOSE_POLICY,
    )


async def _open(
    request: web.Request, socket: web.WebSocketResponse, services: Services
) -> tuple[Session, bool, int | None]:
    """The session to speak to: a new one, or one whose client is back, and from which line on that one missed some.

    What was said is told again only to who knows the session's token: an id can be guessed.
    """
    asked = request.match_info.get("session_id")
    principal = caller(request)
    session_id = own_id(principal, asked) if asked is not None else None
    if session_id is not None:
        ticket = await _ticket(socket) if _asked(request, "resume") else protocol.Resume("")
        if back := services.registry.resume(session_id, ticket.token):
            services.audit.note(
                actor=actor(request, "client"),
                action=Action.SESSION_RESUMED,
                object=session_id,
                origin=request.remote,
            )
            return back, True, ticket.next_line if back.knows(ticket.token) else None
    if principal.locked:
        raise locked()  # a recording may be taken up again, not begun
    terms = replace(
        services.terms(),
        ephemeral=_asked(request, "ephemeral"),
        later=_asked(request, "later"),
        owner=principal.id,
    )
    session = await services.registry.open(session_id, terms, client=request.remote or "")
    return session, session.reopened, None


async def _ticket(socket: web.WebSocketResponse) -> protocol.Resume:
    """With what a client takes its session up again: the first thing it says.

    Not in the address, which lands in the logs of every proxy between.
    """
    try:
        async with asyncio.timeout(TOKEN_PATIENCE):
            message = await socket.receive()
    except TimeoutError:
        return protocol.parse_resume(protocol.Control("", {}))
    if message.type is not WSMsgType.TEXT:
        return protocol.parse_resume(protocol.Control("", {}))
    return protocol.parse_resume(protocol.parse_control(message.data))


def _wanted(request: web.Request) -> frozenset[str]:
    """The opt-in messages the address asks for: ``?partials=1&acks=1&load=1&refined=1``."""
    return frozenset(kind for name, kind in protocol.WISHED.items() if _asked(request, name))


def _asked(request: web.Request, name: str) -> bool:
    return request.query.get(name) in {"1", "true"}


@dataclass(slots=True)
class _Pulse:
    """Signs of life of one connection."""

    heard_at: float
    busy: bool = False
    """A frame is waiting for room in the inbox: the client may well be alive, it is we who do not listen."""


async def _converse(socket: web.WebSocketResponse, voice: Voice, services: Services) -> None:
    """Reads and writes until the session ends, the client goes or speaks elsewhere, or one breaks the rules."""
    pulse = _Pulse(time.monotonic())
    reader = asyncio.create_task(_read(socket, voice, pulse, services))
    writer = asyncio.create_task(_write(socket, voice))
    watcher = asyncio.create_task(_watch(socket, pulse, every=services.heartbeat))
    displaced = asyncio.create_task(voice.hold.lost.wait())
    tasks = {reader, writer, watcher, displaced}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # aiohttp closes properly, waiting for the peer's own close frame, only while nobody else is reading.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if voice.hold.lost.is_set():
        await refuse(socket, taken_over())
    elif not reader.cancelled() and (fault := reader.result()):
        voice.session.end(EndReason.DISCONNECT)  # a client that breaks the protocol is not waited for
        await refuse(socket, fault)
    elif not writer.cancelled():
        farewell = writer.result()
        if isinstance(farewell, ClientError):
            await refuse(socket, farewell)
        else:
            await socket.close(code=farewell)


async def _write(socket: web.WebSocketResponse, voice: Voice) -> int | ClientError:
    """Sends what is queued until the session ends or the listener falls behind; gives the way to close."""
    listener = voice.listener
    reason = None
    while (message := await listener.next()) is not None:
        if not voice.shown.takes(message):
            continue
        try:
            async with asyncio.timeout(SEND_PATIENCE):
                await socket.send_json(message)
        except TimeoutError:
            return too_slow()
        if message["type"] == "session_ended":
            reason = message["reason"]
    if listener.overrun:
        return too_slow()
    # Without a session_ended nothing was stored as ended.
    return _FAREWELLS.get(reason, protocol.CLOSE_ENDED) if reason else protocol.CLOSE_ERROR


async def _watch(socket: web.WebSocketResponse, pulse: _Pulse, *, every: float) -> None:
    """Pings the client every so many seconds; returns when it has been silent for half as long again.

    aiohttp's own heartbeat cannot be used: while a full inbox keeps us from reading, the client's pongs wait behind
    its audio, and it would be taken for dead because we are slow.
    """
    while True:
        await asyncio.sleep(every)
        if pulse.busy:
            continue
        if time.monotonic() - pulse.heard_at > 1.5 * every:
            logger.info("client did not answer pings")
            return
        await socket.ping()


async def _read(
    socket: web.WebSocketResponse, voice: Voice, pulse: _Pulse, services: Services
) -> ClientError | None:
    """Feeds the session until the socket closes; gives the fault if the connection cannot go on."""
    session, listener = voice.session, voice.listener
    async for message in socket:
        # Replies must not pile up faster than they can be sent: the client that asks faster waits, nobody else.
        pulse.busy = True
        await listener.room()
        pulse.busy = False
        pulse.heard_at = time.monotonic()
        if voice.hold.lost.is_set():
            return None
        try:
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                _check_size(message.data, services.max_frame_bytes)
                pulse.busy = True
                await session.feed(message.data, voice.hold)
                pulse.busy = False
                pulse.heard_at = time.monotonic()
            elif message.type is WSMsgType.TEXT:
                session.touch()
                _check_size(message.data, services.max_frame_bytes)
                control = protocol.parse_control(message.data)
                await _obey(control, session, listener, services, origin=voice.origin)
        except ClientError as error:
            pulse.busy = False
            services.registry.faults[error.code] += 1
            if error.close_code is not None:
                return error
            listener.put(protocol.error(error))
        except StoreUnavailable as error:
            listener.put(protocol.error(error))  # what it said of itself is not stored; its lines may yet be
    return None


def _check_size(data: bytes | str, most: int) -> None:
    if len(data) > most:
        raise ClientError(
            "frame_too_big",
            f"the frame holds more than the {most} bytes this server takes, and was not taken",
            hint="Send frames of config.audio_buffer_size bytes.",
            close_code=protocol.CLOSE_TOO_BIG,
        )


async def _obey(
    control: protocol.Control, session: Session, listener: Listener, services: Services, *, origin: str | None
) -> None:
    match control.type:
        case "ping":
            listener.put(protocol.pong())
        case "session_info":
            listener.put(session.info())
        case "end_session":
            session.end(EndReason.CLIENT)
        case "pause" | "resume_recording" | "discard_session":
            _steer(control.type, session, origin)
        case "lost":
            session.lost(protocol.parse_lost(control.fields, sample_rate=session.terms.sample_rate))
        case "resume":
            pass  # the session goes on already
        case "configure":
            wishes = protocol.parse_wishes(control.fields)
            session.configure(wishes)
            if wishes.details:
                now = datetime.now(UTC)
                await services.sessions.amend(
                    session.id,
                    lambda before: details.changed(before, wishes.details, now=now),
                    actor=_speaker(session),
                )
            listener.wanted = wishes.applied(listener.wanted)
            listener.put(protocol.configured(language=session.language, wanted=listener.wanted))


def _steer(wish: str, session: Session, origin: str | None) -> None:
    match wish:
        case "pause":
            session.pause()
        case "resume_recording":
            session.go_on()
        case "discard_session":
            session.discard(origin, actor=_speaker(session))


def _speaker(session: Session) -> str:
    """Who speaks on a session's connection, for the audit: only its owner can."""
    return "client" if session.owner == BOX else session.owner
