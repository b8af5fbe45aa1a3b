"""A microphone that does as it is told, for tests of what lies above it: see ``ambientd.core.microphone``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ambientd.core.audio import Samples
from ambientd.core.microphone import Device, Gap, Reason, Sound, State, Status
from ambientd.errors import ClientError

USB = Device(id="0d8c:0014", name="USB Audio Device", channels=1, rate=48_000, default=True)


class ScriptedHearing:
    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Sound | Gap | None] = asyncio.Queue()
        self.stopped = False
        self.heard = False
        """Whether it got any sound: nothing is missing before the first."""

    def put(self, heard: Sound | Gap) -> None:
        self.heard = self.heard or isinstance(heard, Sound)
        if self.heard and not self.stopped:
            self.waiting.put_nowait(heard)

    async def __aiter__(self) -> AsyncIterator[Sound | Gap]:
        while (heard := await self.waiting.get()) is not None:
            yield heard

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.waiting.put_nowait(None)


@dataclass
class ScriptedMicrophone:
    """``say`` and ``lose`` give all who listen what a test wants heard; ``fail`` and ``mend`` change the state."""

    state: State = field(default_factory=lambda: State(device=USB))
    devices: tuple[Device, ...] = (USB,)
    alive: bool = True
    hearings: list[ScriptedHearing] = field(default_factory=list)
    opened: int = 0
    """How often somebody began to listen."""

    async def look(self) -> tuple[Device, ...]:
        return self.devices

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[ScriptedHearing]:
        if self.state.reason is Reason.DISABLED:
            raise ClientError("microphone_disabled", "the microphone is switched off in the settings")
        hearing = ScriptedHearing()
        self.hearings.append(hearing)
        self.opened += 1
        if self.state.reason is None:
            self.state = State(Status.LIVE, device=self.state.device)
        try:
            yield hearing
        finally:
            self.hearings.remove(hearing)
            if not self.hearings and self.state.reason is None:
                self.state = State(device=self.state.device)

    @property
    def listening(self) -> bool:
        return any(not hearing.stopped for hearing in self.hearings)

    def say(self, samples: Samples, *, block: int = 800) -> None:
        """Gives samples out in blocks, as the real one does, but all at once."""
        for begin in range(0, len(samples), block):
            self._give(Sound(samples[begin : begin + block]))

    def lose(self, samples: int) -> None:
        self._give(Gap(samples))

    def fail(self, reason: Reason, remedy: str = "Plug it in.", status: Status = Status.UNAVAILABLE) -> None:
        self.state = State(status, reason, remedy, self.state.device)

    def mend(self) -> None:
        self.state = State(Status.LIVE if self.hearings else Status.OFF, device=self.state.device or USB)

    def _give(self, heard: Sound | Gap) -> None:
        for hearing in self.hearings:
            hearing.put(heard)
