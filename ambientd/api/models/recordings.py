"""Recordings sent as files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ambientd.api.described import Binary, Model
from ambientd.api.models.sessions import Count, Gap, Mark, Seconds, Segment, Share
from ambientd.session.uploads import Stage


class RecordingForm(Model):
    """A recording and what is known of it."""

    file: Binary
    language: str | None = None
    prompt: str | None = None
    vocabulary: str | None = None
    """One name a line."""
    encounter: str | None = None
    patient: str | None = None


class RecordingStanding(Model):
    """Where a recording stands."""

    id: str
    """Of its session."""
    state: Stage
    progress: Share
    seconds: Seconds
    seconds_done: Seconds
    lines: Count
    error: str | None


class RecordingHeard(Model):
    """A recording that has ended, with its text."""

    id: str
    state: Stage
    progress: Share | None
    seconds: Seconds
    seconds_done: Seconds
    lines: Count
    error: str | None
    text: str
    segments: list[Segment]
    gaps: list[Gap]
    language: str
    model: str


class CompatibleForm(Model):
    """A recording as OpenAI's interface takes it; fields that are not known are passed over."""

    model_config = ConfigDict(extra="allow")

    file: Binary
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    granularities: Annotated[
        list[Literal["word", "segment"]] | None, Field(alias="timestamp_granularities[]")
    ] = None


class Usage(Model):
    """What it would be charged by."""

    type: Literal["duration"]
    seconds: Count


class CompatibleText(Model):
    """The text."""

    text: str
    usage: Usage


class CompatibleSegment(Model):
    """A phrase as that interface gives it."""

    id: Count
    seek: Count
    start: Seconds
    end: Seconds
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: Share


class CompatibleWord(Model):
    """A word and its times."""

    word: str
    start: Seconds
    end: Seconds


class CompatibleVerbose(Model):
    """``verbose_json``."""

    task: Literal["transcribe"]
    language: str
    duration: Seconds
    text: str
    segments: list[CompatibleSegment] | None = None
    words: list[CompatibleWord] | None = None
    suggestions: list[Mark] | None = None
    corrections: list[Mark] | None = None
    """The box's own: as in its transcripts, counted over all words."""
    usage: Usage


class CompatibleModel(Model):
    """A name for the box's model."""

    id: str
    object: Literal["model"]
    created: Count
    owned_by: str


class CompatibleModels(Model):
    """All of them."""

    object: Literal["list"]
    data: list[CompatibleModel]


class CompatibleReason(Model):
    """Why something was not done, in their shape."""

    message: str
    type: str
    param: str | None
    code: str


class CompatibleError(Model):
    """An error in their shape."""

    error: CompatibleReason


AnyObject = dict[str, Any]
"""An object that another standard describes."""
