"""``make demo``: a box and a centre on this machine; a recorded visit goes in, and its answers come back.

Nothing is left behind: both keep their files in a folder that is removed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from central.server import USERS, Centre, running

VISIT = Path(__file__).parent.parent / "data" / "visit.flac"
SESSION = "sample-visit"
PATIENCE = 60.0
"""Seconds for the answers to come."""

console = Console(highlight=False)


class Failed(Exception):
    """The demo could not be shown, and why."""


def environment(folder: Path, centre: Centre) -> dict[str, str]:
    """What ``make run`` would have, with a store of its own and a centre to deliver to."""
    email, password = next(iter(USERS.items()))
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    return os.environ | {
        "AMBIENTD_SERVER__PORT": "0",
        "AMBIENTD_LAN__ENABLED": "false",
        "AMBIENTD_STORE__DIRECTORY": str(folder),
        "AMBIENTD_SYNC__PROFILE": "ambientai",
        "AMBIENTD_SYNC__URL": centre.url,
        "AMBIENTD_SYNC__EMAIL": email,
        "AMBIENTD_SYNC__SECRET": str(secret),
        "AMBIENTD_SYNC__SCHEDULE": "interval 2",
        "AMBIENTD_SYNC__JITTER": "0",
    }


@asynccontextmanager
async def box(folder: Path, centre: Centre) -> AsyncIterator[str]:
    """A running daemon; gives its address."""
    log = folder / "log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ambientd", env=environment(folder, centre), stdout=file, stderr=file
        )
    try:
        while not (ready := re.search(r"daemon: ready .*port=(\d+)", log.read_text())):
            if process.returncode is not None:
                raise Failed(f"the daemon did not start:\n{log.read_text()}")
            await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{ready[1]}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def play(url: str, *, fast: bool) -> None:
    """The visit, shown as it is heard, by the ordinary client."""
    options = ["--fast"] if fast else []
    command = "from ambientd.ctl import main; main()"
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        command,
        "transcribe",
        str(VISIT),
        "--url",
        url,
        "--session-id",
        SESSION,
        *options,
    )
    if await client.wait():
        raise Failed("the visit could not be played")


async def answers(url: str) -> dict[str, Any]:
    """What the box has got back from the centre; waits for it."""
    async with aiohttp.ClientSession(url) as http:
        for _ in range(int(PATIENCE / 0.25)):
            async with http.get(f"/api/v1/sessions/{SESSION}/answers") as reply:
                document = await reply.json()
            if document["status"] == "done":
                return document
            await asyncio.sleep(0.25)
        async with http.get("/api/v1/sync") as reply:
            raise Failed(f"no answers within {PATIENCE:g} s: {await reply.text()}")


def show(document: dict[str, Any]) -> None:
    table = Table(title="What the centre answered, as the box now has it", title_justify="left")
    for column in ("question", "answer", "sure"):
        table.add_column(column, no_wrap=column == "sure")
    for each in document["answers"]:
        table.add_row(each["question"], Text(each["answer"]), f"{each['confidence']:.2f}")
    for each in document["missing"]:
        table.add_row(each["question"], "not said", "", style="dim")
    console.print(table)


async def demo(*, fast: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="ambientd-demo-") as name:
        folder = Path(name)
        (folder / "box").mkdir(mode=0o700)
        async with running(folder / "centre.db", delay=0.5) as centre, box(folder / "box", centre) as url:
            console.print(f"[bold]The centre[/] listens at {centre.url}, [bold]the box[/] at {url}.")
            console.print("A visit is played to the box, as fast as it was spoken:\n" if not fast else "")
            await play(url, fast=fast)
            console.print("\nThe visit has ended, and the box delivers it …")
            found = await answers(url)
            counts = await centre.records.counts()
            console.print(f"The centre has {counts['uploads']} conversation.\n")
            show(found)
            console.print(
                "\nBoth stop now and leave nothing behind.  make run starts a box that stays;"
                " docs/sync.md tells how it finds its centre."
            )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m central.demo", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="do not wait for the clock")
    try:
        asyncio.run(demo(fast=parser.parse_args().fast))
    except Failed as failure:
        console.print(f"[red]{failure}[/]")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
