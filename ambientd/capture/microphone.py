"""The room's microphone: it keeps a capturing process alive while somebody listens.

Rule 1  The device is open only while somebody listens: nothing is heard that nobody asked for.
Rule 2  A process that gives no sound for ``stall`` seconds is killed.  PortAudio tells of no such failure itself.
Rule 3  Every attempt is a new process.  One that had given sound and broke is replaced at once, once: otherwise the
        device is left alone for 3 s, then twice as long each time, up to 30 s; a card that comes ends the wait.
Rule 4  What was not captured is a gap, measured by :class:`Continuity`, given to all who listen.
Rule 5  Whatever the device does, the daemon runs on, :attr:`state` says what is the matter, and it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from ambientd.capture import devices as hardware
from ambientd.capture.conversion import Conversion
from ambientd.capture.frames import Frame, Garbled, Kind
from ambientd.capture.hearing import Hearing
from ambientd.capture.process import Child, started
from ambientd.capture.remedies import remedy
from ambientd.core.audio import RATE, Samples
from ambientd.core.continuity import Continuity
from ambientd.core.levels import Meter
from ambientd.core.microphone import WHAT, Device, Gap, Level, Reason, Sound, State, Status
from ambientd.errors import ClientError, MicrophoneLost

logger = logging.getLogger(__name__)

OPENING: Final = 15.0
"""Seconds a process has to its first sound: the start of Python and PortAudio's look at every card on a busy box."""

TURN: Final = 1.0
"""Seconds between two signs of life of the supervision, whatever it waits for."""

DEAD: Final = 15.0
"""Seconds without a sign of life after which the supervision counts as dead."""

GLANCE: Final = 2.0
"""Seconds between two looks whether a card has come or gone."""

SETTLE: Final = 1.0
"""Seconds between a card's coming and its use: udev must give its files to the group audio first."""

LOOK_AGAIN: Final = 300.0
"""Seconds after which a missing microphone is looked for though no card has come: a sound server may have."""

PROVEN: Final = 2.0
"""Seconds of sound that show that a device works."""

Start = Callable[[Mapping[str, Any]], AbstractAsyncContextManager[Child]]
"""Starts a process that writes frames."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the settings say of the microphone."""

    enabled: bool = True
    device: str = ""
    """A USB id, a name or a part of one; empty for the likeliest."""
    channel: int = 0
    """The channel to be heard, from 1; 0 for the mean of all."""
    rate: int = 0
    """Hz; 0 for the device's own."""
    stall: float = 2.0
    """Seconds without sound after which the process is killed."""
    silence: float = 5.0
    """Seconds of digital silence that count as switched off."""
    restart_first: float = 3.0
    restart_most: float = 30.0
    """Seconds between attempts, at first and at most."""


