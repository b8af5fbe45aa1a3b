"""Sessions and what was said in them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ambientd.api.described import Model
from ambientd.core.delivery import AnswersStatus, UploadStatus
from ambientd.core.record import EndReason, Progress, Refinement, SessionState, Transcription

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Flag = Literal["1", "true", "0", "false"]


class Figures(Model):
    """The figures of a session."""

    chunks_processed: Count
    avg_processing_time_ms: float
    max_processing_time_ms: float
    min_processing_time_ms: float
    total_session_duration: float
    """Seconds from its opening to its end, or to now."""
    avg_confidence_score: float
    real_time_factor: float
    received_samples: Count
    decoded_samples: Count
    gap_samples: Count


class Session(Model):
    """A stored session, without a word of it."""

    session_id: str
    state: SessionState
    connected_at: datetime
    ended_at: datetime | None
    reason: EndReason | None
    client: str
    language: str
    model: str
    quantisation: str | None
    box_id: str | None
    room: str | None
    owner: str
    """Who opened it: the id of an account or device, or of the box."""
    ephemeral: bool
    refinement: Refinement
    delivery: UploadStatus | None
    progress: Progress
    reviewed_at: datetime | None
    revision: Count
    """Of its correction; 0 for a text as it was heard."""
    total_chunks: Count
    transcript_length: Count
    """Characters."""
    transcription: Transcription | None
    """Where it stands if its audio is kept to be transcribed later; null if it was heard live."""
    recorded_seconds: float
    """Of audio that is kept."""
    metrics: Figures


class Sessions(Model):
    """A page of sessions, newest first."""

    sessions: list[Session]
    total: Count
    next: str | None
    """The cursor for ``before``, if there may be more."""


class SessionsQuery(Model):
    """Which sessions."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: str | None = None
    """Cursor: only older ones."""
    after: str | None = None
    """Cursor: only newer ones."""
    state: SessionState | None = None
    room: str | None = None
    refinement: Refinement | None = None
    delivery: UploadStatus | None = None
    progress: Progress | None = None


class Word(Model):
    """One word as heard."""

    word: str
    start: Seconds
    end: Seconds
    probability: Share


class Segment(Model):
    """A phrase."""

    text: str
    language: str
    """In which it was heard."""
    start: Seconds
    end: Seconds
    words: list[Word]


class Mark(Model):
    """A name that may have been meant, or that was put in."""

    word: Count
    """Index of its first word."""
    words: Count
    start: Seconds
    end: Seconds
    said: str
    suggested: str
    score: float


class Line(Model):
    """Committed text."""

    chunk_index: Count
    text: str
    start_time: Seconds
    end_time: Seconds
    confidence: Share
    language: str
    model_used: str
    processing_time_ms: float
    segments: list[Segment]
    suggestions: list[Mark] | None = None
    corrections: list[Mark] | None = None


class Gap(Model):
    """Audio that gave no text for a reason other than silence."""

    start_time: Seconds
    end_time: Seconds
    reason: str


class Transcript(Model):
    """What was said in a session."""

    session_id: str
    state: SessionState
    reason: EndReason | None
    connected_at: datetime
    ended_at: datetime | None
    language: str
    model: str
    text: str
    lines: list[Line]
    gaps: list[Gap]


class TranscriptQuery(Model):
    """Which text, in which form."""

    format: Literal["json", "text", "srt", "vtt", "fhir"] = "json"
    tier: Literal["final", "live", "refined"] = "final"


class CorrectedLine(Line):
    """A line as it is now, beside what was heard."""

    heard: str


class ChangedLine(Model):
    """A line's text, by its index."""

    chunk_index: Count
    text: Annotated[str, Field(max_length=10_000)]


class Revision(Model):
    """One correction."""

    revision: Count
    at: datetime
    actor: str
    lines: list[ChangedLine]


