"""The program that shows the state: run with it, bounded in time and number, and never in anybody's way."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from ambientd import indicator
from ambientd.indicator import open_indicator


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicator, "APART", 0.02)


def program(folder: Path, body: str) -> Path:
    path = folder / "light"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def runs(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.is_file() and " Z " not in stat.read_text()


async def shown(path: Path, lines: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(found := lines_of(path)) < lines:
            await asyncio.sleep(0.01)
    return found


async def test_each_state_is_shown_once_and_off_at_the_end(tmp_path: Path):
    seen = tmp_path / "seen"
    async with open_indicator(program(tmp_path, f'echo "$#:$1" >> {seen}'), 5) as light:
        for state in ("recording", "recording", "paused"):
            light.show(state)
            await asyncio.sleep(0.3)
        assert await shown(seen, 2) == ["1:recording", "1:paused"]
    assert seen.read_text().splitlines()[-1] == "1:off"


async def test_of_states_that_come_fast_the_newest_is_shown(tmp_path: Path):
    seen = tmp_path / "seen"
    async with open_indicator(program(tmp_path, f"sleep 0.2; echo $1 >> {seen}"), 5) as light:
        light.show("recording")
        await asyncio.sleep(0.1)
        for _ in range(50):
            light.show("paused")
            light.show("trouble")
        assert await shown(seen, 2) == ["recording", "trouble"]


async def test_one_that_hangs_is_killed_with_its_children_and_the_next_state_is_shown(tmp_path: Path):
    seen = tmp_path / "seen"
    body = f"if [ $1 = recording ]; then sleep 60 & echo $! > {tmp_path}/child; wait; fi; echo $1 >> {seen}"
    async with open_indicator(program(tmp_path, body), 0.5) as light:
        light.show("recording")
        await asyncio.sleep(0.2)
        light.show("paused")
        assert await shown(seen, 1) == ["paused"]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while runs(child):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_one_that_fails_or_is_missing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for path in (program(tmp_path, "exit 3"), tmp_path / "missing"):
        caplog.clear()
        async with open_indicator(path, 5) as light:
            for state in ("recording", "paused", "recording"):
                light.show(state)
                await asyncio.sleep(0.1)
        assert [record.message for record in caplog.records] == ["the program that shows the state failed"]


async def test_it_sees_nothing_of_the_daemons_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMBIENTD_SYNC__SECRET", "xylophonequartz")
    seen = tmp_path / "seen"
    async with open_indicator(program(tmp_path, f"env > {seen}"), 5) as light:
        light.show("recording")
        await shown(seen, 2)
    assert "xylophonequartz" not in seen.read_text()
    assert os.environ["AMBIENTD_SYNC__SECRET"]
