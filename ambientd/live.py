"""Which settings change without a restart, and how each room takes them up."""

from __future__ import annotations

from ambientd import log, systemd
from ambientd.config import Settings
from ambientd.glossary import Glossary
from ambientd.reload import Reloading
from ambientd.session.registry import Registry
from ambientd.store.retention import Retention
from ambientd.store.space import Disk
from ambientd.terms import ceiling, keep


def change_live(
    reloading: Reloading, *, glossary: Glossary, registry: Registry, retention: Retention, disk: Disk
) -> None:
    """Declares them all."""

    def admission(fresh: Settings) -> None:
        registry.capacity.ceiling = ceiling(fresh)
        registry.most = fresh.server.max_connections

    def store(fresh: Settings) -> None:
        retention.terms = keep(fresh)
        disk.low_water = fresh.store.low_water

    # Read from the settings in force whenever a session opens.  Not segmentation.chunk_duration, which clients are told
    # at the door, and not server.resume_grace, which the store has been told as well.
    reloading.on(
        "audio",
        "engine.language",
        "engine.prompt",
        "segmentation.max_duration",
        "segmentation.overlap_duration",
        "segmentation.pause",
        "segmentation.patience",
        "segmentation.speech_threshold",
        "server.idle_timeout",
        "server.max_session_duration",
    )
    reloading.on(
        "log", apply=lambda fresh: log.set_up(fresh.log.level, fresh.log.format, journal=systemd.journal())
    )
    reloading.on(
        "vocabulary",
        apply=lambda fresh: glossary.follow(fresh.vocabulary.path, fresh.vocabulary.chosen),
        always=True,
    )
    reloading.on("admission", "server.max_connections", apply=admission)
    reloading.on(
        "retention.days", "retention.undelivered", "retention.audit_days", "store.low_water", apply=store
    )
