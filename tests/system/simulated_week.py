"""A week in a clinic whose centre is away or failing and whose box is unplugged, in minutes.

    PYTHONPATH=.:tests python tests/system/simulated_week.py --profile ambientai --sessions 200 --kills 50

Rooms hold sessions at a real daemon with a made-up engine; the centre fails in every way it knows, drawn from the seed;
the daemon is killed with SIGKILL at random moments.  Then the weather clears, and the centre must hold every stored
transcript exactly once, byte for byte, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from central.certificates import Tls
from central.faults import Fault
from central.server import USERS, Centre, running
from light_box import HIGHEST, LOWEST, spoken

PROGRAM = Path(__file__).parent.parent / "light_box.py"
ROOMS = 4
LONG = 12
"""Lines of 500 words: more text than the centre takes in one call."""


class Stuck(Exception):
    """The week did not end as it must."""


@dataclass(frozen=True, slots=True)
class Plan:
    profile: str = "ambientai"
    sessions: int = 200
    """At least so many with words, interrupted ones included."""
    kills: int = 50
    seed: int = 1
    share: float = 0.5
    """Of all calls to the centre that fail."""
    stormy: float = 30.0
    """Seconds for which the faults go on after the last session."""
    patience: float = 300.0
    """Seconds for the queue to empty once all is well."""


@dataclass
class Diary:
    """What happened."""

    ended: Counter[str] = field(default_factory=Counter)
    """Sessions by how they ended for the client."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """Lines that a client has seen, by session."""
    ephemeral: set[str] = field(default_factory=set)
    kills: int = 0
    released: int = 0
    """Rows that a person had to release."""
    seconds: float = 0.0


class Box:
    """The daemon, in a process that can be killed; its port and its store stay the same."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.store = folder / "box"
        self.store.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AMBIENTD_")}
        self._environment = (
            kept
            | settings
            | {
                "AMBIENTD_SERVER__PORT": str(self.port),
                "AMBIENTD_STORE__DIRECTORY": str(self.store),
                "AMBIENTD_MODELS__DIRECTORY": str(self.store),
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
        )
        self._process: asyncio.subprocess.Process | None = None
        self.up = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.store / "log").read_text()

    async def start(self) -> None:
        with (self.store / "log").open("a") as log:
            begin = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, PROGRAM, env=self._environment, stdout=log, stderr=log
            )
        while not re.search(r"daemon: ready ", self.log[begin:]):
            if self._process.returncode is not None:
                raise Stuck(f"the daemon did not start:\n{self.log[begin:]}")
            await asyncio.sleep(0.05)
        self.up.set()

    async def stop(self, how: signal.Signals) -> None:
        self.up.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the file says, read as anybody could."""
        with sqlite3.connect(f"file:{self.store / 'ambientd.db'}?mode=ro", uri=True, timeout=30) as file:
            found = file.execute(sql).fetchall()
        file.close()
        return found


class Week:
    def __init__(self, plan: Plan, box: Box, centre: Centre) -> None:
        self.plan = plan
        self.box = box
        self.centre = centre
        self.diary = Diary()
        self._chance = Random(plan.seed)  # noqa: S311 - dice
        pool = list(range(LOWEST, HIGHEST))
        self._chance.shuffle(pool)
        self._short = [loudness for loudness in pool if loudness % 100]
        self._long = [loudness for loudness in pool if not loudness % 100]
        self._numbers = count()

    async def live(self) -> None:
        """Everything at once, until all sessions were held and all kills made."""
        began = time.monotonic()
        await self.box.start()
        self.centre.faults.draw(self.plan.seed, self.plan.share, self._kinds())
        async with asyncio.TaskGroup() as tasks:
            weather = tasks.create_task(self._weather())
            work = [tasks.create_task(self._room()) for _ in range(ROOMS)]
            work.append(tasks.create_task(self._killer()))
            await asyncio.wait(work)
            weather.cancel()
        await self.centre.listen()
        # Most of what gathered while the centre was away is sent while it still fails.
        with suppress(Stuck):
            await self._drain(self.plan.stormy)
        self.centre.faults.clear()
        await self.centre.listen()
        await self._drain(self.plan.patience)
        self.diary.seconds = time.monotonic() - began

    def _kinds(self) -> list[Fault]:
        if self.plan.profile == "ingest":
            return [kind for kind in Fault if kind not in {Fault.ORPHAN, Fault.EXPIRED_TOKEN}]
        return list(Fault)

    async def _weather(self) -> None:
        """Between faults of single calls the centre is away altogether for a while."""
        while True:
            await asyncio.sleep(self._chance.uniform(2, 8))
            await self.centre.leave()
            await asyncio.sleep(self._chance.uniform(0.5, 3))
            await self.centre.listen()

    async def _killer(self) -> None:
        for _ in range(self.plan.kills):
            await asyncio.sleep(self._chance.uniform(0.02, 2.0))
            await self.box.stop(signal.SIGKILL)
            self.diary.kills += 1
            await self.box.start()

    async def _room(self) -> None:
        async with aiohttp.ClientSession() as http:
            while self.diary.kills < self.plan.kills or len(self._worded()) < self.plan.sessions:
                number = next(self._numbers)
                if number > 100 + 10 * self.plan.sessions:
                    raise Stuck(f"hardly a session comes to words:\n{self.box.log[-4000:]}")
                await self.box.up.wait()
                try:
                    await self._session(http, f"visit-{number}")
                except (aiohttp.ClientError, ConnectionError, TimeoutError):
                    self.diary.ended["cut off"] += 1
                await asyncio.sleep(self._chance.uniform(0, 1.5))

    def _worded(self) -> list[str]:
        """The sessions of which a line was shown, and which are to be delivered."""
        return [
            name for name, shown in self.diary.shown.items() if shown and name not in self.diary.ephemeral
        ]

    async def _session(self, http: aiohttp.ClientSession, name: str) -> None:
        chance = self._chance
        kind = chance.choices(("end", "vanish", "rest", "ephemeral", "silent"), (70, 12, 10, 4, 4))[0]
        path = f"{self.box.url}/ws/transcribe/{name}"
        if kind == "ephemeral":
            self.diary.ephemeral.add(name)
            path += "?ephemeral=1"
        long = chance.random() < 0.1 and len(self._long) >= LONG
        lines = 0 if kind == "silent" else LONG if long else chance.randint(1, 5)
        shown = self.diary.shown.setdefault(name, [])
        async with http.ws_connect(path, timeout=aiohttp.ClientWSTimeout(ws_close=1)) as client:
            for _ in range(lines):
                loudness = (self._long if long else self._short).pop()
                await client.send_bytes(spoken(loudness))
                await self._until(client, "transcript", shown)
                await asyncio.sleep(chance.choice((0, 0, 0.01, 0.1)))
            match kind:
                case "vanish":
                    pass
                case "rest":
                    end = f"{self.box.url}/api/v1/websocket/sessions/{name}/end"
                    async with http.post(end) as reply:
                        await reply.read()
                case _:
                    await client.send_json({"type": "end_session"})
                    await self._until(client, "session_ended", shown)
        self.diary.ended[kind] += 1

    async def _until(self, client: aiohttp.ClientWebSocketResponse, kind: str, shown: list[str]) -> None:
        while True:
            message = await client.receive(timeout=20)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError
            said = json.loads(message.data)
            if said["type"] == "transcript":
                shown.append(said["text"])
            if said["type"] == kind:
                return

    # -- the end

    async def _drain(self, patience: float) -> None:
        """Wait for the queue to empty; a person releases what was parked for a fault that has passed.

        Raises:
            Stuck: it has not, within so many seconds.
        """
        deadline = time.monotonic() + patience
        async with aiohttp.ClientSession(self.box.url) as http:
            while time.monotonic() < deadline:
                open_sessions = self.box.rows("SELECT count(*) FROM realtime_sessions WHERE state = 'open'")
                rows = self.box.rows("SELECT id, status, answers FROM conversation_uploads")
                if open_sessions == [(0,)] and all(_is_done(status, answers) for _, status, answers in rows):
                    return
                for upload_id, status, _ in rows:
                    if status == "parked":
                        self.diary.released += 1
                        async with http.post(f"/api/v1/sync/items/{upload_id}/retry") as reply:
                            reply.raise_for_status()
                await asyncio.sleep(0.2)
        stuck = self.box.rows(
            "SELECT status, answers, last_error, count(*) FROM conversation_uploads GROUP BY 1, 2, 3"
        )
        raise Stuck(f"after {patience:g} s the queue holds {stuck}\n{self.box.log[-4000:]}")

    async def check(self) -> dict[str, str]:
        """Compares the box with the centre; gives the text of each delivered session.

        Raises:
            AssertionError: something is missing, doubled, changed or too much.
        """
        kept: dict[str, str] = {}
        async with aiohttp.ClientSession(self.box.url) as http:
            for (name,) in self.box.rows("SELECT session_id FROM realtime_sessions"):
                said = (await _transcript(http, name, "live"))["lines"]
                shown = self.diary.shown.get(name, [])
                assert [line["text"] for line in said[: len(shown)]] == shown, f"{name}: a line shown is gone"
                if said:
                    kept[name] = (await _transcript(http, name, "final"))["text"]
        failed = self.box.rows("SELECT session_id FROM realtime_sessions WHERE end_reason = 'error'")
        assert not failed, f"something failed inside the box in {failed}\n{self.box.log[-4000:]}"
        rows = dict(self.box.rows("SELECT session_id, status FROM conversation_uploads"))
        assert rows == dict.fromkeys(kept, "delivered")
        assert not self.diary.ephemeral & set(kept), "an ephemeral session was kept"
        for name, shown in self.diary.shown.items():
            assert name in kept or not shown or name in self.diary.ephemeral, f"{name} is gone"
        if self.plan.profile == "ingest":
            await self._check_puts(kept)
        else:
            await self._check_uploads(kept)
        return kept

    async def _check_uploads(self, kept: dict[str, str]) -> None:
        held = await self.centre.records.texts()
        assert set(held.values()) <= {1}, f"{sum(times > 1 for times in held.values())} texts are there twice"
        left = set(held)
        for name, text in kept.items():
            for part in _parts(text, left):
                assert part, f"{name}: not all of it is there"
                left.discard(part)
        assert not left, f"{len(left)} texts are in no session"

    async def _check_puts(self, kept: dict[str, str]) -> None:
        bodies = await self.centre.records.bodies()
        texts = Counter(json.loads(body)["text"] for body in bodies.values())
        assert texts == Counter(kept.values())


async def _transcript(http: aiohttp.ClientSession, name: str, tier: str) -> dict[str, Any]:
    async with http.get(f"/api/v1/sessions/{name}/transcript", params={"tier": tier}) as reply:
        return await reply.json()


def _is_done(status: str, answers: str) -> bool:
    return status == "delivered" and answers != "waiting"


def _parts(text: str, held: set[str]) -> Iterator[str]:
    """The texts at the centre that together are ``text``, in order; an empty one where the next is missing."""
    at = 0
    while at < len(text):
        part = next((each for each in held if text.startswith(each, at)), "")
        yield part
        if not part:
            return
        at += len(part)


def settings(profile: str, centre: Centre, folder: Path) -> dict[str, str]:
    """The box's, with the time of a week pressed into minutes."""
    assert centre.tls is not None
    email, password = next(iter(USERS.items()))
    secret = folder / "secret"
    secret.write_text(password)
    secret.chmod(0o600)
    logged_in = {"AMBIENTD_SYNC__EMAIL": email, "AMBIENTD_SYNC__SECRET": str(secret)}
    return {
        "AMBIENTD_SEGMENTATION__CHUNK_DURATION": "0.5",
        "AMBIENTD_SEGMENTATION__MAX_DURATION": "8",
        "AMBIENTD_SEGMENTATION__PAUSE": "0.3",
        "AMBIENTD_SEGMENTATION__PATIENCE": "0.3",
        "AMBIENTD_SEGMENTATION__OVERLAP_DURATION": "0",
        "AMBIENTD_SERVER__RESUME_GRACE": "0.5",
        # A week in minutes is more speech at once than a box would let in.
        "AMBIENTD_ADMISSION__MAX_UTILISATION": "10",
        "AMBIENTD_ADMISSION__MAX_LAG": "600",
        # To made-up words each name on the list is compared: minutes of it.
        "AMBIENTD_VOCABULARY__FILE": "",
        "AMBIENTD_SYNC__PROFILE": profile,
        "AMBIENTD_SYNC__URL": centre.url,
        "AMBIENTD_SYNC__CA_FILE": str(centre.tls.ca),
        "AMBIENTD_SYNC__SCHEDULE": "interval 2",
        "AMBIENTD_SYNC__JITTER": "1",
        "AMBIENTD_SYNC__CONNECT_TIMEOUT": "1",
        "AMBIENTD_SYNC__REQUEST_TIMEOUT": "1",
        "AMBIENTD_SYNC__RETRY_FIRST": "0.05",
        "AMBIENTD_SYNC__RETRY_MOST": "0.5",
        "AMBIENTD_SYNC__SETTLE": "3",
        **(logged_in if profile == "ambientai" else {}),
    }


