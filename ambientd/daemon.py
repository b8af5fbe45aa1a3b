"""The wiring: what exists, in the order in which it starts; everything stops in reverse.

Nobody imports this module but :mod:`ambientd.__main__`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from ambientd import __version__, checkup
from ambientd.api import metrics
from ambientd.api.app import application
from ambientd.api.network_metrics import NetworkFigures
from ambientd.api.services import About, Services
from ambientd.api.sound import sound
from ambientd.condition import condition
from ambientd.config import Settings
from ambientd.core.record import Box
from ambientd.doors import Door, open_door
from ambientd.engine import models
from ambientd.engine.lanes import STUCK, lanes_of
from ambientd.engine.ordinary import ordinary_words
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import kernels
from ambientd.entrance import open_entrance
from ambientd.errors import StoreUnavailable
from ambientd.glossary import Glossary
from ambientd.lan import LocalNetwork
from ambientd.live import change_live
from ambientd.loopdelay import loop_delay
from ambientd.recordings import receive
from ambientd.reload import Reloading, reloaded
from ambientd.room import open_room
from ambientd.session.capacity import FIRST_GUESS, Capacity
from ambientd.session.ledger import StoredLedger
from ambientd.session.refiner import StoredArchive, open_refiner
from ambientd.session.registry import open_registry
from ambientd.session.uploads import open_uploads
from ambientd.store.answers import Answers
from ambientd.store.audit import Action, Audit, open_audit
from ambientd.store.backup import clear_unfinished
from ambientd.store.backups import Backups
from ambientd.store.database import Database, open_database
from ambientd.store.endings import Holds
from ambientd.store.facts import box_id
from ambientd.store.lines import Lines
from ambientd.store.pulse import pulse_of
from ambientd.store.retention import Retention, purging
from ambientd.store.sessions import Sessions
from ambientd.store.space import Disk
from ambientd.supervision import Supervision, supervised
from ambientd.sync.courier import open_courier
from ambientd.sync.schedule import open_alarms
from ambientd.systemd import ServiceManager, sockets
from ambientd.terms import ceiling, centre, keep, opening
from ambientd.transcribing import open_transcribing
from ambientd.warming import Warming

logger = logging.getLogger(__name__)

PAGES: Final = (Path(__file__).parent.parent / "web", Path("/usr/share/ambientd/web"))
"""Where the pages are: in a checkout, or installed."""


MIGRATION: Final = 3600.0
LOADING: Final = 600.0
"""Seconds that these may take before the service manager takes them for hanging: a gigabyte of database to be rewritten
on a slow disk, a gigabyte of weights to be read from one."""


async def run(settings: Settings, warming: Warming, read: Callable[[], Settings]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is running.

    ``warming``: the engine for these settings.  ``read``: reads the settings again, at SIGHUP.

    Raises:
        OperatorError: it cannot start, and why.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    hang_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)
    reloading = Reloading(settings, read)
    async with (
        supervised(ServiceManager()) as supervision,
        serving(settings, warming, supervision, reloading),
        reloaded(reloading, hang_up, supervision),
    ):
        # What is there now stays to the end: a full search for garbage would go through all of it, 40 ms in silence.
        gc.collect()
        gc.freeze()
        supervision.ready()
        await stop.wait()
        supervision.stopping(settings.server.shutdown_timeout, "running sessions are decoded to their end")
        logger.info("stopping: running sessions are decoded to their end")
    logger.info("stopped")


@asynccontextmanager
async def serving(
    settings: Settings, warming: Warming, supervision: Supervision, reloading: Reloading
) -> AsyncIterator[Door]:
    """A running daemon; leaving the block ends its sessions and closes everything in reverse order."""
    async with AsyncExitStack() as stack:
        handed = sockets()
        with supervision.phase("looking through the database, bringing it up to date", most=MIGRATION):
            database = await stack.enter_async_context(
                open_database(settings.store.directory / "ambientd.db")
            )
        writer = stack.enter_context(pulse_of(database))
        stack.enter_context(supervision.watching("store-writer", writer.alive))
        audit = await stack.enter_async_context(open_audit(database))
        await stack.enter_async_context(_on_record(audit, database.quarantined))
        holds = Holds(
            # A little longer than the refiner waits: it is the one to say that live text is final.
            refinement=timedelta(seconds=settings.refinement.wait + 60),
            return_=timedelta(seconds=settings.server.resume_grace),
            review=settings.sync.review,
        )
        sessions = Sessions(database, holds)
        for session_id in await sessions.recover():
            logger.warning("session was interrupted by a crash", extra={"session": session_id})

        disk = Disk(settings.store.directory, settings.store.low_water)
        retention = await stack.enter_async_context(_open_retention(database, settings))
        for left in clear_unfinished(database.path):
            logger.warning("a copy that was not finished is deleted", extra={"path": left})

        detector = VoiceDetector(models.resolve(settings.engine.vad_model, "", *settings.models.directories))
        with supervision.phase("loading the model", most=LOADING):
            lanes = await stack.enter_async_context(
                lanes_of(warming.loading, limit=settings.engine.chunk_timeout)
            )
        stack.enter_context(supervision.watching("lanes", lambda: lanes.overdue < STUCK))
        model = warming.weights.stem
        logger.info(
            "engine ready",
            extra={"model": model, "lanes": lanes.count, "threads": warming.threads, "kernels": kernels()},
        )

        glossary = Glossary(
            settings.vocabulary.path,
            specialities=settings.vocabulary.chosen,
            ordinary=ordinary_words(warming.weights),
        )
        this_box = settings.box.id or await box_id(database)
        courier = await stack.enter_async_context(open_courier(database, centre(settings.sync, this_box)))
        refiner = await stack.enter_async_context(
            open_refiner(
                decoder=lanes,
                archive=StoredArchive(sessions, Lines(database), settled=courier.wake),
                memory=settings.refinement.memory,
                wait=settings.refinement.wait,
                workers=lanes.count,
            )
        )
        ledger = StoredLedger(sessions, Lines(database), ended=courier.wake)
        box = Box(
            id=this_box,
            room=settings.box.room or None,
            quantisation=settings.engine.quantisation,
        )
        uploads = await stack.enter_async_context(
            open_uploads(
                decoder=lanes,
                detector=detector.stream,
                ledger=ledger,
                describe=sessions.describe,
                model=model,
                box=box,
                most=settings.uploads.queue,
                longest=settings.uploads.max_duration,
            )
        )
        shelf, later = await stack.enter_async_context(
            open_transcribing(
                settings,
                database=database,
                holds=holds,
                disk=disk,
                decoder=lanes,
                detector=detector.stream,
                terms=lambda: opening(reloading.settings, glossary),
                settled=courier.wake,
            )
        )
        registry = await stack.enter_async_context(
            open_registry(
                most=settings.server.max_connections,
                model=model,
                detector=detector.stream,
                decoder=lanes,
                ledger=ledger,
                box=box,
                capacity=Capacity(
                    lanes.count,
                    ceiling(settings),
                    guess=warming.tuned.cost if warming.tuned else FIRST_GUESS,
                ),
                refiner=refiner if settings.refinement.enabled else None,
                shelf=shelf,
                admit=disk.check,
                patience=0,  # they have ended below, while the door was still open
            )
        )
        recorder = await stack.enter_async_context(
            open_room(
                settings,
                supervision=supervision,
                registry=registry,
                database=database,
                sessions=sessions,
                decoder=lanes,
                detector=detector.stream,
                terms=lambda: opening(reloading.settings, glossary),
            )
        )
        network = LocalNetwork(settings.lan, settings.store.directory, database, audit)
        entrance = await stack.enter_async_context(
            open_entrance(database, audit, settings.access, network.limits)
        )
        collectors, lanes.observe = metrics.collect(
            registry,
            lanes,
            metrics.kept(disk, retention, audit),
            sound(recorder.microphone),
            NetworkFigures(network),
            metrics.recorded(later),
        )
        delay = await stack.enter_async_context(loop_delay())
        delay.observe, delay.felt = metrics.watch_loop(collectors), lambda: len(registry) > 0
        app = application(
            Services(
                registry=registry,
                uploads=uploads,
                later=later,
                receive=partial(receive, settings.uploads.max_bytes),
                sessions=sessions,
                lines=Lines(database),
                database=database,
                audit=audit,
                retention=retention,
                sync=courier,
                answers=Answers(database),
                disk=disk,
                backups=Backups(database, audit),
                glossary=glossary,
                engine=lanes,
                microphone=recorder.microphone,
                recorder=recorder,
                metrics=collectors,
                terms=lambda: opening(reloading.settings, glossary),
                model=model,
                chunk_duration=settings.segmentation.chunk_duration,
                audio_buffer_size=settings.server.audio_buffer_size,
                max_frame_bytes=settings.server.max_frame_bytes,
                heartbeat=settings.server.heartbeat_interval,
                web=next((folder for folder in PAGES if folder.is_dir()), None),
                about=About(
                    threads=warming.threads,
                    kernels=kernels(),
                    tuning=asdict(warming.tuned) if warming.tuned else None,
                    loop_delay=lambda: delay.worst,
                ),
                gate=entrance.gate,
                joining=entrance.joining,
                checks=(
                    supervision.findings,
                    later.findings,
                    checkup.from_inside(settings),
                    network.findings,
                    entrance.findings,
                ),
                network=network,
            )
        )
        door = await stack.enter_async_context(open_door(app, settings, network, handed))
        # Sessions end while the door is still open, so that clients get their last lines.
        # Of the time allowed a part is kept for marking what is not done, and for the sockets to close.
        stack.push_async_callback(uploads.close)
        stack.push_async_callback(refiner.close)
        stack.push_async_callback(registry.close, within=0.5 * settings.server.shutdown_timeout)
        stack.push_async_callback(recorder.close)  # first of all: what was captured is still taken
        change_live(reloading, glossary=glossary, registry=registry, retention=retention, disk=disk)
        reloading.on(apply=lambda _: network.certificates.look(), always=True)
        supervision.condition = lambda: condition(registry, recorder.microphone)
        logger.info("ready", extra={"host": door.host, "port": door.port, "version": __version__})
        yield door


@asynccontextmanager
async def _open_retention(database: Database, settings: Settings) -> AsyncIterator[Retention]:
    """What is kept how long, purged at the start and when it is time."""
    retention, wake = Retention(database, keep(settings)), asyncio.Event()
    wake.set()  # a box that is switched off at night purges in the morning
    alarms = open_alarms(wake, schedule=settings.retention.schedule, jitter=0, zone=UTC)
    async with purging(retention, wake), alarms:
        yield retention


@asynccontextmanager
async def _on_record(audit: Audit, quarantined: Path | None) -> AsyncIterator[None]:
    """The start and the stop in the audit, and the audit's newest hash in the log, which is another file."""
    await audit.record(actor="box", action=Action.DAEMON_STARTED, origin="daemon", outcome=__version__)
    if quarantined is not None:
        await audit.record(
            actor="box", action=Action.STORE_QUARANTINED, object=quarantined.name, origin="daemon"
        )
    await _tell_head(audit)
    try:
        yield
    finally:
        await audit.record(actor="box", action=Action.DAEMON_STOPPED, origin="daemon")
        with suppress(StoreUnavailable):  # the row is owed then, and the log says so
            await _tell_head(audit)


async def _tell_head(audit: Audit) -> None:
    head = await audit.head()
    logger.info("the audit's newest row", extra={"count": head.number, "sha256": head.hash.hex()})
