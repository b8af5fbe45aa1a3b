"""Settings in the words of the rooms they are for.  Pure, but for what tuning left on the disk."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from ambientd.capture.microphone import Choice
from ambientd.config import Settings
from ambientd.config.syncing import Sync, hours, zone
from ambientd.core.audio import RATE, samples
from ambientd.core.retry import Backoff
from ambientd.core.segmenter import Rules
from ambientd.core.suspects import Search
from ambientd.glossary import Glossary
from ambientd.session.capacity import Ceiling
from ambientd.session.limits import Limits
from ambientd.session.terms import Terms
from ambientd.store.retention import Terms as Keep
from ambientd.sync.route import Route, Window

logger = logging.getLogger(__name__)


def terms(settings: Settings, *, multilingual: bool = True, search: Search | None = None) -> Terms:
    """What a new session is opened with, from the settings and what the model knows."""
    cut, usual = settings.segmentation, Rules()
    most = samples(cut.max_duration)
    pause = samples(cut.pause)
    return Terms(
        rules=Rules(
            threshold=cut.speech_threshold,
            release=max(0.05, cut.speech_threshold - 0.15),
            pre_roll=samples(cut.overlap_duration),
            post_roll=min(usual.post_roll, pause),
            pause=pause,
            least=samples(cut.chunk_duration),
            most=most,
            patience=max(pause, samples(cut.patience)),
            search=min(usual.search, most // 3),
        ),
        language=settings.engine.language,
        multilingual=multilingual,
        prompt=None if settings.engine.prompt == "default" else settings.engine.prompt,
        sample_rate=settings.audio.sample_rate,
        channels=settings.audio.channels,
        inbox=round(settings.audio.inbox_seconds * RATE),
        limits=Limits(
            grace=settings.server.resume_grace,
            idle=settings.server.idle_timeout,
            longest=settings.server.max_session_duration,
            pause=settings.server.max_pause,
        ),
        search=search or Search(),
        put_in=settings.vocabulary.put_in,
    )


def opening(settings: Settings, glossary: Glossary) -> Terms:
    """What a session is opened with that begins now."""
    return terms(settings, multilingual=not settings.engine.model.endswith(".en"), search=glossary.search)


def chosen_microphone(settings: Settings) -> Choice:
    """The room's microphone, from the settings."""
    return Choice(**settings.microphone.model_dump())


def keep(settings: Settings) -> Keep:
    """How long what is kept, from the settings."""
    return Keep(
        transcripts=timedelta(days=settings.retention.days),
        audit=timedelta(days=settings.retention.audit_days),
        delivers=settings.sync.profile != "none",
        undelivered=settings.retention.undelivered,
    )


def ceiling(settings: Settings) -> Ceiling:
    """From where on new rooms are refused."""
    return Ceiling(
        utilisation=settings.admission.max_utilisation,
        lag=settings.admission.max_lag,
        retry=settings.admission.retry_after,
    )


def centre(settings: Sync, this_box: str) -> Route | None:
    """What the sync is told, from its settings; ``None`` where there is no central server."""
    if settings.profile == "none":
        return None
    return Route(
        profile=settings.profile,
        url=settings.url,
        box_id=this_box,
        email=settings.email,
        secret=settings.secret,
        questions=Path(settings.questions_file) if settings.questions_file else None,
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
        client_certificate=Path(settings.client_certificate) if settings.client_certificate else None,
        proxy=settings.proxy,
        connect_timeout=settings.connect_timeout,
        request_timeout=settings.request_timeout,
        backoff=Backoff(settings.retry_first, settings.retry_most),
        settle=timedelta(seconds=settings.settle),
        server_errors=settings.parking_limit,
        answers_for=timedelta(days=settings.answers_days),
        schedule=settings.schedule,
        jitter=settings.jitter,
        window=Window(*hours(settings.window)),
        zone=zone(settings.time_zone),
    )