async def run(plan: Plan) -> tuple[Week, dict[str, str]]:
    """One week from its beginning to its check."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ambientd-week-")))
        tls = Tls(folder / "tls")
        async with running(folder / "centre.db", tls=tls, delay=0.02) as centre:
            centre.faults.hang = 3.0
            box = Box(folder, settings(plan.profile, centre, folder))
            week = Week(plan, box, centre)
            try:
                await week.live()
                kept = await week.check()
                counts = await centre.records.counts()
            finally:
                await box.stop(signal.SIGTERM)
    report(week, kept, counts)
    return week, kept


def report(week: Week, kept: dict[str, str], counts: dict[str, int]) -> None:
    diary, plan = week.diary, week.plan
    faults = ", ".join(f"{kind} {times}" for kind, times in sorted(week.centre.faults.seen.items()))
    long = sum(len(text) > 50_000 for text in kept.values())
    again = sum(text.startswith("again ") for text in kept.values())
    print(  # noqa: T201
        f"profile {plan.profile}, seed {plan.seed}: {sum(diary.ended.values())} sessions in {diary.seconds:.0f} s"
        f" ({', '.join(f'{how} {times}' for how, times in sorted(diary.ended.items()))}), {diary.kills} kills\n"
        f"faults: {week.centre.faults.seen.total()} ({faults})\n"
        f"stored with words {len(kept)} ({again} heard a second time, {long} longer than"
        f" one call), at the centre {counts};"
        f" released by hand {diary.released}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", choices=["ambientai", "ingest"], default="ambientai")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.5)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(run(Plan(given.profile, given.sessions, given.kills, given.seed, given.share)))


if __name__ == "__main__":
    main()
