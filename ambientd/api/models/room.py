"""The room's microphone and what it records."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from ambientd.api.described import Model
from ambientd.api.models.sessions import ConsentWanted, Count, Seconds
from ambientd.core.microphone import Reason, Status
from ambientd.core.room import Recording as RecordingStage


class MicrophoneDevice(Model):
    """A microphone that can be chosen."""

    id: str
    name: str
    channels: Count
    rate: Count
    default: bool
    """Whether the system would take this one."""


class SoundLevel(Model):
    """How loud it is."""

    rms_dbfs: float
    peak_dbfs: float
    clipping: bool
    silent: bool
    """Not one sample differs from the next: a switch on the microphone is off."""


class TakeStanding(Model):
    """The session that the microphone goes into; another's is not named."""

    session_id: str | None
    state: RecordingStage
    started_at: datetime
    elapsed_seconds: Seconds
    quiet_seconds: float | None
    stops_in_seconds: float | None
    reopened: bool


class LastTake(Model):
    """The session that it went into before."""

    session_id: str
    reason: str


class MicrophoneTold(Model):
    """How the microphone does, and what it records, as everybody is told it who may know of it."""

    state: Status
    reason: Reason | None
    remedy: str
    device: MicrophoneDevice | None
    level: SoundLevel
    restarts: Count
    lost_seconds: Seconds
    armed: bool
    """Whether it waits for somebody to speak."""
    session: TakeStanding | None


class MicrophoneStanding(MicrophoneTold):
    """The same, with the session before and what could be chosen."""

    last: LastTake | None
    devices: list[MicrophoneDevice]


class TakeWanted(Model):
    """What the session is to be."""

    language: str | None = None
    prompt: Annotated[str, Field(max_length=800)] | None = None
    vocabulary: Annotated[list[str], Field(max_length=200)] | None = None
    encounter: str | None = None
    patient: str | None = None
    consent: ConsentWanted | None = None
    ephemeral: bool = False
    later: bool = False
    """Only record, and transcribe when the box has time."""


class TakeBegun(Model):
    """The session that was opened."""

    session_id: str


class TrialHeard(Model):
    """What five seconds held."""

    seconds: Seconds
    lost_seconds: Seconds
    speech_seconds: Seconds
    level: SoundLevel
    text: str | None
    """What was understood; ``None`` for a program."""
    language: str | None
    device: MicrophoneDevice | None
