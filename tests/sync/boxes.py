"""A box without ears: conversations are put straight into its store, and its rounds are done one by one."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from central.server import USERS, Centre

from ambientd.core.delivery import Upload, UploadStatus
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionState
from ambientd.core.retry import Backoff
from ambientd.core.transcript import Line
from ambientd.store.database import Database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.sync.answers import Listener
from ambientd.sync.breaker import Breaker
from ambientd.sync.central import open_central
from ambientd.sync.profiles import profile
from ambientd.sync.route import Route
from ambientd.sync.uploader import Tally, Uploader


def line(index: int, text: str) -> Line:
    return Line(index, text, index * 16_000, (index + 1) * 16_000, (), 0.9, "en", "base-q8_0", 500.0)


async def say(database: Database, session_id: str, *texts: str) -> None:
    """A conversation from its beginning to its end."""
    await tell(database, session_id, *(line(index, text) for index, text in enumerate(texts)))


async def tell(database: Database, session_id: str, *said: Line) -> None:
    """The same, of whole lines."""
    sessions, lines = Sessions(database), Lines(database)
    now = datetime.now(UTC)
    await sessions.create(session_id, connected_at=now, client="192.0.2.7", language="en", model="base-q8_0")
    for each in said:
        await lines.append_line(session_id, each, SessionMetrics())
    await sessions.finalise(
        session_id,
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=now,
        metrics=SessionMetrics(),
    )


def route(centre: Centre, kind: str, folder: Path) -> Route:
    email, password = next(iter(USERS.items()))
    secret = folder / "secret"
    secret.write_text(password)
    secret.chmod(0o600)
    return Route(
        profile=kind,
        url=centre.url,
        box_id="box-7",
        email=email if kind == "ambientai" else "",
        secret=str(secret) if kind == "ambientai" else "",
        request_timeout=0.5,
        connect_timeout=0.5,
        backoff=Backoff(0.01, 0.05),
        settle=timedelta(seconds=0.3),
        server_errors=5,
        jitter=0.0,
    )


class Box:
    def __init__(self, database: Database, centre: Centre, kind: str, folder: Path) -> None:
        self.database, self.centre, self.kind = database, centre, kind
        self.outbox = Outbox(database)
        self.tally = Tally()
        self.route = route(centre, kind, folder)

    async def round(self, breaker: Breaker | None = None, **changed: Any) -> None:
        """One round of a sync that has just been started."""
        told = replace(self.route, **changed)
        breaker = breaker or Breaker(told.backoff, time.monotonic, lambda: 0.5)
        async with AsyncExitStack() as stack:
            central = await stack.enter_async_context(open_central(told))
            spoken = profile(self.kind, central, told)
            uploader = Uploader(
                self.outbox, central=central, profile=spoken, route=told, breaker=breaker, tally=self.tally
            )
            await uploader.drain()
            if not breaker.remaining:
                await Listener(self.database, spoken, told, breaker).listen()

    async def until_done(self, within: float = 20.0, **changed: Any) -> None:
        """Rounds until nothing is left to send."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            await self.round(**changed)
            await self.centre.worker.idle()
            counts = await self.outbox.counts()
            if counts[UploadStatus.PENDING] + counts[UploadStatus.IN_FLIGHT] == 0:
                return
        raise AssertionError(f"still not done: {counts}, {self.tally.last_error}")

    async def items(self) -> dict[str, Upload]:
        return {item.session_id: item for item in await self.outbox.items()}

    async def received(self) -> Counter[str]:
        """How often the centre holds each text."""
        await self.centre.worker.idle()
        if self.kind == "ambientai":
            return await self.centre.records.texts()
        bodies = (await self.centre.records.bodies()).values()
        return Counter(json.loads(body)["text"] for body in bodies)
