"""What is sent to the centre, in which pieces, and where each stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

PART_CHARACTERS: Final = 48_000
"""Most characters in one call.  Source: ``max_length=50000`` of the central text-processing request; the rest is a
margin for a server that counts UTF-16 units or normalises."""


class UploadStatus(StrEnum):
    """Where the delivery of one session stands."""

    HELD = "held"
    """The text may still change: it waits for the refined one, or for a client that may come back."""
    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    """Sent, and nothing certain is known yet of what became of it."""
    DELIVERED = "delivered"
    PARKED = "parked"
    """A person must look at it; nothing is sent until it is released."""


class PartStatus(StrEnum):
    """Where one call's text stands."""

    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    DELIVERED = "delivered"


class AnswersStatus(StrEnum):
    """Where the centre's answers to one session stand."""

    NONE = "none"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Part:
    """What is sent in one call: ``text[start:end]`` of the session's text."""

    number: int
    """Counted from 0."""
    start: int
    end: int
    size: int
    """Bytes of UTF-8."""
    status: PartStatus = PartStatus.PENDING
    attempted_at: datetime | None = None
    """Aware, by the centre's clock as far as it was known then."""
    upload_id: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """One session's delivery."""

    id: str
    """A UUID that follows from the session; it names the transcript at a centre that lets us choose."""
    session_id: str
    status: UploadStatus
    created_at: datetime
    size: int
    """Bytes of UTF-8."""
    held_until: datetime | None = None
    attempts: int = 0
    server_errors: int = 0
    """Answers 500 in a row."""
    attempted_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    """What went wrong last, in words of ours; never the server's, which may quote the text."""
    delivered_at: datetime | None = None
    answers: AnswersStatus = AnswersStatus.NONE
    answers_at: datetime | None = None
    unread: bool = False
    """Whether it waits until somebody has read the text."""
    parts: tuple[Part, ...] = ()
    """Empty until the first attempt: how a text is cut depends on whom it goes to."""


def cuts(text: str, turns: Sequence[int], most: int | None = PART_CHARACTERS) -> list[tuple[int, int]]:
    """Where ``text`` is cut into parts of at most ``most`` characters: ``(start, end)`` of each, without a gap.

    turns: offsets at which a turn of the conversation begins, ascending; a part ends there if it can, else after
        white space, else, in a word longer than a part, anywhere.
    most: ``None`` for a centre that takes any length.
    """
    if not text:
        return []
    if most is None:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    start = 0
    while len(text) - start > most:
        latest = start + most
        end = max((turn for turn in turns if start < turn <= latest), default=0)
        if not end:
            end = next((at for at in range(latest, start, -1) if text[at - 1].isspace()), latest)
        found.append((start, end))
        start = end
    return [*found, (start, len(text))]


class SyncState(StrEnum):
    """What the sync does at the moment."""

    OFF = "off"
    """No centre is set; the outbox fills."""
    PAUSED = "paused"
    """Somebody has paused it, until somebody resumes it."""
    CLOSED = "outside_window"
    SENDING = "sending"
    WAITING = "waiting"
    """The centre is not to be had; it is tried again."""
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """The sync, for people."""

    state: SyncState
    profile: str
    counts: dict[UploadStatus, int]
    oldest: datetime | None
    """When the oldest row was made that is not delivered."""
    last_success: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    next_run: datetime | None
    attempts: dict[str, int]
    """Since the daemon's start, by outcome: delivered, found, later, parked."""
