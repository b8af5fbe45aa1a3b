"""A session as it is kept: who, when, how it ended, and its figures; the words themselves are lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is known of one session."""

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
    """ISO 639-1 code, or ``auto``."""
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

    @property
    def total_chunks(self) -> int:
        """Lines committed so far."""
        return self.metrics.chunks_processed


def full_text(texts: Iterable[str]) -> str:
    """The text of a whole session from the texts of its lines, in order."""
    return " ".join(texts)
