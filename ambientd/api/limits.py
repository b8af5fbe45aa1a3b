"""Who is shut out, and how to let him in again; for whoever keeps the box."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import described
from ambientd.api.models.box import Freed, LimitsStanding
from ambientd.api.network import NETWORK
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.errors import ClientError

routes = web.RouteTableDef()


@routes.get("/api/v1/limits")
@allows(Permission.SEE_BOX, Permission.RUN_BOX)
@described(LimitsStanding)
async def limits(request: web.Request) -> web.Response:
    """The addresses that are shut out, and how often what was refused since the start."""
    network = request.app.get(NETWORK)
    if network is None:
        return web.json_response({"banned": [], "refused": {}, "connections": 0})
    now = datetime.now(UTC)
    banned = [
        {
            "address": ban.address,
            "reason": ban.reason,
            "until": (now + timedelta(seconds=network.limits.seconds_left(ban))).isoformat(
                timespec="seconds"
            ),
            "seconds_left": round(network.limits.seconds_left(ban)),
        }
        for ban in network.limits.bans
    ]
    return web.json_response(
        {"banned": banned, "refused": dict(network.limits.refused), "connections": network.connections}
    )


@routes.delete("/api/v1/limits/{address:[0-9A-Fa-f.:/]+}")
@allows(Permission.RUN_BOX)
@described(Freed)
async def free(request: web.Request) -> web.Response:
    """Let an address in again, with all its counts forgotten."""
    network = request.app.get(NETWORK)
    address = request.match_info["address"].partition("/")[0]
    if network is None or not network.limits.free(address):
        raise ClientError(
            "not_banned", "this address is not shut out", hint="ambientctl limits list shows who is."
        )
    await request.app[SERVICES].audit.record(
        actor=actor(request, "operator"), action="address.freed", object=address, origin=peer(request)
    )
    return web.json_response({"address": address, "banned": False})
