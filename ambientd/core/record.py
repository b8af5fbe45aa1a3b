"""A session as it is kept: who, when, how it ended, and its figures; the words themselves are lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ambientd.core.delivery import UploadStatus
from ambientd.core.metrics import SessionMetrics


class SessionState(StrEnum):
    """Where a session stands; it leaves ``OPEN`` once and never returns."""

    OPEN = "open"
    ENDED = "ended"
    """All its audio was decoded or counted in a gap."""
    INTERRUPTED = "interrupted"
    """The daemon stopped in its middle; what had been shown is there, the rest is lost."""


class EndReason(StrEnum):
    """What ended a session."""

    CLIENT = "client"
    REST = "rest"
    DISCONNECT = "disconnect"
    TIMEOUT = "timeout"
    MAX_DURATION = "max_duration"
    IDLE = "idle"
    SHUTDOWN = "shutdown"
    ERROR = "error"
    """Something failed inside the daemon; the log says what."""
    CRASH = "crash"
    SILENCE = "silence"
    """Nobody had spoken for as long as the settings allow."""
    DISCARDED = "discarded"
    """Somebody wanted it destroyed; no record has this reason, since none is kept."""


BOX: Final = "local"
"""The owner of what was opened on the box itself: by its programs, its button, its voice."""


class Refinement(StrEnum):
    """Where the second, slower hearing of an ended session stands."""

    NONE = "none"
    """There was none, and there will be none."""
    WAITING = "waiting"
    DONE = "done"
    """The refined lines are the final ones."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was no time for it, or the daemon stopped first; the live lines are the final ones."""


class Transcription(StrEnum):
    """Where a session stands whose audio is kept to be transcribed later."""

    RECORDING = "recording"
    WAITING = "waiting"
    """The recording has ended; its audio waits until the box has time."""
    RUNNING = "running"
    FAILED = "failed"
    """It cannot be transcribed; the audio is kept for a person to decide."""
    DONE = "done"
    """The text is stored, and the audio destroyed."""


class Progress(StrEnum):
    """How far a session has come, in one word, for whoever looks after the visits of a room."""

    RECORDING = "recording"
    UNHEARD = "unheard"
    """It has been recorded, and waits to be transcribed."""
    RECORDED = "recorded"
    """It has ended, and there is nothing to deliver."""
    REVIEW = "review"
    """Its delivery waits until somebody has read it."""
    WAITING = "waiting"
    """Its delivery is to come."""
    DELIVERED = "delivered"
    ANSWERED = "answered"
    ATTENTION = "attention"
    """A person must look at it: its delivery is parked, or its answers never came."""


@dataclass(frozen=True, slots=True)
class Box:
    """The appliance itself, as sessions and the centre name it."""

    id: str | None = None
    room: str | None = None
    """The room it stands in, as the clinic calls it."""
    quantisation: str | None = None
    """How the weights that hear are packed, such as ``q8_0``."""


@dataclass(frozen=True, slots=True)
class Consent:
    """The patient's consent to being recorded."""

    given_by: str
    """Who gave it, as the clinic refers to them."""
    at: datetime
    """Aware, UTC."""
    version: str
    """Of the text that was consented to."""
    withdrawn_at: datetime | None = None
    """Aware, UTC."""


@dataclass(frozen=True, slots=True)
class Details:
    """What the clinic says of a session; opaque to the box, and as private as the words themselves."""

    encounter: str | None = None
    patient: str | None = None
    consent: Consent | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether the patient has taken consent back: nothing of the session leaves the box any more."""
        return self.consent is not None and self.consent.withdrawn_at is not None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session is to be heard that is transcribed later, where its client had wishes of its own."""

    prompt: str | None = None
    """``None``: the box's."""
    vocabulary: tuple[str, ...] | None = None
    """Names besides the clinic's; ``None``: none were told."""

    def amended(self, later: Manner) -> Manner:
        """This one with the wishes that came later: what they leave out stays."""
        return Manner(
            self.prompt if later.prompt is None else later.prompt,
            self.vocabulary if later.vocabulary is None else later.vocabulary,
        )


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is known of one session but its words and its details."""

    session_id: str
    state: SessionState
    connected_at: datetime
    """Aware, UTC, by the box's clock, which may be wrong until the network has set it."""
    ended_at: datetime | None
    """Aware, UTC; ``None`` while open."""
    reason: EndReason | None
    """``None`` while open."""
    client: str
    """Where the audio came from, such as an address; for people, never parsed."""
    language: str
    """ISO 639-1 code; ``auto`` where it was to be detected and has not been, or not yet."""
    model: str
    """Name of the model the session began with."""
    sample_rate: int
    """Samples per second as sent by the client."""
    boot_id: str | None
    """The kernel's id of the boot the session ran in: with ``monotonic_start`` it orders sessions of a box
    whose clock was wrong."""
    monotonic_start: float | None
    """Seconds on the monotonic clock of that boot."""
    transcript_length: int
    """Characters of the full text so far."""
    metrics: SessionMetrics
    box_id: str | None = None
    room: str | None = None
    quantisation: str | None = None
    """How the weights were packed that heard it live."""
    ephemeral: bool = False
    """Never delivered, and destroyed when it ends."""
    monotonic_end: float | None = None
    """Seconds on the monotonic clock of the boot it began in; ``None`` while open and after a crash."""
    refinement: Refinement = Refinement.NONE
    delivery: UploadStatus | None = None
    """Where its delivery to the centre stands; ``None`` where there is nothing to deliver, or not yet."""
    owner: str = BOX
    """Id of the principal that opened it."""
    progress: Progress = Progress.RECORDED
    reviewed_at: datetime | None = None
    """Aware, UTC; when somebody said that he had read it."""
    revision: int = 0
    """How often it was corrected."""
    transcription: Transcription | None = None
    """Where it stands, if its audio was kept to be transcribed later; ``None`` if it was heard live."""
    recorded_samples: int = 0
    """Of the audio that is kept."""

    @property
    def total_chunks(self) -> int:
        """Lines committed so far."""
        return self.metrics.chunks_processed


def full_text(texts: Iterable[str]) -> str:
    """The text of a whole session from the texts of its lines, in order."""
    return " ".join(texts)
