"""What a client of the WebSocket protocol hears from the daemon, as values.

Times are seconds since the session started, as they are on the wire.  What is not understood is handed on
as :class:`Other` rather than refused: the protocol grows, and a broadcast may be any JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """What the daemon expects and works with."""

    sample_rate: int
    channels: int
    chunk_duration: float
    """Seconds."""
    whisper_model: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The session is open: the daemon's first message."""

    session_id: str
    message: str
    config: AudioConfig
    received_samples: int = 0
    """What the session has of this client's audio: go on from there."""
    resumed: bool = False
    """Whether the session was there before."""
    resume_token: str = ""
    """What opens it again while the old connection still seems alive."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word, punctuation attached."""

    text: str
    start: float
    end: float
    probability: float
    """In [0, 1]."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A committed line: it is stored and will not change."""

    text: str
    confidence: float
    """In [0, 1]."""
    chunk_index: int
    """0, 1, 2 … within the session."""
    processing_time_ms: float
    start_time: float
    end_time: float
    model_used: str
    words: tuple[Word, ...]
    language: str = ""
    """In which it was heard; empty from a daemon that does not say."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The open utterance; each replaces the one before."""

    text: str
    stable_text: str
    """The part of it that two decodes agreed on: it stands until the line comes, which seldom differs."""
    start_time: float
    end_time: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio that gave no text for a reason other than silence."""

    start_time: float
    end_time: float
    reason: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The session so far; ``metrics`` as on the wire."""

    session_id: str
    connected_at: str
    total_chunks: int
    full_transcript: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServerError:
    """Something sent was not accepted; the session goes on unless the connection closes."""

    message: str
    code: str
    """A stable word, or empty from a daemon that gives none."""
    retry_after: float | None = None
    """Seconds after which the same may succeed; ``None`` where waiting does not help."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last line has been sent and everything is stored."""

    message: str


@dataclass(frozen=True, slots=True)
class Other:
    """A broadcast, or a message of a kind or shape this client does not know."""

    raw: Mapping[str, Any]


Event = Connected | Transcript | Partial | Gap | Pong | SessionInfo | ServerError | SessionEnded | Other


def parse(message: str) -> Event:
    """The event in one text frame.

    Raises:
        ValueError: the frame is not a JSON object, so it is not this protocol.
    """
    raw = json.loads(message)
    if not isinstance(raw, dict):
        raise ValueError("a message must be a JSON object")  # noqa: TRY004  one error for the caller to catch
    reader = _READERS.get(str(raw.get("type")))
    if reader is None:
        return Other(raw)
    try:
        return reader(raw)
    except (KeyError, TypeError, ValueError):
        return Other(raw)


def _connected(raw: dict[str, Any]) -> Connected:
    config = raw["config"]
    return Connected(
        session_id=_text(raw["session_id"]),
        message=_text(raw["message"]),
        config=AudioConfig(
            sample_rate=int(config["sample_rate"]),
            channels=int(config["channels"]),
            chunk_duration=float(config["chunk_duration"]),
            whisper_model=_text(config["whisper_model"]),
        ),
        received_samples=int(raw.get("received_samples", 0)),
        resumed=raw.get("resumed") is True,
        resume_token=_text(raw.get("resume_token", "")),
    )


def _transcript(raw: dict[str, Any]) -> Transcript:
    return Transcript(
        text=_text(raw["text"]),
        confidence=float(raw["confidence"]),
        chunk_index=int(raw["chunk_index"]),
        processing_time_ms=float(raw["processing_time_ms"]),
        start_time=float(raw["start_time"]),
        end_time=float(raw["end_time"]),
        model_used=_text(raw["model_used"]),
        words=tuple(
            Word(_text(word["word"]), float(word["start"]), float(word["end"]), float(word["probability"]))
            for segment in raw["segments"]
            for word in segment["words"]
        ),
        language=_text(raw.get("language", "")),
    )


def _partial(raw: dict[str, Any]) -> Partial:
    return Partial(
        text=_text(raw["text"]),
        stable_text=_text(raw.get("stable_text", "")),
        start_time=float(raw["start_time"]),
        end_time=float(raw["end_time"]),
    )


def _gap(raw: dict[str, Any]) -> Gap:
    return Gap(float(raw["start_time"]), float(raw["end_time"]), _text(raw["reason"]))


def _pong(_: dict[str, Any]) -> Pong:
    return Pong()


def _session_info(raw: dict[str, Any]) -> SessionInfo:
    return SessionInfo(
        session_id=_text(raw["session_id"]),
        connected_at=_text(raw["connected_at"]),
        total_chunks=int(raw["total_chunks"]),
        full_transcript=_text(raw["full_transcript"]),
        metrics=dict(raw["metrics"]),
    )


def _error(raw: dict[str, Any]) -> ServerError:
    wait = raw.get("retry_after")
    return ServerError(
        _text(raw["message"]), _text(raw.get("code", "")), None if wait is None else float(wait)
    )


def _session_ended(raw: dict[str, Any]) -> SessionEnded:
    return SessionEnded(_text(raw["message"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], Event]]] = {
    "connected": _connected,
    "transcript": _transcript,
    "partial": _partial,
    "gap": _gap,
    "pong": _pong,
    "session_info": _session_info,
    "error": _error,
    "session_ended": _session_ended,
}
