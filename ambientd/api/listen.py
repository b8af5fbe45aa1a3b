"""Following a session without speaking to it: the lines there are, then those that come, each once.

Anybody may join at any time, and as many as like; whoever reads too slowly reads again what was stored, and nobody
else waits for him.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import WSMsgType, web

from ambientd.api import reach
from ambientd.api.access import actor, allows, closes
from ambientd.api.farewell import SEND_PATIENCE, code_of, refuse
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES, Services
from ambientd.api.stream import too_slow
from ambientd.api.wire import Socket
from ambientd.core import protocol
from ambientd.core.access import Permission
from ambientd.core.audio import seconds
from ambientd.core.protocol import Message
from ambientd.core.record import EndReason, Refinement, SessionRecord, SessionState
from ambientd.core.room import Recording, listening
from ambientd.errors import AmbientError, ClientError, StoreUnavailable
from ambientd.session.following import follow, stored
from ambientd.session.session import Session
from ambientd.store.audit import Action

logger = logging.getLogger(__name__)

routes = web.RouteTableDef()

TRY_AGAIN: Final = 5.0
"""Seconds."""

LARGEST: Final = 4096
"""Bytes of a message: a listener has nothing to say but ``ping``."""


@routes.get("/ws/listen/{session_id}")
@allows(Permission.READ)
async def listen(request: web.Request) -> web.WebSocketResponse:
    """One listener: ``?partials=0`` without the open utterance, ``?refined=1`` stays for the refined text."""
    services = request.app[SERVICES]
    if request.headers.get("Origin") == "null":
        # A sandboxed frame of any site sends it: it may not read what is said here.
        raise web.HTTPForbidden(text="This page may not listen: it was not served by this box.")
    socket = Socket(max_msg_size=LARGEST, heartbeat=services.heartbeat, compress=False)
    await socket.prepare(request)
    closes(request, socket)
    try:
        messages = await _find(request, services)
    except (ClientError, StoreUnavailable) as error:
        services.registry.faults[code_of(error)] += 1
        await refuse(socket, error)
        return socket
    writer = asyncio.create_task(_write(socket, messages))
    reader = asyncio.create_task(_read(socket))
    try:
        await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writer, reader):
            task.cancel()
        await asyncio.gather(writer, reader, return_exceptions=True)
    fault = None if writer.cancelled() else writer.exception()
    match fault:
        case None:
            await socket.close(code=protocol.CLOSE_ENDED)
        case TimeoutError():
            await refuse(socket, too_slow())
        case AmbientError():
            await refuse(socket, fault)
        case ConnectionResetError():
            logger.debug("listener is gone")
        case _:
            raise fault
    return socket


async def _find(request: web.Request, services: Services) -> AsyncGenerator[Message]:
    """All messages for this listener.

    Raises:
        ClientError: there is no such session, or none in reach.
        StoreUnavailable: the audit, or the store, is not to be had.
    """
    record = await reach.stored(request, Permission.READ)
    session = services.registry.find(record.session_id)
    # Before a word is told: what was seen and is not on record would not be accounted for.
    await services.audit.record(
        actor=actor(request, "client"),
        action=Action.TRANSCRIPT_READ,
        object=record.session_id,
        origin=peer(request),
    )
    if session is not None:
        return _live(session, services, _wanted(request))
    # It may have ended since; if not, it is a recording sent as a file, or its end is not on record yet.
    record = await reach.stored(request, Permission.READ)
    if record.state is SessionState.OPEN:
        raise ClientError(
            "not_live",
            "this session is not live, and not at its end yet",
            hint="Try again when it has ended; a recording's progress is at /api/v1/transcriptions.",
            close_code=protocol.CLOSE_OVERLOADED,
            retry_after=TRY_AGAIN,
        )
    return _past(record, services, refined=request.query.get("refined") in {"1", "true"})


def _wanted(request: web.Request) -> frozenset[str]:
    wanted = {"microphone"}
    if request.query.get("partials") not in {"0", "false"}:
        wanted.add("partial")
    if request.query.get("refined") in {"1", "true"}:
        wanted.add("refined")
    return frozenset(wanted)


async def _live(session: Session, services: Services, wanted: frozenset[str]) -> AsyncGenerator[Message]:
    yield listening(
        session.id,
        state=session.state,
        elapsed=session.duration,
        ephemeral=session.terms.ephemeral,
        live=True,
        later=session.later,
    )
    ended = False
    async with aclosing(follow(session.hub, services.lines, session.id, wanted=wanted)) as messages:
        async for message in messages:
            ended = ended or message["type"] == "session_ended"
            yield message
    if not ended:
        # The listener was too slow to be told, or came when all was over.
        yield protocol.session_ended(
            session.id,
            reason=session.reason or EndReason.ERROR,
            lines=session.metrics.chunks_processed,
            ephemeral=session.terms.ephemeral,
        )


async def _past(record: SessionRecord, services: Services, *, refined: bool) -> AsyncGenerator[Message]:
    yield listening(
        record.session_id,
        state=Recording.ENDED,
        elapsed=seconds(record.metrics.received_samples),
        ephemeral=record.ephemeral,
        live=False,
    )
    for message in await stored(services.lines, record.session_id):
        yield message
    yield protocol.session_ended(
        record.session_id, reason=record.reason or EndReason.ERROR, lines=record.total_chunks
    )
    if refined:
        async with aclosing(_refined(record, services)) as outcome:
            async for message in outcome:
                yield message


async def _refined(record: SessionRecord, services: Services) -> AsyncGenerator[Message]:
    """The outcome of the second hearing, as soon as it is there, if there is one."""
    refiner = services.registry.refiner
    hub = refiner.hub(record.session_id) if refiner else None
    if hub is not None:
        listener = hub.subscribe(frozenset({"refined"}))
        try:
            while (message := await listener.next()) is not None:
                yield message
        finally:
            hub.unsubscribe(listener)
        return
    # It may be there by now.
    now = await services.sessions.get(record.session_id)
    if now is not None and now.refinement is Refinement.DONE:
        lines = await services.lines.refined(now.session_id)
        model = lines[0].model if lines else now.model
        yield protocol.refined(now.session_id, state=now.refinement, lines=lines, model=model, kept=0.0)


async def _write(socket: web.WebSocketResponse, messages: AsyncGenerator[Message]) -> None:
    """Sends all of them; a listener that takes nothing for too long is let go."""
    async with aclosing(messages):
        async for message in messages:
            async with asyncio.timeout(SEND_PATIENCE):
                await socket.send_json(message)


async def _read(socket: web.WebSocketResponse) -> None:
    """Returns when the listener goes; answers its pings."""
    async for message in socket:
        if message.type is WSMsgType.TEXT and '"ping"' in message.data:
            await socket.send_json(protocol.pong())
