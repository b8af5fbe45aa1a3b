"""The keeping side of a real daemon: audit, backup, purge and restore, as an operator does them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from running import ROOT, Daemon

pytestmark = pytest.mark.model

MAIN = "from ambientd.ctl import main; main()"


def ctl(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "AMBIENTD_STORE__DIRECTORY": str(daemon.state)},
        capture_output=True,
        text=True,
        check=False,
    )


async def say_nothing(daemon: Daemon, name: str) -> None:
    """A session without words: what matters here is that it was."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/transcribe/{name}") as socket,
    ):
        await socket.receive_json()
        await socket.send_bytes(bytes(32_000))
        await socket.send_json({"type": "end_session"})
        while (await asyncio.wait_for(socket.receive_json(), 20))["type"] != "session_ended":
            pass


async def test_audit_backup_purge_and_restore(own_daemon: Daemon, tmp_path: Path) -> None:
    own_daemon.environment["AMBIENTD_RETENTION__DAYS"] = "0"
    own_daemon.start()
    await say_nothing(own_daemon, "visit-1")
    taken = str(tmp_path / "taken")

    exported = ctl(own_daemon, "audit", "export", "--format", "csv", "--url", own_daemon.url).stdout
    actions = [row.split(",")[3] for row in exported.splitlines()[1:]]
    assert actions == ["daemon.started", "session.opened", "session.ended", "audit.exported"]
    assert "unbroken from row 1" in ctl(own_daemon, "audit", "verify", "--url", own_daemon.url).stdout

    assert "Sessions: 1 " in ctl(own_daemon, "backup", taken, "--url", own_daemon.url).stdout
    assert "1 session would go" in ctl(own_daemon, "purge", "--dry-run", "--url", own_daemon.url).stdout
    assert "1 session," in ctl(own_daemon, "purge", "--url", own_daemon.url).stdout
    refused = ctl(own_daemon, "restore", taken)
    assert "another ambientd is using it" in refused.stderr

    own_daemon.stop()
    lost = ctl(own_daemon, "restore", taken)
    assert lost.returncode == 1
    assert "rows of the audit" in lost.stderr
    forced = ctl(own_daemon, "restore", "--force", taken)
    assert forced.returncode == 0, forced.stderr

    own_daemon.environment["AMBIENTD_RETENTION__DAYS"] = "30"
    own_daemon.start()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{own_daemon.url}/api/v1/sessions/visit-1") as answer,
    ):
        assert answer.status == 200
    assert "unbroken" in ctl(own_daemon, "audit", "verify", "--url", own_daemon.url).stdout
