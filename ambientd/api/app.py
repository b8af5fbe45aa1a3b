"""The web application: every route, in one place."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ambientd.api import (
    auditing,
    backups,
    certificate,
    checks,
    compatible,
    correcting,
    details,
    documents,
    health,
    history,
    limits,
    listen,
    live,
    me,
    microphone,
    pairing,
    people,
    purging,
    search,
    site,
    status,
    stream,
    sync,
    transcriptions,
    vocabulary,
)
from ambientd.api.access import access
from ambientd.api.faults import faults
from ambientd.api.network import NETWORK, harden, meant_for_us
from ambientd.api.services import SERVICES, Services
from ambientd.api.wire import paced

PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
"""What a page may do: speak to the box it came from, and to nobody else."""


ROOMS: Final = (
    stream,
    live,
    listen,
    history,
    details,
    correcting,
    search,
    health,
    auditing,
    backups,
    certificate,
    me,
    pairing,
    people,
    checks,
    limits,
    compatible,
    microphone,
    purging,
    status,
    sync,
    transcriptions,
    vocabulary,
    documents,
)
"""The modules with routes."""


def application(services: Services) -> web.Application:
    """The application for these services; it owns nothing and closes nothing."""
    app = web.Application(middlewares=[paced, faults, meant_for_us, access])
    app[SERVICES] = services
    if services.network is not None:
        app[NETWORK] = services.network
    app.on_response_prepare.append(harden)
    for room in ROOMS:
        app.add_routes(room.routes)
    if services.web:
        app.add_routes(site.routes(services.web, PAGE_HEADERS))
    return app