class Microphone:
    """The microphone and the task that looks after it.  Use :func:`open_microphone`."""

    def __init__(self, choice: Choice, *, start: Start = started) -> None:
        """``start``: how a capturing process is started."""
        self._choice = choice
        self._start = start
        self._state = State(named=bool(choice.device))
        self._devices: tuple[Device, ...] = ()
        self._hearings: list[Hearing] = []
        self._dropped = 0
        """Samples thrown away by listeners that have gone."""
        self._captured = self._lost = self._restarts = 0
        self._stir = asyncio.Event()
        """Somebody has begun or ceased to listen, or wants to know which devices there are."""
        self._looking = asyncio.Event()
        self._looking.set()  # what is there is known before anybody asks
        self._looked = asyncio.Event()
        self._look_again = 0.0
        """When to look for devices though no card has come."""
        self._cards: frozenset[str] = hardware.signature()
        self._pulse = time.monotonic()
        # Of the process that runs:
        self._child: Child | None = None
        self._dismissed = False
        """Whether it was killed because nobody listened."""
        self._format = (RATE, 1)
        """Hz and channels."""
        self._conversion: Conversion | None = None
        self._meter: Meter | None = None
        self._sound_due = 0.0
        """When it counts as stalled."""
        self._sounded = 0.0
        """Seconds of sound it has given."""
        # Of all processes from the first listener to the last:
        self._continuity = Continuity()
        if not choice.enabled:
            self._fault(Reason.DISABLED)

    @property
    def state(self) -> State:
        """See ``core.microphone``."""
        level = self._meter.level if self._meter and self._state.status is Status.LIVE else Level()
        dropped = self._dropped + sum(hearing.dropped for hearing in self._hearings)
        return replace(
            self._state,
            level=level,
            restarts=self._restarts,
            captured=self._captured,
            lost=self._lost + dropped,
        )

    @property
    def devices(self) -> tuple[Device, ...]:
        """See ``core.microphone``."""
        return self._devices

    @property
    def alive(self) -> bool:
        """See ``core.microphone``."""
        return not self._choice.enabled or time.monotonic() - self._pulse < DEAD

    async def look(self) -> tuple[Device, ...]:
        """See ``core.microphone``."""
        if self._choice.enabled and not self._hearings:
            self._looked.clear()
            self._looking.set()
            self._stir.set()
            await self._looked.wait()
        return self._devices

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Hearing]:
        """See ``core.microphone``."""
        if not self._choice.enabled:
            raise ClientError(
                "microphone_disabled",
                WHAT[Reason.DISABLED],
                hint=remedy(Reason.DISABLED),
            )
        if not self._wanted():  # what passed unheard since the last listener left is missed by nobody
            self._continuity = Continuity()
        hearing = Hearing(
            lambda: self._continuity.trailing(time.monotonic_ns()),
            lambda: sum(not each.stopped for each in self._hearings) == 1,
        )
        self._hearings.append(hearing)
        self._stir.set()
        try:
            yield hearing
        finally:
            hearing.stop()
            self._hearings.remove(hearing)
            self._dropped += hearing.dropped
            self._stir.set()
            if not self._wanted() and self._child is not None:
                self._dismissed = True
                self._child.kill()

    async def run(self) -> None:
        """Looks after the microphone for ever."""
        if not self._choice.enabled:
            return
        while True:
            self._pulse = time.monotonic()
            try:
                await self._turn()
            # The task boundary: a defect here must not leave the room deaf until somebody notices.
            except Exception as error:
                logger.exception(
                    "supervision of the microphone failed", extra={"error": type(error).__name__}
                )
                self._fault(Reason.FAILED, type(error).__name__)
                self._looking.clear()
                self._looked.set()
                await asyncio.sleep(min(self._choice.restart_first, DEAD / 2))

    async def _turn(self) -> None:
        """Does what is to be done next, or waits a little."""
        if self._wanted():
            await self._record()
        elif self._looking.is_set():
            await self._list()
        elif self._cards_changed():
            await self._sleep(SETTLE)
            self._looking.set()
        else:
            await self._sleep(GLANCE)
            unusable = self._state.status in (Status.UNAVAILABLE, Status.STALLED)
            if unusable and time.monotonic() > self._look_again:
                self._looking.set()

    def _wanted(self) -> bool:
        return any(not hearing.stopped for hearing in self._hearings)

    def _cards_changed(self) -> bool:
        before, self._cards = self._cards, hardware.signature()
        return before != self._cards

    async def _sleep(self, seconds: float) -> None:
        """Waits, unless somebody begins or ceases to listen."""
        self._stir.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stir.wait()

    async def _list(self) -> None:
        """Looks which microphones there are."""
        self._cards = hardware.signature()
        self._chosen = None
        await self._process({"list": True})
        self._look_again = time.monotonic() + LOOK_AGAIN
        self._looking.clear()
        self._looked.set()

    async def _record(self) -> None:
        """From the first listener to the last, over as many processes as it takes."""
        self._continuity = Continuity()
        failures = 0
        while self._wanted():
            self._cards = hardware.signature()
            if self._state.reason is None:
                self._become(Status.STARTING)
            self._sounded = 0.0
            stalled = await self._process({})
            self._looked.set()
            if not self._wanted():
                break
            if self._dismissed:
                continue  # somebody listens again
            self._restarts += 1
            failures = 0 if self._sounded >= PROVEN else failures + 1
            failures = max(failures, int(stalled))
            if failures:
                doubled = self._choice.restart_first * 2.0 ** (failures - 1)
                await self._back_off(min(self._choice.restart_most, doubled))
        if self._state.status is not Status.UNAVAILABLE:
            self._become(Status.OFF)

    async def _back_off(self, seconds: float) -> None:
        """Leaves the device alone for so long, unless a card comes; tells then what is missing so far."""
        until = time.monotonic() + seconds
        while self._wanted() and (left := until - time.monotonic()) > 0:
            self._pulse = time.monotonic()
            await self._sleep(min(left, TURN))
            if self._cards_changed():
                until = min(until, time.monotonic() + SETTLE)
        if self._wanted():
            self._miss(self._continuity.waited(time.monotonic_ns()))

    async def _process(self, asked: Mapping[str, Any]) -> bool:
        """One process from its start to its end; gives whether it had to be killed for giving no sound."""
        choice = self._choice
        stalled = False
        usual = {"device": choice.device, "channel": choice.channel, "rate": choice.rate}
        self._sound_due = time.monotonic() + OPENING
        self._conversion = None
        self._dismissed = False
        try:
            async with self._start({**usual, **asked}) as child:
                self._child = child
                if not asked and not self._wanted():  # since it was begun to be started
                    self._dismissed = True
                    child.kill()
                reading = asyncio.create_task(self._read(child), name="microphone frames")
                try:
                    stalled = await self._watch(reading)
                finally:
                    self._child = None
                    reading.cancel()
                    await asyncio.wait({reading})
        except OSError as error:
            self._fault(Reason.FAILED, f"no process could be started: {error.strerror}")
        self._finish()
        self._continuity.interrupt()
        return stalled

    async def _watch(self, reading: asyncio.Task[None]) -> bool:
        """Returns when the process has ended, or has given no sound for too long."""
        while not reading.done():
            self._pulse = time.monotonic()
            left = self._sound_due - self._pulse
            if left <= 0:
                self._fault(Reason.STALLED)
                return True
            await asyncio.wait({reading}, timeout=min(left, TURN))
        await reading
        return False

    async def _read(self, child: Child) -> None:
        """Takes what the process gives, to its end."""
        try:
            while (frame := await child.read()) is not None:
                if not self._receive(frame):
                    return
        except (Garbled, KeyError, TypeError, ValueError) as error:
            self._fault(Reason.FAILED, f"its process writes nonsense ({type(error).__name__})")
            return
        words = await child.last_words()
        # Killed because nobody listened any more is no fault, also if somebody does again by now.
        if words and not self._dismissed and (self._wanted() or self._looking.is_set()):
            self._fault(Reason.FAILED, f"its process was {words}")

    def _receive(self, frame: Frame) -> bool:
        """Takes one frame; gives whether another can follow."""
        match frame.kind:
            case Kind.FOUND:
                self._list_found(frame.fields)
            case Kind.OPENED:
                self._opened(frame.fields)
            case Kind.PCM:
                self._hear(frame)
            case Kind.FAILED:
                said = frame.fields
                self._fault(Reason(said["reason"]), str(said["detail"]))
                return False
        return True

    def _list_found(self, said: Mapping[str, Any]) -> None:
        self._devices = tuple(Device(**device) for device in said["devices"])
        self._looked.set()
        chosen = said["chosen"]
        if chosen is None:
            self._state = replace(self._state, device=None)
            self._fault(Reason(said["reason"]))
            return
        self._state = replace(self._state, device=self._devices[chosen])
        if not self._wanted():  # whoever wants it will see whether it opens
            self._become(Status.OFF)

    def _opened(self, said: Mapping[str, Any]) -> None:
        self._format = (int(said["rate"]), int(said["channels"]))
        self._sound_due = time.monotonic() + OPENING
        rate, channels = self._format
        self._conversion = Conversion(rate=rate, channels=channels, channel=self._choice.channel)
        self._meter = Meter(rate, silence=self._choice.silence)

    def _hear(self, frame: Frame) -> None:
        if self._conversion is None or self._meter is None:
            raise Garbled("sound before its format")
        rate, channels = self._format
        block = self._conversion.heard(frame.body)
        if not len(block):
            return
        self._sound_due = time.monotonic() + self._choice.stall
        self._sounded += len(block) / rate
        missing = self._continuity.missing(len(block), rate, frame.end, broken=frame.broken)
        if missing:
            # What the resampler holds back lies before the gap.
            self._finish()
            self._miss(missing)
            self._conversion = Conversion(rate=rate, channels=channels, channel=self._choice.channel)
        self._meter.receive(block)
        self._give(self._conversion.receive(block))
        if self._state.status is not Status.LIVE:
            self._become(Status.LIVE)

    def _finish(self) -> None:
        """A stream has come to its end, or was broken."""
        conversion, self._conversion = self._conversion, None
        if conversion is not None:
            self._give(conversion.finish())
            self._continuity.settle(conversion.ideal, conversion.given)

    def _give(self, samples: Samples) -> None:
        if len(samples):
            self._captured += len(samples)
            self._pass_on(Sound(samples))

    def _miss(self, samples: int) -> None:
        if samples:
            self._lost += samples
            self._pass_on(Gap(samples))

    def _pass_on(self, heard: Sound | Gap) -> None:
        for hearing in self._hearings:
            hearing.put(heard)

    def _become(self, status: Status) -> None:
        """The microphone works, as far as is known."""
        before, self._state = self._state, replace(self._state, status=status, reason=None, remedy="")
        if before.status is status and before.reason is None:
            return
        if status is Status.LIVE or before.reason is not None:
            device = self._state.device.id if self._state.device else ""
            logger.info("microphone %s", status.value, extra={"device": device.replace(" ", "_")})

    def _fault(self, reason: Reason, detail: str = "") -> None:
        """There is no sound, and this is why."""
        broke = reason is Reason.STALLED or (reason is Reason.FAILED and self._sounded > 0)
        status = Status.STALLED if broke else Status.UNAVAILABLE
        text = remedy(reason, self._choice.device)
        before, self._state = self._state, replace(self._state, status=status, reason=reason, remedy=text)
        if before.reason is not reason:  # once, however often it is tried again
            what = f"{WHAT[reason]}: {detail}" if detail else WHAT[reason]
            logger.warning(
                "no sound from the microphone",
                extra={"reason": reason.value, "error": MicrophoneLost(what, hint=text)},
            )


@asynccontextmanager
async def open_microphone(choice: Choice, *, start: Start = started) -> AsyncIterator[Microphone]:
    """The microphone; on leaving, its process is killed."""
    microphone = Microphone(choice, start=start)
    task = asyncio.create_task(microphone.run(), name="microphone")
    try:
        yield microphone
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
