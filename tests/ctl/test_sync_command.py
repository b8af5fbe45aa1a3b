"""``ambientctl sync`` against a daemon's own routes, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from ambientd.access.gate import Terms
from ambientd.api import sync
from ambientd.api.access import access
from ambientd.api.faults import faults
from ambientd.api.services import SERVICES
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionState
from ambientd.core.transcript import Line
from ambientd.ctl import main
from ambientd.store.audit import open_audit
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.sync.courier import open_courier


async def say(database: Database, session_id: str) -> None:
    sessions, now = Sessions(database), datetime.now(UTC)
    await sessions.create(session_id, connected_at=now, client="192.0.2.7", language="en", model="base")
    line = Line(0, "Good morning.", 0, 16_000, (), 0.9, "en", "base", 500.0)
    await Lines(database).append_line(session_id, line, SessionMetrics())
    await sessions.finalise(
        session_id,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=now,
        metrics=SessionMetrics(),
    )


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The routes over a store with two conversations, and no centre; in a thread, for the command has a loop itself."""
    loop = asyncio.new_event_loop()
    stop, ready, found = asyncio.Event(), threading.Event(), []

    async def serve() -> None:
        async with (
            open_database(tmp_path / "ambientd.db") as database,
            open_audit(database) as audit,
            open_courier(database, None) as courier,
        ):
            await say(database, "visit-1")
            await say(database, "visit-2")
            app = web.Application(middlewares=[faults, access])
            app[SERVICES] = SimpleNamespace(sync=courier, audit=audit, gate=SimpleNamespace(terms=Terms()))
            app.add_routes(sync.routes)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            found.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["sync", *arguments, "--url", url])


def test_status_shows_the_queue_and_the_rows_that_wait(url: str) -> None:
    shown = run(url, "status")

    assert shown.exit_code == 0
    assert "no central server is set" in shown.output
    assert "0 delivered, 2 pending" in shown.output
    assert "visit-1" in shown.output


def test_status_for_a_program(url: str) -> None:
    told = json.loads(run(url, "status", "--json").output)

    assert told["queue"]["pending"] == 2
    assert {item["session_id"] for item in told["items"]} == {"visit-1", "visit-2"}


def test_a_row_is_parked_and_retried_by_the_name_of_its_session(url: str) -> None:
    assert run(url, "park", "visit-1").output == "1 parked.\n"
    parked = json.loads(run(url, "status", "--state", "parked", "--json").output)["items"]
    assert [item["session_id"] for item in parked] == ["visit-1"]
    assert run(url, "retry", "--all").output == "1 to be tried again.\n"
    assert run(url, "retry", "visit-2").output == "1 to be tried again.\n"
    assert json.loads(run(url, "status", "--json").output)["queue"]["pending"] == 2


def test_what_cannot_be_done_is_told(url: str) -> None:
    now, nobody, both = run(url, "now"), run(url, "park", "nobody"), run(url, "retry")

    assert now.exit_code == 1
    assert "no central server is set" in now.output
    assert nobody.exit_code == 1
    assert "nobody" in nobody.output
    assert both.exit_code == 2


def test_pause_and_resume(url: str) -> None:
    assert run(url, "pause").output == "Paused.\n"
    assert run(url, "resume").output == "Resumed: 2 to be sent.\n"
