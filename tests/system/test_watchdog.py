"""A part of the daemon hangs: the watchdog starves, the service is restarted, and all that was shown is stored."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from box_that_hangs import HANGS
from light_box import spoken
from played_systemd import Service, supervised_service

SETTINGS = {
    "AMBIENTD_ENGINE__CHUNK_TIMEOUT": "0.5",
    "AMBIENTD_SEGMENTATION__CHUNK_DURATION": "0.5",
    "AMBIENTD_SEGMENTATION__MAX_DURATION": "8",
    "AMBIENTD_SEGMENTATION__PAUSE": "0.3",
    "AMBIENTD_SEGMENTATION__PATIENCE": "0.3",
    "AMBIENTD_SEGMENTATION__OVERLAP_DURATION": "0",
    "AMBIENTD_VOCABULARY__FILE": "",
    "AMBIENTD_REFINEMENT__ENABLED": "false",
}

PROGRAM = Path(__file__).parent.parent / "box_that_hangs.py"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    # As if the operator had allowed core dumps: the daemon must forbid them itself.
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    async with supervised_service(Service(PROGRAM, tmp_path, settings=SETTINGS)) as running:
        yield running
    resource.setrlimit(resource.RLIMIT_CORE, before)


async def talk(
    service: Service, name: str, levels: list[int], lines: int, then: Callable[[], Awaitable[None]]
) -> list[str]:
    """Speaks until so many lines have been shown, then does ``then`` and waits for the line to be cut."""
    shown: list[str] = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{service.url}/ws/transcribe/{name}") as socket,
    ):
        for level in levels:
            await socket.send_bytes(spoken(level))
        hung = False
        async with asyncio.timeout(30):
            async for message in socket:
                content = message.json()
                if content["type"] == "transcript":
                    shown.append(content["text"])
                if len(shown) >= lines and not hung:
                    hung = True
                    await then()
    return shown


async def stored(service: Service, name: str) -> tuple[list[str], str]:
    """The lines on record, and the session's state."""
    async with aiohttp.ClientSession(service.url) as http:
        async with http.get(f"/api/v1/sessions/{name}/transcript?tier=live") as answer:
            lines = [line["text"] for line in (await answer.json())["lines"]]
        async with http.get(f"/api/v1/sessions/{name}") as answer:
            return lines, (await answer.json())["state"]


def hang_loop(service: Service) -> None:
    os.kill(service.pid, signal.SIGUSR1)


def end_writer(service: Service) -> None:
    os.kill(service.pid, signal.SIGUSR2)


def hang_lane(_service: Service) -> None:
    """The audio does it."""


@pytest.mark.parametrize(
    ("provoke", "status"),
    [
        (hang_loop, "ready: 1 live session,"),  # the last it could say
        (end_writer, "not working: store-writer"),
        (hang_lane, "not working: lanes"),
    ],
    ids=["wedged event loop", "dead writer thread", "lane stuck in C"],
)
async def test_what_hangs_is_restarted_and_every_line_shown_is_stored(
    service: Service, provoke: Callable[[Service], None], status: str
) -> None:
    levels = [9_001, 9_002, 9_003]

    async def then() -> None:
        async with asyncio.timeout(10):
            while "ready: 1 live session," not in service.status:
                await asyncio.sleep(0.02)
        provoke(service)

    if provoke is hang_lane:
        levels = [*levels, HANGS]
    shown = await talk(service, "visit", levels, 2, then)
    await service.restarted(1)

    assert service.exits == [-signal.SIGABRT]
    assert any(told.startswith(f"STATUS={status}") for told in service.told)
    lines, state = await stored(service, "visit")
    assert len(shown) >= 2
    assert lines[: len(shown)] == shown
    assert state == "interrupted"
    # Where it hung is in the log, and nothing of what was said.
    assert "Fatal Python error: Aborted" in service.log
    assert "wait_in_c" in service.log or provoke is end_writer
    assert not [word for line in shown for word in line.split() if len(word) > 4 and word in service.log]
    assert not list(service.folder.glob("core*"))


async def test_a_busy_box_is_left_alone(service: Service) -> None:
    """Work for longer than the watchdog's time, without one part that hangs."""
    levels = list(range(9_001, 9_020))

    async def then() -> None:
        await asyncio.sleep(2 * service.watchdog)
        await service.stop()

    shown = await talk(service, "visit", levels, 10, then)
    assert len(shown) >= 10
    async with asyncio.timeout(10):
        while not service.exits:
            await asyncio.sleep(0.05)
    assert service.exits == [0]
