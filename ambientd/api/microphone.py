"""REST over the room's microphone: how it does, and the one session it goes into.

Whoever may not reach the session that is being recorded sees that there is one, and nothing else of it.  Silence may
always be asked for: a locked screen still pauses and stops what its own log-in records, and sees nothing by it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows, caller, even_locked
from ambientd.api.body import json_object
from ambientd.api.described import described
from ambientd.api.models.room import MicrophoneStanding, TakeBegun, TakeWanted, TrialHeard
from ambientd.api.origin import peer
from ambientd.api.reach import within_reach
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission, Principal, Role
from ambientd.core.protocol import Wishes, parse_wishes
from ambientd.core.room import device_fields
from ambientd.errors import ClientError
from ambientd.session.microphone import Recorder, Wish, not_recording
from ambientd.session.trial import SECONDS

routes = web.RouteTableDef()

FIELDS: Final = ("language", "prompt", "vocabulary", "encounter", "patient", "consent", "ephemeral", "later")

NAMELESS: Final = {"session_id": None, "quiet_seconds": None, "stops_in_seconds": None}
"""What is not told of another's session."""


@routes.get("/api/v1/microphone")
@allows(Permission.WATCH, Permission.SEE_BOX)
@described(MicrophoneStanding)
async def state(request: web.Request) -> web.Response:
    """Devices, state, level, and the session that is being recorded."""
    return _told(request)


@routes.post("/api/v1/microphone/start")
@allows(Permission.RECORD)
@described(TakeBegun, status=201, body=TakeWanted, body_required=False, errors=(409, 507))
async def start(request: web.Request) -> web.Response:
    """Opens a session for what the microphone hears; answers once it hears."""
    fields = await json_object(request) if request.can_read_body else {}
    if unknown := fields.keys() - set(FIELDS):
        raise ClientError(
            "unknown_field",
            f"the body has {len(unknown)} field(s) that are not known",
            hint=f"Known fields: {', '.join(FIELDS)}.",
        )
    ephemeral = fields.pop("ephemeral", False)
    if not isinstance(ephemeral, bool):
        raise ClientError("bad_field", "ephemeral must be true or false")
    later = fields.pop("later", False)
    if not isinstance(later, bool):
        raise ClientError("bad_field", "later must be true or false")
    session = await request.app[SERVICES].recorder.start(
        Wish(
            parse_wishes(fields) if fields else Wishes(),
            ephemeral=ephemeral,
            later=later,
            owner=caller(request).id,
            actor=actor(request, "client"),
            origin=peer(request),
        )
    )
    request.app[SERVICES].gate.records(caller(request), session)
    return web.json_response({"session_id": session.id}, status=201)


@routes.post("/api/v1/microphone/pause")
@even_locked
@allows(Permission.STEER)
@described(MicrophoneStanding, errors=(409,))
async def pause(request: web.Request) -> web.Response:
    """Time stands still for the session; nothing is heard until it is resumed.  A locked screen may ask for it too."""
    recorder, meant = _steered(request, Permission.STEER)
    await recorder.pause(meant)
    return _told(request)


@routes.post("/api/v1/microphone/resume")
@allows(Permission.STEER)
@described(MicrophoneStanding, errors=(409,))
async def resume(request: web.Request) -> web.Response:
    """The session goes on."""
    recorder, meant = _steered(request, Permission.STEER)
    await recorder.resume(meant)
    return _told(request)


@routes.post("/api/v1/microphone/stop")
@even_locked
@allows(Permission.STEER)
@described(MicrophoneStanding, errors=(409,))
async def stop(request: web.Request) -> web.Response:
    """Ends the session; answers once all that was heard is stored.  A locked screen may ask for it too."""
    recorder, meant = _steered(request, Permission.STEER)
    await recorder.stop(meant)
    return _told(request)


@routes.post("/api/v1/microphone/discard")
@allows(Permission.DELETE)
@described(MicrophoneStanding, errors=(409,))
async def discard(request: web.Request) -> web.Response:
    """Destroys the session with all that was heard; answers once nothing of it is left."""
    recorder, meant = _steered(request, Permission.DELETE)
    await recorder.discard(meant, actor=actor(request, "client"), origin=peer(request))
    return _told(request)


@routes.post("/api/v1/microphone/test")
@allows(Permission.RECORD)
@described(TrialHeard, errors=(409,))
async def test(request: web.Request) -> web.Response:
    """Hears five seconds, in memory only: the level, and, except for programs, what was understood."""
    services = request.app[SERVICES]
    recorder = services.recorder
    trial = await recorder.try_out(SECONDS)
    # Before a word is told: who has heard the room, and from where.
    await services.audit.record(
        actor=actor(request, "client"), action="microphone.tried", origin=peer(request)
    )
    device = recorder.microphone.state.device
    words = {} if _may_hear(caller(request)) else {"text": None, "language": None}
    return web.json_response(
        {**asdict(trial), **words, "device": None if device is None else device_fields(device)}
    )


def _may_hear(principal: Principal) -> bool:
    """Whether somebody is told what the room said in a trial: people are, and the box itself.

    A program is not, though it may record: nobody in the room asked it, and no session shows it.
    """
    return principal.is_local or (principal.login is not None and principal.role is not Role.INTEGRATION)


def _steered(request: web.Request, permission: Permission) -> tuple[Recorder, str]:
    """The recorder, and the id of what it records, if the caller has ``permission`` over that.

    The id goes with the order: by the time the order is carried out, another session may be recorded.

    Raises:
        ClientError: nothing is recorded, or a session of another's.
    """
    recorder = request.app[SERVICES].recorder
    session = recorder.session
    if session is None:
        raise not_recording()
    if not within_reach(request, permission, session.owner):
        raise ClientError("microphone_in_use", "the microphone records a session of somebody else's")
    return recorder, session.id


def _told(request: web.Request) -> web.Response:
    recorder = request.app[SERVICES].recorder
    told: dict[str, Any] = dict(recorder.fields())
    session = recorder.session
    locked = caller(request).locked
    if session is not None and (locked or not within_reach(request, Permission.WATCH, session.owner)):
        told["session"] |= NAMELESS
    if recorder.last_owner is not None and (
        locked or not within_reach(request, Permission.WATCH, recorder.last_owner)
    ):
        told["last"] = None
    told["devices"] = [device_fields(device) for device in recorder.microphone.devices]
    return web.json_response(told)
