"""The room's microphone as the rest of the box sees it: what it gives, how it does, and which there are.

Whoever records knows the microphone only as :class:`Microphone` below; ``capture/`` provides it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from ambientd.core.audio import Samples

NO_SIGNAL: Final = -120.0
"""dBFS told for digital silence, whose logarithm does not exist."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the microphone heard next."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Gap:
    """Time that passed in the room and of which nothing was captured, in samples at 16 kHz; at least 1."""

    samples: int


class Status(StrEnum):
    """How the microphone does."""

    OFF = "off"
    """Nobody listens: the device is closed."""
    STARTING = "starting"
    """It is being opened, for the first time or again."""
    LIVE = "live"
    """Sound comes in."""
    STALLED = "stalled"
    """Sound came in and has ceased; it is being opened again."""
    UNAVAILABLE = "unavailable"
    """It cannot be used; :attr:`State.reason` tells why.  It is tried again by itself, but for ``DISABLED``."""


class Reason(StrEnum):
    """Why there is no sound."""

    DISABLED = "disabled"
    NO_PORTAUDIO = "no_portaudio"
    NO_DEVICE = "no_device"
    NO_ACCESS = "no_access"
    DEVICE_BUSY = "device_busy"
    DEVICE_LOST = "device_lost"
    STALLED = "stalled"
    FAILED = "failed"


WHAT: Final = {
    Reason.DISABLED: "the microphone is switched off in the settings",
    Reason.NO_PORTAUDIO: "the library that reads microphones is not installed",
    Reason.NO_DEVICE: "no microphone is there",
    Reason.NO_ACCESS: "the microphone may not be opened by this service",
    Reason.DEVICE_BUSY: "another program has the microphone",
    Reason.DEVICE_LOST: "the microphone was pulled out, or has failed",
    Reason.STALLED: "the microphone has ceased to give sound",
    Reason.FAILED: "the microphone cannot be read",
}
"""What has happened, one clause."""


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone that can be chosen."""

    id: str
    """What ``microphone.device`` may say to mean this one: its USB id (``0d8c:0014``), or else its name.  Of two
    microphones of one make each also names its socket: ``0d8c:0014@1-2``."""
    name: str
    """Its name without the number it has today."""
    channels: int
    """Channels it can give."""
    rate: int
    """Hz: its own."""
    default: bool = False
    """Whether the system would take this one."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it is, over about the last quarter of a second."""

    rms_dbfs: float = NO_SIGNAL
    """dB relative to full scale, a square wave at full scale being 0; from -120 to 0."""
    peak_dbfs: float = NO_SIGNAL
    clipping: bool = False
    """Whether it was too loud for the converter within the last two seconds."""
    silent: bool = False
    """Whether for some seconds not one sample differed from the next: a switch on the microphone is off."""


@dataclass(frozen=True, slots=True)
class State:
    """All that can be told of the microphone at one moment."""

    status: Status = Status.OFF
    reason: Reason | None = None
    """Why there is no sound; ``None`` while there is, or nobody listens and nothing is known against it."""
    remedy: str = ""
    """What a person can do about it, one sentence; empty if there is nothing to do."""
    device: Device | None = None
    """The one in use, or the one that would be."""
    named: bool = False
    """Whether the settings name the one that is wanted."""
    level: Level = field(default_factory=Level)
    """As long as :attr:`status` is live; otherwise that of no signal."""
    restarts: int = 0
    """How often the capturing process was started again, since the daemon's start."""
    captured: int = 0
    """Samples given to listeners since the daemon's start, at 16 kHz."""
    lost: int = 0
    """Samples of all gaps since the daemon's start, at 16 kHz."""


class Hearing(Protocol):
    """One listener's share: an iterator that ends after :meth:`stop`.

    What comes out adds up: the samples of all :class:`Sound` and all :class:`Gap` are the time from the first sample
    captured for this listener to its last, to the sample; none comes twice, and the order is that of the room.
    No gap is put in front of the first sound.
    """

    def __aiter__(self) -> AsyncIterator[Sound | Gap]:
        """The sounds, about 50 ms each, and gaps as soon as they are known; one that goes on comes in parts."""
        ...

    def stop(self) -> None:
        """Captures no more for this listener; what was captured still comes out, and then the iterator ends."""
        ...


class Microphone(Protocol):
    """The room's microphone.

    ``async with microphone.listen() as hearing: async for heard in hearing: ...``

    The device is open only while somebody listens; leaving the block stops at once.
    A listener that does not take what comes has it marked as a :class:`Gap` after a few seconds.
    """

    @property
    def state(self) -> State:
        """How it does, now; cheap enough to be asked many times a second."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """The microphones there are, as far as is known: looked up at the start, and whenever one comes or goes."""
        ...

    @property
    def alive(self) -> bool:
        """Whether its own supervision works, whatever the device does: for the watchdog."""
        ...

    async def look(self) -> tuple[Device, ...]:
        """Looks for microphones anew, unless one is in use; gives :attr:`devices`."""
        ...

    def listen(self) -> AbstractAsyncContextManager[Hearing]:
        """Sound from now on; it may be a while until the first comes, as :attr:`state` tells.

        Raises:
            ClientError: ``microphone_disabled``: the settings forbid it.
        """
        ...
