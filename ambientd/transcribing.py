"""What is recorded now and transcribed later, from its settings to whoever transcribes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ambientd.config import Settings
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder
from ambientd.core.segmenter import Detect
from ambientd.session.later import Later, open_later
from ambientd.session.recorded import Shelf
from ambientd.session.terms import Terms
from ambientd.store.database import Database
from ambientd.store.endings import Holds
from ambientd.store.space import Disk
from ambientd.store.spool import Spool


@asynccontextmanager
async def open_transcribing(
    settings: Settings,
    *,
    database: Database,
    holds: Holds,
    disk: Disk,
    decoder: Decoder,
    detector: Callable[[], Detect],
    terms: Callable[[], Terms],
    settled: Callable[[], object],
) -> AsyncIterator[tuple[Shelf, Later]]:
    """Where sessions are recorded, and who transcribes them; what is left from before is, whatever the settings say.

    ``settled``: called when a session has got its text.
    """
    spool = Spool(database, holds)

    def stocked(samples: int) -> None:
        shelf.kept = samples

    later = Later(
        spool=spool,
        decoder=decoder,
        detector=detector,
        terms=terms,
        settled=settled,
        stocked=stocked,
        grace=settings.server.resume_grace,
    )
    shelf = Shelf(
        spool,
        enabled=settings.later.enabled,
        most=settings.later.max_hours * 3600 * RATE,
        room=disk.check,
        waits=later.wake,
    )
    await later.look()
    async with open_later(later):
        yield shelf, later
