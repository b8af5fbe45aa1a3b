"""The wiring of the room: its microphone, what records it, and how people in the room see and steer that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from ambientd.capture.microphone import open_microphone
from ambientd.config import Settings
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder
from ambientd.core.segmenter import Detect
from ambientd.session.microphone import Recorder, open_recorder
from ambientd.session.registry import Registry
from ambientd.session.session import Terms
from ambientd.session.trial import judged
from ambientd.store.database import Database
from ambientd.store.recording import Recordings
from ambientd.store.sessions import Sessions
from ambientd.supervision import Supervision
from ambientd.terms import chosen_microphone


@asynccontextmanager
async def open_room(
    settings: Settings,
    *,
    supervision: Supervision,
    registry: Registry,
    database: Database,
    sessions: Sessions,
    decoder: Decoder,
    detector: Callable[[], Detect],
    terms: Callable[[], Terms],
) -> AsyncIterator[Recorder]:
    """The recorder of the room's microphone, with its button, its light and its voice."""
    recording = settings.recording

    def of_the_room() -> Terms:
        usual = terms()
        limits = replace(usual.limits, silence=recording.stop_after_silence)
        return replace(usual, sample_rate=RATE, channels=1, limits=limits)

    async with (
        open_microphone(chosen_microphone(settings)) as microphone,
        open_recorder(
            source=microphone,
            registry=registry,
            diary=Recordings(database),
            amend=sessions.amend,
            judge=partial(judged, decoder=decoder, detector=detector),
            terms=of_the_room,
            grace=settings.server.resume_grace if recording.continue_after_restart else 0,
        ) as recorder,
    ):
        with supervision.watching("microphone", lambda: microphone.alive):
            yield recorder
