"""What is wrong with the box and what mends it: for the page, and for ``ambientctl doctor``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from aiohttp import web

from ambientd.api.access import allows
from ambientd.api.described import described
from ambientd.api.models.box import Checks
from ambientd.api.own_checks import own_findings
from ambientd.api.services import SERVICES, Check
from ambientd.core.access import Permission
from ambientd.core.checks import Finding, Severity, merged, worst
from ambientd.errors import AmbientError

logger = logging.getLogger(__name__)

routes = web.RouteTableDef()


@routes.get("/api/v1/checks")
@allows(Permission.SEE_BOX)
@described(Checks)
async def checks(request: web.Request) -> web.Response:
    """Every check, the worst finding first; ``status`` is that one's severity."""
    services = request.app[SERVICES]
    own: Check = partial(own_findings, services)
    found = merged(*[await _outcome(check) for check in (own, *services.checks)])
    return web.json_response({"status": worst(found), "checks": [asdict(each) for each in found]})


async def _outcome(check: Check) -> Sequence[Finding]:
    """What a check found.  One that fails must not hide the others: its failure is a finding, and in the log."""
    try:
        return await check()
    except AmbientError as error:
        reason = str(error)
    except Exception as error:
        logger.exception("a check failed", extra={"error": type(error).__name__})
        reason = f"It failed with {type(error).__name__}."
    inner = check.func if isinstance(check, partial) else check
    name = getattr(inner, "__name__", type(inner).__name__)
    return [
        Finding(
            f"checks.{name.strip('_')}",
            "A check itself",
            Severity.CRITICAL,
            reason,
            "The log tells more.",
            "ambientctl logs",
        )
    ]
