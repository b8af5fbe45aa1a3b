"""A box that delivers what is in its outbox, until it is killed: ``deliver_until_killed.py DATABASE ROUTE [POINT]``.

POINT: ``before`` dies after the mark and before the call; ``after`` dies with the answer in hand and nothing noted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ambientd.core.delivery import UploadStatus
from ambientd.core.retry import Backoff
from ambientd.store.database import open_database
from ambientd.sync import courier
from ambientd.sync.profiles import profile
from ambientd.sync.route import Route


def dying(point: str) -> Any:
    """The profile, with a push that does not survive."""

    def made(*arguments: Any) -> Any:
        spoken = profile(*arguments)
        push = spoken.push

        async def last(*given: Any) -> None:
            if point == "after":
                await push(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        spoken.push = last  # type: ignore[method-assign]
        return spoken

    return made


async def deliver(path: Path, route: Route) -> None:
    async with open_database(path) as database, courier.open_courier(database, route) as running:
        print("ready", flush=True)  # noqa: T201
        while True:
            counts = await running.outbox.counts()
            if not counts[UploadStatus.PENDING] + counts[UploadStatus.IN_FLIGHT]:
                return
            await asyncio.sleep(0.02)


def main() -> None:
    given = json.loads(sys.argv[2])
    if len(sys.argv) > 3:
        courier.profile = dying(sys.argv[3])
    route = Route(
        **given, backoff=Backoff(0.01, 0.1), settle=timedelta(seconds=0.6), request_timeout=0.4, jitter=0.0
    )
    asyncio.run(deliver(Path(sys.argv[1]), replace(route, server_errors=10_000)))


if __name__ == "__main__":
    main()
