"""``ambientctl audit`` against a daemon's own routes, over a real socket."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from click.testing import CliRunner

from ambientd.api import auditing
from ambientd.api.faults import faults
from ambientd.api.services import SERVICES
from ambientd.ctl import main
from ambientd.store.audit import open_audit
from ambientd.store.database import open_database


@dataclass
class Running:
    url: str
    path: Path


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Running]:
    """The audit's routes over a real file, in a thread of their own: the command has a loop itself."""
    path = tmp_path / "ambientd.db"
    loop = asyncio.new_event_loop()
    stop, ready = asyncio.Event(), threading.Event()
    running = Running("", path)

    async def serve() -> None:
        async with open_database(path) as database, open_audit(database) as audit:
            for index in range(3):
                await audit.record(actor="client", action="transcript.read", object=f"visit-{index}")
            app = web.Application(middlewares=[faults])
            app[SERVICES] = SimpleNamespace(audit=audit)  # type: ignore[misc]
            app.add_routes(auditing.routes)
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


def run(*arguments: str):
    return CliRunner().invoke(main, ["audit", *arguments])


def test_export_writes_csv_to_a_file_and_never_over_one(box: Running, tmp_path: Path) -> None:
    target = tmp_path / "audit.csv"
    assert run("export", "--format", "csv", "--output", str(target), "--url", box.url).exit_code == 0
    head, *rows = target.read_text().splitlines()
    assert head.startswith("number,at,actor,action,object")
    assert [row.split(",")[4] for row in rows] == ["visit-0", "visit-1", "visit-2", ""]
    again = run("export", "--output", str(target), "--url", box.url)
    assert again.exit_code == 1
    assert "name another" in again.output


def test_export_is_ndjson_on_standard_output(box: Running) -> None:
    lines = run("export", "--url", box.url).output.splitlines()
    assert len(lines) == 4
    assert all(line.startswith('{"number": ') for line in lines)


def test_verify_tells_how_far_and_the_last_hash(box: Running) -> None:
    ended = run("verify", "--url", box.url)
    assert ended.exit_code == 0
    assert "3 rows, unbroken from row 1." in ended.output


def test_verify_names_the_first_broken_link_and_exits_with_1(box: Running) -> None:
    with closing(sqlite3.connect(box.path)) as shell:
        shell.execute("DROP TRIGGER audit_log_is_not_changed")
        shell.execute("UPDATE audit_log SET object = 'visit-9' WHERE number = 2")
        shell.commit()
    ended = run("verify", "--url", box.url)
    assert ended.exit_code == 1
    assert "broken at row 2" in ended.output


def test_without_a_daemon_the_command_says_so() -> None:
    ended = run("verify", "--url", "http://127.0.0.1:1")
    assert ended.exit_code == 1
    assert "No daemon answers" in ended.output
