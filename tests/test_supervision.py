"""What the service manager hears, and when it hears nothing more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from ambientd import supervision
from ambientd.core.checks import Severity
from ambientd.supervision import supervised
from ambientd.systemd import ServiceManager


class Manager(ServiceManager):
    """Remembers what it was told."""

    def __init__(self, watchdog: float | None = 0.08) -> None:
        super().__init__({})
        self.watchdog = watchdog
        self.told: list[str] = []

    def tell(self, *facts: str) -> None:
        self.told.extend(facts)

    def count(self, fact: str) -> int:
        return sum(told.startswith(fact) for told in self.told)

    @property
    def statuses(self) -> list[str]:
        return [fact.removeprefix("STATUS=") for fact in self.told if fact.startswith("STATUS=")]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def test_slow_phases_ask_for_time_and_say_what_goes_on() -> None:
    manager = Manager()
    async with supervised(manager) as supervision:
        with supervision.phase("bringing the database up to date", most=60):
            with supervision.phase("loading the model base", most=60):
                await until(lambda: manager.count("EXTEND_TIMEOUT_USEC=60000000") >= 4)
            assert manager.count("READY") == 0
        assert manager.count("WATCHDOG") == 0
    assert manager.statuses == [
        "starting: bringing the database up to date",
        "starting: bringing the database up to date, loading the model base",
        "starting: bringing the database up to date",
    ]


async def test_a_phase_that_hangs_gets_no_more_time() -> None:
    manager = Manager()
    async with supervised(manager) as supervision:
        with supervision.phase("loading the model base", most=0.05):
            await asyncio.sleep(0.1)
            asked = manager.count("EXTEND")
            await asyncio.sleep(0.1)
            assert manager.count("EXTEND") == asked > 0


async def test_ready_then_fed_four_times_within_the_watchdogs_time() -> None:
    manager = Manager(watchdog=0.4)
    async with supervised(manager) as supervision:
        supervision.condition = lambda: "ready: 2 live sessions"
        supervision.ready()
        assert manager.told[:3] == ["READY=1", "WATCHDOG=1", "STATUS=ready: 2 live sessions"]
        before = manager.count("WATCHDOG")
        await asyncio.sleep(0.4)
        assert 3 <= manager.count("WATCHDOG") - before <= 5
    assert manager.statuses == ["ready: 2 live sessions"]


@pytest.mark.parametrize("which", ["store writer", "lanes"])
async def test_one_dead_organ_starves_the_watchdog_until_it_lives_again(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager, alive = Manager(), {"store writer": True, "lanes": True}
    async with supervised(manager) as supervision:
        with (
            supervision.watching("store writer", lambda: alive["store writer"]),
            supervision.watching("lanes", lambda: alive["lanes"]),
        ):
            supervision.ready()
            alive[which] = False
            await until(lambda: supervision.dead == (which,))
            fed = manager.count("WATCHDOG")
            await asyncio.sleep(0.1)
            assert manager.count("WATCHDOG") == fed
            assert manager.statuses[-1] == f"not working: {which}"
            (found,) = await supervision.findings()
            assert (found.severity, found.reason) == (Severity.CRITICAL, f"Not working any more: {which}.")
            alive[which] = True
            await until(lambda: manager.count("WATCHDOG") > fed)
            assert manager.statuses[-1] == "ready"
            assert [found.severity for found in await supervision.findings()] == [Severity.OK]
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]


async def test_what_is_left_is_watched_no_more() -> None:
    manager = Manager()
    async with supervised(manager) as supervision:
        with supervision.watching("store writer", lambda: False):
            pass
        supervision.ready()
        assert supervision.dead == ()
        assert manager.count("WATCHDOG") == 1


async def test_stopping_asks_for_the_time_that_sessions_have_and_feeds_on() -> None:
    manager = Manager()
    async with supervised(manager) as supervision:
        supervision.ready()
        supervision.stopping(120, "running sessions are decoded to their end")
        assert "STOPPING=1" in manager.told
        (asked,) = (int(fact.partition("=")[2]) for fact in manager.told if fact.startswith("EXTEND"))
        assert asked == (120 + 5) * 1_000_000
        fed = manager.count("WATCHDOG")
        await until(lambda: manager.count("WATCHDOG") > fed)
    assert manager.statuses[-1] == "stopping: running sessions are decoded to their end"


async def test_reloading_is_told_from_its_beginning_to_its_end() -> None:
    manager = Manager()
    async with supervised(manager) as supervision:
        supervision.ready()
        manager.told.clear()
        with supervision.reloading():
            assert manager.told[0] == "RELOADING=1"
            assert re.fullmatch(r"MONOTONIC_USEC=\d+", manager.told[1])
            assert "READY=1" not in manager.told
        assert manager.told[3] == "READY=1"


async def test_without_a_watchdog_it_looks_now_and_then_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "EVERY", 0.2)
    manager = Manager(watchdog=None)
    looked = 0

    def alive() -> bool:
        nonlocal looked
        looked += 1
        return True

    async with supervised(manager) as running:
        with running.watching("lanes", alive):
            running.ready()
            await asyncio.sleep(0.5)
    assert 2 <= looked <= 4
