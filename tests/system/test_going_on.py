"""A session over a real daemon that is killed, a client that dies, and a wire between them that breaks."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import soundfile
from proxied import Proxy
from running import DATA, ROOT, Daemon

from ambientd.client import fetch_transcript
from ambientd.client_events import Transcript
from ambientd.client_lasting import Lasting, lasting
from ambientd.core.audio import to_pcm16

pytestmark = pytest.mark.model

BLOCK = 8192

ONCE = {"AMBIENTD_REFINEMENT__ENABLED": "false"}
"""The words are compared as they were first heard."""


@pytest.fixture(scope="module")
def visit() -> bytes:
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    return to_pcm16(audio)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def converse(session: Lasting, pcm: bytes, at_lines: dict[int, Any]) -> list[Transcript]:
    """Plays ``pcm``; after so many lines does what ``at_lines`` says, in a thread."""
    blocks = [pcm[at : at + BLOCK] for at in range(0, len(pcm), BLOCK)]

    async def play() -> None:
        await session.play(blocks, realtime=False)
        await session.end()

    playing = asyncio.create_task(play())
    lines: list[Transcript] = []
    async for event in session:
        if isinstance(event, Transcript):
            lines.append(event)
            if act := at_lines.pop(len(lines), None):
                await asyncio.to_thread(act)
    await playing
    return lines


def words(text: str) -> list[str]:
    return [word.strip(".,?!").lower() for word in text.split()]


async def record(daemon: Daemon, name: str) -> tuple[dict[str, Any], list[str]]:
    """The stored session, and its words."""
    document = json.loads(await fetch_transcript(name, "json", url=daemon.url))
    return document, [word for line in document["lines"] for word in words(line["text"])]


@pytest.fixture(scope="module")
def box(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that is not killed."""
    running = Daemon(tmp_path_factory.mktemp("box"), models, dict(ONCE))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def whole(box: Daemon, visit: bytes) -> list[Transcript]:
    """The visit as it is heard when nothing breaks."""

    async def hear() -> list[Transcript]:
        async with lasting(box.url, session_id="whole") as session:
            return await converse(session, visit, {})

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, hear()).result()


async def test_a_daemon_that_is_killed_again_and_again_loses_and_doubles_nothing(
    own_daemon: Daemon, visit: bytes, whole: list[Transcript]
):
    own_daemon.environment |= ONCE | {"AMBIENTD_SERVER__PORT": str(free_port())}
    own_daemon.start()

    def crash() -> None:
        own_daemon.kill()
        own_daemon.start()

    async with lasting(own_daemon.url, session_id="torn") as session:
        torn = await converse(session, visit, {1: crash, 3: crash})
        resumed = session.resumed

    document, said = await record(own_daemon, "torn")
    expected = [word for line in whole for word in words(line.text)]
    assert resumed >= 2
    stored = [line["text"] for line in document["lines"]]
    assert [stored[line.chunk_index] for line in torn] == [line.text for line in torn]
    assert document["gaps"] == []
    assert torn[-1].end_time == pytest.approx(whole[-1].end_time, abs=0.5)
    # The pieces are other ones behind a crash, so that a word here or there is heard in another way.
    assert SequenceMatcher(None, expected, said, autojunk=False).ratio() > 0.93
    assert abs(len(said) - len(expected)) <= 4


async def test_a_wire_that_breaks_changes_not_one_word(box: Daemon, visit: bytes, whole: list[Transcript]):
    proxy = Proxy(box.port)
    await proxy.open()
    loop = asyncio.get_running_loop()

    def cut() -> None:
        loop.call_soon_threadsafe(proxy.cut)

    async with lasting(proxy.url, session_id="wire") as session:
        await converse(session, visit, {1: cut, 2: cut})
        resumed = session.resumed
    proxy.close()

    _, said = await record(box, "wire")
    assert resumed >= 1
    assert said == [word for line in whole for word in words(line.text)]


CLIENT = """
import asyncio, sys
from ambientd.client import connect

async def main(url, path):
    async with connect(url, session_id="client") as connection:
        with open(path, "rb") as file:
            while block := file.read(8192):
                await connection.send(block)
        print(connection.sent_samples, flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_client_that_is_killed_is_followed_by_another_that_goes_on(
    box: Daemon, visit: bytes, tmp_path: Path
):
    (tmp_path / "half").write_bytes(visit[: len(visit) // 4 * 2])
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        box.url,
        str(tmp_path / "half"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdout is not None
    sent = int(await client.stdout.readline())
    client.kill()
    await client.wait()
    await asyncio.sleep(1)  # the box needs a moment to see that the wire is dead

    async with lasting(box.url, session_id="client") as session:
        there = session.opened.received_samples
        lines = await converse(session, visit[2 * there :], {})

    address = f"{box.url}/api/v1/sessions/client"
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        stored = await answer.json()
    assert session.opened.resumed
    assert 0 < there <= sent
    assert stored["metrics"]["received_samples"] == len(visit) // 2
    assert lines[-1].end_time == pytest.approx(len(visit) / 32_000, abs=2)
