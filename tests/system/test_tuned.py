"""A real daemon starts with what tuning found on this machine, and with nothing found elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from running import Daemon

from ambientd.engine import tune
from ambientd.engine.machine import this_machine
from ambientd.engine.tune import Trial, Tuning

pytestmark = pytest.mark.model

FOUND = Tuning(
    this_machine(),
    "base",
    "q8_0",
    1,
    1,
    0.09,
    (Trial("q8_0", 1, 1, 14, 0.9, 1),),
    (),
    "2026-01-01T00:00:00Z",
)


async def status(daemon: Daemon) -> Any:
    async with aiohttp.ClientSession() as http, http.get(daemon.url + "/api/v1/status") as answer:
        return await answer.json()


async def test_the_daemon_takes_lanes_and_threads_that_were_measured_here(own_daemon: Daemon):
    tune.save(FOUND, own_daemon.state)
    own_daemon.start()
    told = await status(own_daemon)

    assert (told["engine"]["lanes"], told["engine"]["threads"]) == (1, 1)
    assert told["engine"]["tuning"]["measured_at"] == FOUND.measured_at
    assert told["load"]["cost"] == FOUND.cost


async def test_what_is_set_wins(own_daemon: Daemon):
    tune.save(FOUND, own_daemon.state)
    own_daemon.environment = {"AMBIENTD_ENGINE__LANES": "2"}
    own_daemon.start()
    assert (await status(own_daemon))["engine"]["lanes"] == 2


async def test_what_another_machine_found_is_passed_over_and_told(own_daemon: Daemon):
    tune.save(replace(FOUND, machine=replace(FOUND.machine, processor="Another")), own_daemon.state)
    own_daemon.start()
    told = await status(own_daemon)

    assert told["engine"]["lanes"] == FOUND.machine.cores
    assert told["engine"]["tuning"] is None
    assert "run ambientctl tune again" in own_daemon.log
