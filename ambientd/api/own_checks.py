"""What the daemon knows of itself and nobody else can see, as findings."""

from __future__ import annotations

from datetime import UTC, datetime

from ambientd.api.services import Services
from ambientd.core import judging
from ambientd.core.checks import Finding, Severity
from ambientd.core.delivery import UploadStatus
from ambientd.errors import StoreUnavailable
from ambientd.store.copies import damaged


async def own_findings(services: Services) -> list[Finding]:
    """The store, the audit, the deliveries, the clock and the load, as they are now.

    Raises:
        StoreUnavailable: the outbox cannot be read.
    """
    capacity = services.registry.capacity
    return [
        await _writable(services),
        judging.disk(services.disk.free, services.disk.low_water),
        judging.damaged([copy.name for copy in damaged(services.database.path)]),
        judging.clock(services.retention.doubt),
        judging.owed(services.audit.owed),
        judging.microphone(services.microphone.state, wanted=services.recorder.wanted),
        *([judging.voice(why)] if (why := services.recorder.voiceless) else []),
        judging.lateness(capacity.lag, capacity.utilisation, services.about.loop_delay()),
        await _outbox(services),
    ]


async def _writable(services: Services) -> Finding:
    try:
        await services.database.writable()
    except StoreUnavailable as error:
        return Finding(
            "store.writable",
            "Database writable",
            Severity.CRITICAL,
            error.message,
            error.hint or "The log tells more.",
            "ambientctl logs",
        )
    return Finding("store.writable", "Database writable", reason="A write could begin now.")


async def _outbox(services: Services) -> Finding:
    status = await services.sync.status()
    waiting = sum(status.counts.get(each, 0) for each in (UploadStatus.PENDING, UploadStatus.IN_FLIGHT))
    oldest = None if status.oldest is None or status.profile == "none" else datetime.now(UTC) - status.oldest
    return judging.undelivered(status.counts.get(UploadStatus.PARKED, 0), waiting, oldest, status.last_error)
