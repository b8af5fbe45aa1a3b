"""What request handlers may use: handed over once by the wiring, read by type-safe key."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from ambientd.access.gate import Gate
from ambientd.access.joining import Joining
from ambientd.api.network import Network
from ambientd.core.checks import Finding
from ambientd.core.decoding import Load
from ambientd.core.delivery import SyncStatus, Upload
from ambientd.core.microphone import Microphone
from ambientd.core.vocabulary import Vocabulary
from ambientd.session.later import Later
from ambientd.session.microphone import Recorder
from ambientd.session.registry import Registry
from ambientd.session.terms import Terms
from ambientd.session.uploads import Source, Uploads
from ambientd.store.answers import Answers
from ambientd.store.audit import Audit
from ambientd.store.backups import Backups
from ambientd.store.database import Database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.retention import Retention
from ambientd.store.sessions import Sessions
from ambientd.store.space import Disk


class Engine(Protocol):
    """The engine's own figures, for status and readiness."""

    @property
    def waiting(self) -> int:
        """Requests that have no lane yet."""
        ...

    @property
    def busy(self) -> int:
        """Lanes at work."""
        ...

    @property
    def count(self) -> int:
        """Lanes in all."""
        ...

    @property
    def load(self) -> Load:
        """What they have done so far."""
        ...


class Deliveries(Protocol):
    """The sync with the central server, for those who look after it."""

    @property
    def outbox(self) -> Outbox:
        """Its rows."""
        ...

    async def status(self) -> SyncStatus:
        """How it stands."""
        ...

    async def pause(self) -> None:
        """Call nobody until ``resume``."""
        ...

    async def resume(self) -> None:
        """Go on."""
        ...

    @property
    def delivers(self) -> bool:
        """Whether there is a centre."""
        ...

    def wake(self) -> None:
        """Something has changed in the outbox: look now."""
        ...

    async def run_now(self) -> None:
        """Try every row at once."""
        ...

    async def retry(self, upload_id: str) -> Upload:
        """Try one row at once, parked or not."""
        ...

    async def park(self, upload_id: str) -> Upload:
        """Leave one row to a person."""
        ...


class Glossary(Protocol):
    """The clinic's names, as they are in force."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Those of the chosen specialities."""
        ...

    def reload(self) -> None:
        """Read the list again; sessions opened from now on have it.

        Raises:
            OperatorError: it cannot be read; what was in force stays.
        """
        ...


@dataclass(frozen=True, slots=True)
class About:
    """What stays as it is while the daemon runs, for status."""

    threads: int = 1
    """Cores one decode uses."""
    kernels: tuple[str, ...] = ()
    tuning: Mapping[str, Any] | None = None
    """What ``ambientctl tune`` found, if it holds for this machine."""
    loop_delay: Callable[[], float] = lambda: 0.0
    """Seconds, the longest delay of the event loop in the last minute."""
    started: float = field(default_factory=time.monotonic)
    """When the daemon was ready, on the monotonic clock, in seconds."""


class Transfer(Source, Protocol):
    """A recording on its way in."""

    async def write(self, chunk: bytes) -> None:
        """Takes the next bytes of the file."""
        ...

    async def finish(self) -> None:
        """The file is complete: finds out what it is."""
        ...


Check = Callable[[], Awaitable[Sequence[Finding]]]
"""Looks at one part of the box, now; what it cannot find out is a finding too."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the door."""

    registry: Registry
    sessions: Sessions
    lines: Lines
    database: Database
    audit: Audit
    retention: Retention
    sync: Deliveries
    answers: Answers
    disk: Disk
    backups: Backups
    glossary: Glossary
    engine: Engine
    microphone: Microphone
    recorder: Recorder
    metrics: CollectorRegistry
    uploads: Uploads
    later: Later | None = field(default=None, kw_only=True)
    """Who transcribes what was recorded, if anybody does."""
    receive: Callable[[], Awaitable[Transfer]]
    """Makes ready for a recording that is about to be sent."""
    gate: Gate
    """Who somebody is, by what he shows."""
    joining: Joining
    """Who is let in, and put out."""
    terms: Callable[[], Terms]
    """The terms a new session is opened with."""
    model: str
    """Name of the model, as clients are told."""
    chunk_duration: float
    """Seconds: the least speech committed at once when a pause comes."""
    audio_buffer_size: int
    """Bytes of audio that clients are told to send at once."""
    max_frame_bytes: int
    heartbeat: float
    """Seconds between pings."""
    web: Path | None
    """Folder of the pages; ``None`` serves none."""
    about: About = field(default_factory=About)
    checks: tuple[Check, ...] = ()
    """What other rooms look at, for ``/api/v1/checks``."""
    network: Network | None = None
    """The box in its network; ``None`` where nobody asks for names or counts requests."""


SERVICES = web.AppKey("services", Services)
