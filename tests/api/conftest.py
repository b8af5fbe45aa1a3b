"""The real application on a real store and a real socket, over a scripted engine."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from central.certificates import Authority
from documented import Documented
from entered import Guarded
from scripted import Engine, detect, terms_of
from scripted_microphone import ScriptedMicrophone
from served import Box, Open

from ambientd.access.gate import Attempts, open_gate
from ambientd.access.gate import Terms as Access
from ambientd.access.joining import Joining
from ambientd.api import metrics
from ambientd.api.app import application
from ambientd.api.network_metrics import NetworkFigures
from ambientd.api.services import Check, Services
from ambientd.config.lan import Lan
from ambientd.core.audio import RATE
from ambientd.core.record import Box as Appliance
from ambientd.core.segmenter import Detect
from ambientd.glossary import Glossary
from ambientd.lan import LocalNetwork, open_lan
from ambientd.recordings import receive
from ambientd.session.capacity import Capacity
from ambientd.session.later import Later, open_later
from ambientd.session.ledger import StoredLedger
from ambientd.session.microphone import open_recorder
from ambientd.session.recorded import Shelf
from ambientd.session.refiner import StoredArchive, open_refiner
from ambientd.session.registry import open_registry
from ambientd.session.trial import judged
from ambientd.session.uploads import open_uploads
from ambientd.store.answers import Answers
from ambientd.store.audit import open_audit
from ambientd.store.backups import Backups
from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.pairings import Pairings
from ambientd.store.recording import Recordings
from ambientd.store.retention import Retention
from ambientd.store.retention import Terms as Keep
from ambientd.store.sessions import Sessions
from ambientd.store.space import Disk
from ambientd.store.spool import Spool
from ambientd.sync.courier import open_courier
from ambientd.sync.route import Route

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def open_box(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a box: ``await open_box(most=2, engine=..., idle=...)``; ``refine`` seconds it waits to refine sessions.

    ``lan``: a door to the network as well.
    """
    documented = Documented()
    async with AsyncExitStack() as stack:

        async def open_one(
            *,
            most: int = 100,
            engine: Engine | None = None,
            heartbeat: float = 30,
            capacity: Capacity | None = None,
            refine: float | None = None,
            memory: int = 1 << 28,
            route: Route | None = None,
            folder: Path | None = None,
            low_water: int = 0,
            detector: Detect = detect,
            queue: int = 4,
            glossary: Glossary | None = None,
            checks: tuple[Check, ...] = (),
            lan: Lan | None = None,
            attempts: Attempts | None = None,
            clock: Callable[[], datetime] = lambda: datetime.now(UTC),
            access: Access | None = None,
            later: bool = False,
            **terms: Any,
        ) -> Box:
            engine = engine or Engine()
            glossary = glossary or Glossary(None, specialities=(), ordinary=frozenset())
            database = await stack.enter_async_context(open_database((folder or tmp_path) / "test.db"))
            audit = await stack.enter_async_context(open_audit(database))
            sessions, lines = Sessions(database), Lines(database)
            disk = Disk(folder or tmp_path, low_water)
            keep = Keep(timedelta(days=30), timedelta(days=90), delivers=True)
            retention = Retention(database, keep)
            refiner = await stack.enter_async_context(
                open_refiner(
                    decoder=engine,
                    archive=StoredArchive(sessions, lines),
                    memory=memory,
                    wait=refine or 1,
                    workers=1,
                )
            )
            courier = await stack.enter_async_context(open_courier(database, route))
            uploads = await stack.enter_async_context(
                open_uploads(
                    decoder=engine,
                    detector=lambda: detect,
                    ledger=StoredLedger(sessions, lines),
                    describe=sessions.describe,
                    model="scripted",
                    box=Appliance(),
                    most=queue,
                    longest=300,
                )
            )
            spool = Spool(database)
            transcriber = Later(
                spool=spool, decoder=engine, detector=lambda: detector, terms=lambda: terms_of(**terms)
            )
            shelf = Shelf(spool, enabled=later, most=3600 * RATE, room=disk.check, waits=transcriber.wake)
            if later:
                await stack.enter_async_context(open_later(transcriber))
            registry = await stack.enter_async_context(
                open_registry(
                    most=most,
                    model="scripted",
                    detector=lambda: detector,
                    decoder=engine,
                    ledger=StoredLedger(sessions, lines),
                    shelf=shelf,
                    admit=disk.check,
                    patience=5,
                    capacity=capacity,
                    refiner=refiner if refine else None,
                )
            )
            microphone = ScriptedMicrophone()
            recorder = await stack.enter_async_context(
                open_recorder(
                    source=microphone,
                    registry=registry,
                    diary=Recordings(database),
                    amend=sessions.amend,
                    judge=partial(judged, decoder=engine, detector=lambda: detector),
                    detector=lambda: detector,
                    terms=lambda: terms_of(search=glossary.search, **terms),
                    grace=60,
                )
            )
            collectors, _ = metrics.collect(registry, engine)
            collectors.register(metrics.kept(disk, retention, audit))
            collectors.register(metrics.recorded(transcriber))
            network = LocalNetwork(lan, folder or tmp_path, database, audit) if lan else None
            gate = await stack.enter_async_context(
                open_gate(database, audit, access or Access(), attempts=attempts, log2_n=4, now=clock)
            )
            joining = Joining(gate, Pairings(database))
            if network:
                collectors.register(NetworkFigures(network))
            app = application(
                Services(
                    registry=registry,
                    uploads=uploads,
                    receive=partial(receive, 2_000_000),
                    sessions=sessions,
                    lines=lines,
                    database=database,
                    audit=audit,
                    retention=retention,
                    sync=courier,
                    answers=Answers(database),
                    disk=disk,
                    backups=Backups(database, audit),
                    glossary=glossary,
                    engine=engine,
                    microphone=microphone,
                    recorder=recorder,
                    metrics=collectors,
                    later=transcriber,
                    terms=lambda: terms_of(search=glossary.search, **terms),
                    model="scripted",
                    chunk_duration=1.0,
                    audio_buffer_size=8192,
                    max_frame_bytes=262_144,
                    heartbeat=heartbeat,
                    web=ROOT / "web",
                    checks=(*checks, network.findings) if network else checks,
                    network=network,
                    gate=gate,
                    joining=joining,
                )
            )
            documented.watch(app)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            if network and lan:
                await stack.enter_async_context(open_lan(runner, network, lan))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Box(
                url,
                http,
                registry,
                database,
                engine,
                refiner,
                uploads,
                app,
                microphone,
                recorder,
                gate,
                joining,
                runner,
                network,
            )

        yield open_one
    assert documented.faults == []


@pytest.fixture
async def lan(open_box: Open, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Guarded]]]:
    """Opens a box with a door to the network: ``await lan(...)`` takes what ``open_box`` does."""
    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> Guarded:
            box = await open_box(**options)
            certificate = Authority(tmp_path / "tls").leaf("box.pem", names=("127.0.0.1",))
            secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            secure.load_cert_chain(certificate)
            site = web.TCPSite(box.runner, "127.0.0.1", 0, ssl_context=secure)
            await site.start()
            url = f"https://127.0.0.1:{box.runner.addresses[-1][1]}"
            return Guarded(box, url, stack)

        yield open_one


@pytest.fixture
async def box(open_box: Open) -> Box:
    """A box as it comes."""
    return await open_box()
