"""What the box is and how it does, for whoever looks after it: figures, never who or what was heard."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from aiohttp import web

from ambientd import __version__
from ambientd.api.access import allows
from ambientd.api.described import described
from ambientd.api.models.box import BoxStatus
from ambientd.api.services import SERVICES, Services
from ambientd.core.access import Permission
from ambientd.core.audio import seconds
from ambientd.store.spool import Stock

routes = web.RouteTableDef()


@routes.get("/api/v1/status")
@allows(Permission.SEE_BOX)
@described(BoxStatus)
async def status(request: web.Request) -> web.Response:
    """Version, engine, what tuning found, load, lateness, disk, clock; seconds unless the name says otherwise."""
    services = request.app[SERVICES]
    registry, engine, about = services.registry, services.engine, services.about
    capacity, microphone = registry.capacity, services.microphone.state
    return web.json_response(
        {
            "version": __version__,
            "uptime": round(time.monotonic() - about.started, 1),
            "engine": {
                "model": services.model,
                "lanes": engine.count,
                "threads": about.threads,
                "kernels": about.kernels,
                "busy": engine.busy,
                "waiting": engine.waiting,
                "finals": engine.load.finals,
                "partials": engine.load.partials,
                "background": engine.load.background,
                "evictions": engine.load.evictions,
                "failures": engine.load.failures,
                "tuning": about.tuning,
            },
            "sessions": {"live": len(registry), "limit": registry.most, "refused": capacity.refused},
            "microphone": {
                "status": microphone.status,
                "reason": microphone.reason,
                "remedy": microphone.remedy,
                "device": microphone.device.name if microphone.device else None,
                "restarts": microphone.restarts,
                "captured_seconds": round(seconds(microphone.captured), 3),
                "lost_seconds": round(seconds(microphone.lost), 3),
            },
            "load": {
                "utilisation": round(capacity.utilisation, 3),
                "lag_p95": round(capacity.lag, 3),
                "cost": round(capacity.cost, 4),
                "partial_interval": round(min(capacity.preview_interval, 3600.0), 1),
                "loop_delay_max": round(about.loop_delay(), 4),
            },
            "cpu": {"seconds": round(time.process_time(), 3), "cores": len(os.sched_getaffinity(0))},
            "later": _later(services),
            "disk": {"free_bytes": services.disk.free, "low_water_bytes": services.disk.low_water},
            "clock": {
                "utc": datetime.now(UTC).isoformat(timespec="seconds"),
                "doubt": services.retention.doubt,
            },
        }
    )


def _later(services: Services) -> dict[str, object]:
    stock = services.later.stock if services.later else Stock()
    return {
        "waiting": stock.waiting,
        "failed": stock.failed,
        "seconds": round(seconds(stock.samples), 1),
        "oldest": stock.oldest.isoformat() if stock.oldest else None,
    }
