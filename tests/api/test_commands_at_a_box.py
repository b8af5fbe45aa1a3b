"""``ambientctl status``, ``doctor`` and ``diag`` while the daemon answers."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from served import Open

from ambientd.ctl import main


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


async def run(*arguments: str):
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def test_the_daemons_own_findings_count(open_box: Open):
    box = await open_box(low_water=2**60)
    done = await run("doctor", "--json", "--url", box.url)
    found = {each["id"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 2
    assert found["daemon.running"]["severity"] == "ok"
    assert (
        found["store.disk"]["severity"] == "critical"
    )  # the daemon's low water, not that of the settings here
    assert "server.port" not in found
