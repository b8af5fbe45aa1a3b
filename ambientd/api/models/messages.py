"""The messages of the WebSockets, of both sides."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import ConfigDict, Field

from ambientd.api.described import Model
from ambientd.api.models.room import MicrophoneTold
from ambientd.api.models.sessions import ConsentWanted, Count, Figures, Mark, Seconds, Segment, Share
from ambientd.core.room import Recording


class Config(Model):
    """How to speak to the session."""

    sample_rate: Count
    channels: Count
    chunk_duration: Seconds
    whisper_model: str
    audio_buffer_size: Count
    """Bytes of audio that a client does best to send at once."""
    language: str


class Connected(Model):
    """The first message: the session is there."""

    type: Literal["connected"]
    session_id: str
    message: str
    received_samples: Count
    """What the session has of this client's audio: a client that comes back goes on from there."""
    resumed: bool
    resume_token: str
    ephemeral: bool
    paused: bool
    later: bool
    """It is only recorded, and transcribed when the box has time: no text will come on this connection."""
    config: Config


class Configured(Model):
    """The answer to ``configure``: what holds now."""

    type: Literal["configured"]
    language: str
    partials: bool
    acks: bool
    load: bool
    refined: bool


class Ack(Model):
    """How much of the client's audio the session has, in the client's own samples."""

    type: Literal["ack"]
    received_samples: Count


class Load(Model):
    """How busy the box is."""

    type: Literal["load"]
    sessions: Count
    lag: float
    lag_p95: float
    utilisation: float
    partial_interval: float
    partials_thinned: bool


class TranscriptLine(Model):
    """A committed line: stored, and never changed."""

    type: Literal["transcript"]
    text: str
    confidence: Share
    chunk_index: Count
    processing_time_ms: float
    start_time: Seconds
    end_time: Seconds
    is_final: Literal[True]
    model_used: str
    language: str
    segments: list[Segment]
    session_time: float
    audio_duration: Seconds
    audio_size_bytes: Count
    suggestions: list[Mark] | None = None
    corrections: list[Mark] | None = None


class Partial(Model):
    """The open utterance as heard so far; it takes the place of the one before."""

    type: Literal["partial"]
    text: str
    stable_text: str
    """Its beginning, as far as it will hardly change."""
    start_time: Seconds
    end_time: Seconds


class GapMarked(Model):
    """Audio that was received and gave no text."""

    type: Literal["gap"]
    start_time: Seconds
    end_time: Seconds
    reason: str


class SessionInfo(Model):
    """The session so far."""

    type: Literal["session_info"]
    session_id: str
    connected_at: datetime
    total_chunks: Count
    full_transcript: str
    metrics: Figures


class Pong(Model):
    """The answer to a ping."""

    type: Literal["pong"]


class Fault(Model):
    """What the client should know: what happened and what to do."""

    type: Literal["error"]
    code: str
    message: str
    retry_after: Count | None = None
    """Seconds."""


class SessionEnded(Model):
    """Everything before it is stored, or destroyed if the session was ephemeral or discarded."""

    type: Literal["session_ended"]
    session_id: str
    message: str
    reason: str


class Refined(Model):
    """The outcome of the second hearing."""

    type: Literal["refined"]
    session_id: str
    state: str
    text: str
    segments: list[Segment]
    model_used: str
    kept_seconds: float
    suggestions: list[Mark] | None = None
    corrections: list[Mark] | None = None


class RecordingState(Model):
    """The session was paused, or goes on."""

    type: Literal["recording"]
    session_id: str
    state: Recording
    elapsed_seconds: float


class Listening(Model):
    """The first message to a listener; the lines that are stored follow."""

    type: Literal["listening"]
    session_id: str
    state: Recording
    elapsed_seconds: float
    ephemeral: bool
    live: bool
    """Whether more will come."""
    later: bool
    """It is only recorded, and transcribed when the box is idle."""


class MicrophoneMeter(MicrophoneTold):
    """How the room's microphone does, several times a second."""

    type: Literal["microphone"]


class Announcement(Model):
    """A message that somebody on the box has sent to all sessions, of a type of his own."""

    model_config = ConfigDict(extra="allow")

    type: str


class Ping(Model):
    """Asks for a ``pong``."""

    type: Literal["ping"]


class InfoWanted(Model):
    """Asks for a ``session_info``."""

    type: Literal["session_info"]


class EndSession(Model):
    """Ends the session: the lines still due arrive, then ``session_ended``."""

    type: Literal["end_session"]


class Configure(Model):
    """What the client wishes; what is absent stays."""

    type: Literal["configure"]
    language: str | None = None
    prompt: Annotated[str, Field(max_length=800)] | None = None
    vocabulary: Annotated[list[str], Field(max_length=200)] | None = None
    partials: bool | None = None
    acks: bool | None = None
    load: bool | None = None
    refined: bool | None = None
    encounter: str | None = None
    patient: str | None = None
    consent: ConsentWanted | None = None


class Lost(Model):
    """The next samples are lost for good: they become a gap."""

    type: Literal["lost"]
    samples: Annotated[int, Field(ge=1)]


class Resume(Model):
    """With what a client comes back, first on a connection with ``?resume=1``."""

    type: Literal["resume"]
    token: str
    next_line: Count | None = None
    """Index of the first line it has not been shown."""


class Pause(Model):
    """Stops the session's time until ``resume_recording``."""

    type: Literal["pause"]


class ResumeRecording(Model):
    """Goes on after a pause."""

    type: Literal["resume_recording"]


class DiscardSession(Model):
    """Destroys the session and all that was heard."""

    type: Literal["discard_session"]


SAID_BY_SERVER: Final[tuple[type[Model], ...]] = (
    Connected,
    Configured,
    Ack,
    Load,
    TranscriptLine,
    Partial,
    GapMarked,
    SessionInfo,
    Pong,
    Fault,
    RecordingState,
    Listening,
    MicrophoneMeter,
    SessionEnded,
    Refined,
)
SAID_BY_CLIENT: Final[tuple[type[Model], ...]] = (
    Ping,
    InfoWanted,
    EndSession,
    Configure,
    Lost,
    Resume,
    Pause,
    ResumeRecording,
    DiscardSession,
)


def type_of(model: type[Model]) -> str:
    """The ``type`` that a message of that model has."""
    (kind,) = get_args(model.model_fields["type"].annotation)
    return str(kind)
