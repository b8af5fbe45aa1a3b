"""A running service as the tests of its routes see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
from aiohttp import web
from scripted import Engine
from scripted_microphone import ScriptedMicrophone

from ambientd.access.gate import Gate
from ambientd.access.joining import Joining
from ambientd.lan import LocalNetwork
from ambientd.session.microphone import Recorder
from ambientd.session.refiner import Refiner
from ambientd.session.registry import Registry
from ambientd.session.uploads import Uploads
from ambientd.store.database import Database
from ambientd.store.sessions import Sessions


@dataclass
class Box:
    """A running service and a client's session with it."""

    url: str
    http: aiohttp.ClientSession
    registry: Registry
    database: Database
    engine: Engine
    refiner: Refiner
    uploads: Uploads
    app: web.Application
    microphone: ScriptedMicrophone
    recorder: Recorder
    gate: Gate
    joining: Joining
    runner: web.AppRunner
    network: LocalNetwork | None = None

    web: ClassVar = Path(__file__).parent.parent.parent / "web"

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.database)

    async def connect(self, path: str = "/ws/transcribe", **options: Any) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(self.url + path, **options)


Open = Callable[..., Awaitable[Box]]