class Correction(Model):
    """Every line as heard and as it is now."""

    session_id: str
    tier: str
    revision: Count
    open: bool
    """Whether it can still be corrected."""
    lines: list[CorrectedLine]
    gaps: list[Gap]
    history: list[Revision]


class CorrectionWanted(Model):
    """What is to differ from what was heard."""

    tier: Literal["live", "refined"]
    revision: Count
    """The one it was made from: another one meanwhile is a conflict."""
    lines: Annotated[list[ChangedLine], Field(max_length=10_000)]


class ReviewGiven(Model):
    """Which text was read: if it is another meanwhile, that is a conflict."""

    tier: Literal["live", "refined", "corrected"]
    """As ``GET …/correction`` told it; ``corrected`` for a revision without saying what it was made from."""
    revision: Count
    """The newest one that was shown; 0 for none."""


class ConsentGiven(Model):
    """A consent, and to which version of the text."""

    given_by: Annotated[str, Field(min_length=1, max_length=256)]
    at: datetime
    version: Annotated[str, Field(min_length=1, max_length=256)]


class DetailsKept(Model):
    """What the clinic has said of a session."""

    encounter: str | None
    patient: str | None
    consent: ConsentGiven | None
    withdrawal: datetime | None


class ConsentWanted(Model):
    """A consent; without ``at`` it is given now."""

    given_by: Annotated[str, Field(min_length=1, max_length=256)]
    version: Annotated[str, Field(min_length=1, max_length=256)]
    at: datetime | None = None


class DetailsWanted(Model):
    """What is to change: what is absent stays, ``null`` takes away."""

    encounter: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    patient: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    consent: ConsentWanted | None = None
    withdrawal: datetime | Literal[True] | None = None


class Search(Model):
    """Words that must all have been said."""

    words: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=8)
    ]
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class FoundSession(Session):
    """A session with the words, and where they stand."""

    passage: str


class Found(Model):
    """The newest sessions that hold the words."""

    sessions: list[FoundSession]


class LiveSession(Model):
    """A session under way, without a word of it."""

    session_id: str
    connected_at: datetime
    total_chunks: Count
    transcript_length: Count
    lag_seconds: float


class LiveSessions(Model):
    """The sessions under way."""

    active_sessions: Count
    max_connections: Count
    sessions: list[LiveSession]


class Ended(Model):
    """A session that was ended."""

    message: str
    session_id: str
    total_chunks: Count


class Discarded(Model):
    """A session of which nothing is left."""

    message: str
    session_id: str


class Broadcast(Model):
    """A message of one's own: any object with a type that no session sends."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1)]


class BroadcastSent(Model):
    """To how many sessions it went."""

    message: str
    sessions: Count


class Force(Model):
    """Whether it goes even undelivered."""

    force: bool = False


class DeleteQuery(Model):
    """Whether it goes even undelivered."""

    undelivered: Flag | None = None


class Destroyed(Model):
    """A session that is gone."""

    session_id: str
    scrubbed: bool
    """Whether its pages are already given back."""


class AnswerElsewhere(Model):
    """What another part of the talk says."""

    answer: str | None
    confidence: float
    snippet: str | None


class CentreAnswer(Model):
    """The best answer to one question."""

    question_id: str
    question: str
    category: str
    answer: str
    confidence: float
    snippet: str | None
    confident: bool
    review: bool
    part: Count
    others: list[AnswerElsewhere]


class Question(Model):
    """A question the centre is asked."""

    id: str
    question: str
    category: str


class CentreAnswers(Model):
    """What the centre answered about a conversation."""

    session_id: str
    status: AnswersStatus
    received_at: datetime | None
    answers: list[CentreAnswer]
    missing: list[Question]


class Bundle(Model):
    """A FHIR R4 Bundle."""

    model_config = ConfigDict(extra="allow")

    resourceType: Literal["Bundle"]  # noqa: N815 - FHIR's name
    entry: list[dict[str, Any]]
