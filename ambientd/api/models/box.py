"""The box itself: health, figures, findings, purge, audit, certificate, limits, names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from ambientd.api.described import Model
from ambientd.api.models.sessions import Count, Seconds
from ambientd.core.checks import Severity
from ambientd.core.delivery import AnswersStatus, PartStatus, SyncState, UploadStatus


class Alive(Model):
    """The event loop turns."""

    status: Literal["ok"]


class Ready(Model):
    """Whether a session opened now would work."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]
    warnings: list[str]


class EngineStatus(Model):
    """The engine's figures."""

    model: str
    lanes: Count
    threads: Count
    kernels: list[str]
    busy: Count
    waiting: Count
    finals: Count
    partials: Count
    background: Count
    evictions: Count
    failures: Count
    tuning: dict[str, Any] | None
    """What ``ambientctl tune`` found."""


class SessionsStatus(Model):
    """How many sessions."""

    live: Count
    limit: Count
    refused: Count


class MicrophoneStatus(Model):
    """The room's microphone."""

    status: str
    reason: str | None
    remedy: str | None
    device: str | None
    restarts: Count
    captured_seconds: Seconds
    lost_seconds: Seconds


class LoadStatus(Model):
    """How busy the box is."""

    utilisation: float
    """Share of the lanes' time that text took in the last minute."""
    lag_p95: float
    cost: float
    partial_interval: float
    loop_delay_max: float


class DiskStatus(Model):
    """The disk of the database."""

    free_bytes: Count
    low_water_bytes: Count


class LaterStatus(Model):
    """Audio that is kept to be transcribed later."""

    waiting: Count
    """Sessions."""
    failed: Count
    """Sessions that need a person."""
    seconds: Seconds
    """Of all audio that is kept."""
    oldest: datetime | None
    """When the oldest that waits began."""


class ClockStatus(Model):
    """The box's clock."""

    utc: datetime
    doubt: str | None


class ProcessorStatus(Model):
    """What the daemon has had of the processor."""

    seconds: Seconds
    """Since its start, over all cores."""
    cores: Count


class BoxStatus(Model):
    """The box, in figures."""

    version: str
    uptime: float
    engine: EngineStatus
    sessions: SessionsStatus
    microphone: MicrophoneStatus
    load: LoadStatus
    cpu: ProcessorStatus
    later: LaterStatus
    disk: DiskStatus
    clock: ClockStatus


class Check(Model):
    """The outcome of one check."""

    id: str
    title: str
    severity: Severity
    reason: str
    remedy: str
    command: str
    """The command that mends it, as it is typed on the box."""


class Checks(Model):
    """All checks, the worst finding first."""

    status: Severity
    checks: list[Check]


class WhyGone(Model):
    """A session and why it goes, or stays."""

    session_id: str
    why: str


class PurgePlan(Model):
    """What a purge would do now."""

    goes: list[WhyGone]
    goes_in_all: Count
    stays: dict[str, int]
    overdue: list[WhyGone]
    overdue_in_all: Count
    copies: list[str]
    clock: str | None
    overdue_copies: list[str]


class ClockIsRight(Model):
    """Whether to purge by a clock in doubt."""

    clock_is_right: bool = False


class Purged(Model):
    """What a purge has done."""

    sessions: Count
    audit_rows: Count
    copies: list[str]
    scrubbed: bool


class CopyDeleted(Model):
    """A file that is gone."""

    copy_: Annotated[str, Field(alias="copy")]


class AuditQuery(Model):
    """In which form."""

    format: Literal["ndjson", "csv"] = "ndjson"


class AuditLink(Model):
    """A place in the chain."""

    number: Count
    hash: str


class AuditVerdict(Model):
    """What became of following the chain."""

    rows: Count
    anchor: AuditLink
    end: AuditLink
    broken_at: int | None
    why: str


class Certificate(Model):
    """A certificate as people see it."""

    subject: str
    issuer: str
    names: list[str]
    begins: datetime
    ends: datetime
    sha256: str


class CertificateStanding(Model):
    """How the box stands with its certificate."""

    source: str
    certificate: Certificate
    authority: Certificate
    faults: list[str]
    left_out: list[str]
    addresses: list[str]


class RenewWanted(Model):
    """Whether the authority is to be new as well."""

    authority: bool = False


class Ban(Model):
    """An address that is shut out."""

    address: str
    reason: str
    until: datetime
    seconds_left: int


class LimitsStanding(Model):
    """Who is shut out, and what was refused."""

    banned: list[Ban]
    refused: dict[str, int]
    connections: Count


class Freed(Model):
    """An address that is let in again."""

    address: str
    banned: Literal[False]


class VocabularyCounts(Model):
    """The clinic's list."""

    count: Count
    specialities: dict[str, int]
    unusable_lines: Count


class VocabularyNames(VocabularyCounts):
    """The clinic's list with its names."""

    names: list[str]


class SyncStanding(Model):
    """How the deliveries stand."""

    state: SyncState
    profile: str
    queue: dict[str, int]
    oldest_seconds: float | None
    last_success: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    next_run: datetime | None
    attempts: dict[str, int]


class Part(Model):
    """What is sent in one call."""

    part: Count
    state: PartStatus
    bytes: Count
    upload_id: str | None
    task_id: str | None


class Delivery(Model):
    """One session's delivery."""

    id: str
    session_id: str
    state: UploadStatus
    bytes: Count
    created_at: datetime
    held_until: datetime | None
    attempts: Count
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    last_error: str | None
    delivered_at: datetime | None
    answers: AnswersStatus
    unread: bool
    """Whether it waits for somebody to read it."""
    parts: list[Part]


class Deliveries(Model):
    """Rows of the outbox, newest first."""

    items: list[Delivery]
    total: Count


class DeliveriesQuery(Model):
    """Which rows."""

    state: UploadStatus | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    match: str | None = None
    """A row's or a session's id."""
