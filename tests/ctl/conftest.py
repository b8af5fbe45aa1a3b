"""A daemon's routes for operators, over a real socket and a real file, without an engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from ambientd.access.gate import Terms as AccessTerms
from ambientd.api import auditing, backups, purging
from ambientd.api.access import access
from ambientd.api.faults import faults
from ambientd.api.services import SERVICES
from ambientd.store.audit import open_audit
from ambientd.store.backups import Backups
from ambientd.store.database import open_database
from ambientd.store.retention import Retention, Terms
from ambientd.store.sessions import Sessions


@dataclass
class Box:
    url: str
    path: Path


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[Box]:
    """The routes for operators over a real file, in a thread of their own: the command has a loop itself."""
    path = tmp_path / "ambientd.db"
    loop = asyncio.new_event_loop()
    stop, ready = asyncio.Event(), threading.Event()
    running = Box("", path)

    async def serve() -> None:
        async with open_database(path) as database, open_audit(database) as audit:
            for index in range(3):
                await audit.record(actor="client", action="transcript.read", object=f"visit-{index}")
            app = web.Application(middlewares=[faults, access])
            keep = Terms(timedelta(days=30), timedelta(days=90), delivers=True)
            app[SERVICES] = SimpleNamespace(  # type: ignore[misc]
                audit=audit,
                backups=Backups(database, audit),
                retention=Retention(database, keep),
                sessions=Sessions(database),
                gate=SimpleNamespace(terms=AccessTerms()),
            )
            for room in (auditing, backups, purging):
                app.add_routes(room.routes)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    yield running
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()
