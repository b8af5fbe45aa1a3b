"""What those who follow a session are told besides its words: how it stands, and how the microphone does.

Pure, like :mod:`ambientd.core.protocol`, whose messages these are too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from ambientd.core.audio import RATE
from ambientd.core.microphone import Device, State
from ambientd.core.protocol import Message


class Recording(StrEnum):
    """Whether a session takes audio."""

    RECORDING = "recording"
    PAUSED = "paused"
    ENDING = "ending"
    """What came in is being decoded; nothing more is taken."""
    ENDED = "ended"


def listening(
    session_id: str, *, state: Recording, elapsed: float, ephemeral: bool, live: bool, later: bool = False
) -> Message:
    """The first message to a listener; the lines that are stored follow.

    ``elapsed``: seconds of the session, pauses left out.  ``live``: whether more will come; otherwise the stored
    session is told and the connection closes.  ``later``: it is only recorded, and transcribed when the box is idle.
    """
    return {
        "type": "listening",
        "session_id": session_id,
        "state": state,
        "elapsed_seconds": round(elapsed, 3),
        "ephemeral": ephemeral,
        "live": live,
        "later": later,
    }


def recording(session_id: str, *, state: Recording, elapsed: float) -> Message:
    """The session was paused, or goes on."""
    return {
        "type": "recording",
        "session_id": session_id,
        "state": state,
        "elapsed_seconds": round(elapsed, 3),
    }


MICROPHONE: Final = "microphone"
"""What a session of the room's own microphone has for its client."""


@dataclass(frozen=True, slots=True)
class Take:
    """The session that the microphone goes into."""

    session_id: str
    state: Recording
    started_at: datetime
    elapsed: float
    """Seconds, pauses left out."""
    quiet: float | None
    """Seconds since somebody last spoke; ``None`` where nothing depends on it."""
    stops_in: float | None
    """Seconds of silence after which the session ends by itself; ``None`` if it does not."""
    reopened: bool
    """Whether the daemon was started anew in its middle."""


@dataclass(frozen=True, slots=True)
class Last:
    """The session that the microphone went into before."""

    session_id: str
    reason: str
    """What ended it."""


def microphone_fields(state: State, take: Take | None, last: Last | None, *, armed: bool) -> dict[str, Any]:
    """How the microphone does and what it records, ready for JSON.

    ``armed``: whether it waits for somebody to speak.
    """
    return {
        "state": state.status,
        "reason": state.reason,
        "remedy": state.remedy,
        "device": None if state.device is None else device_fields(state.device),
        "level": asdict(state.level),
        "restarts": state.restarts,
        "lost_seconds": round(state.lost / RATE, 3),
        "armed": armed,
        "session": None if take is None else _take(take),
        "last": None if last is None else asdict(last),
    }


def device_fields(device: Device) -> dict[str, Any]:
    """A microphone that can be chosen, ready for JSON."""
    return asdict(device)


def microphone(fields: Mapping[str, Any]) -> Message:
    """How the microphone does, several times a second, to those who follow what it records.

    ``fields``: of :func:`microphone_fields`.  The session before is left out: it may be another's, and they all get
    the same.
    """
    return {"type": "microphone", **{name: value for name, value in fields.items() if name != "last"}}


def _take(take: Take) -> dict[str, Any]:
    return {
        "session_id": take.session_id,
        "state": take.state,
        "started_at": take.started_at.isoformat(),
        "elapsed_seconds": round(take.elapsed, 3),
        "quiet_seconds": None if take.quiet is None else round(take.quiet, 1),
        "stops_in_seconds": None if take.stops_in is None else round(take.stops_in, 1),
        "reopened": take.reopened,
    }
