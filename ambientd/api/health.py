"""Is it alive, can it work, and how much does it do: for systemd, load balancers and Prometheus."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ambientd.api.access import allows, open_to_all, visitor
from ambientd.api.described import PlainText, described
from ambientd.api.metrics import deliveries
from ambientd.api.models.box import Alive, Ready
from ambientd.api.services import SERVICES, Services
from ambientd.core.access import Permission
from ambientd.core.judging import meant_silent
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.store.copies import damaged

routes = web.RouteTableDef()


@routes.get("/healthz")
@open_to_all
@described(Alive)
async def alive(_request: web.Request) -> web.Response:
    """The event loop turns."""
    return web.json_response({"status": "ok"})


@routes.get("/readyz")
@open_to_all
@described(Ready, also={503: Ready})
async def ready(request: web.Request) -> web.Response:
    """A session opened now would work: the model is loaded (or this would not answer) and the store is writable.

    To whoever may not see the box it says no more than that: reasons name files and devices.
    """
    services = request.app[SERVICES]
    checks = {"model": "ok", "store": "ok", "disk": "ok"}
    try:
        await services.database.writable()
    except StoreUnavailable as error:
        checks["store"] = str(error)
    try:
        services.disk.check()
    except ClientError as error:
        checks["disk"] = str(error)
    good = all(result == "ok" for result in checks.values())
    told: dict[str, Any] = {"status": "ready" if good else "not ready"}
    who = visitor(request)
    if who is not None and not who.locked and who.may([Permission.SEE_BOX]):
        told |= {"checks": checks, "warnings": _warnings(services)}
    return web.json_response(told, status=200 if good else 503)


def _warnings(services: Services) -> list[str]:
    """What does not keep the box from working and wants a person all the same."""
    found = [
        f"The database was damaged and set aside as {copy.name}: rescue what is in it (docs/operations.md), then move"
        " the file away."
        for copy in damaged(services.database.path)
    ]
    if services.retention.doubt is not None:
        found.append(
            f"Nothing is purged: the clock is {services.retention.doubt}. Set it, or if it is right:"
            " ambientctl purge --clock-is-right."
        )
    microphone = services.microphone.state
    if microphone.reason is not None and not meant_silent(microphone, wanted=services.recorder.wanted):
        found.append(f"The microphone gives no sound ({microphone.reason}). {microphone.remedy}")
    if services.audit.owed:
        found.append(f"{services.audit.owed} rows of the audit wait for the disk.")
    return found


@routes.get("/metrics")
@allows(Permission.SEE_BOX)
@described(content={"text/plain": PlainText})
async def metrics(request: web.Request) -> web.Response:
    """All figures in Prometheus' text format."""
    services = request.app[SERVICES]
    figures = generate_latest(services.metrics)
    # A store that cannot be read is told by /readyz; the other figures are wanted all the more then.
    with suppress(StoreUnavailable):
        figures += generate_latest(deliveries(await services.sync.status()))
    return web.Response(body=figures, headers={"Content-Type": CONTENT_TYPE_LATEST})
