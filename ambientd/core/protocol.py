"""The WebSocket protocol: what a client may say, and every message the server sends.

Pure translation between JSON objects and the box's own types.  Clients of the protocol's first version exist and
are not changed: fields they read keep their names and meanings, and everything newer is opt-in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from ambientd.core import details
from ambientd.core.audio import BYTES_PER_SAMPLE
from ambientd.core.decoding import AUTO
from ambientd.core.fields import mark_fields, seconds, segments_fields
from ambientd.core.languages import LANGUAGES
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import Details, EndReason, full_text
from ambientd.core.transcript import Gap, Line
from ambientd.core.vocabulary import LONGEST_NAME, MOST_WORDS, parse
from ambientd.errors import AmbientError, ClientError, DiskFull, StoreUnavailable

Message = Mapping[str, Any]
"""A message as a JSON object; ``type`` says which."""

CLOSE_ENDED: Final = 1000
CLOSE_GOING_AWAY: Final = 1001
CLOSE_UNSUPPORTED: Final = 1003
CLOSE_POLICY: Final = 1008
CLOSE_TOO_BIG: Final = 1009
CLOSE_ERROR: Final = 1011
CLOSE_OVERLOADED: Final = 1013
"""Source: RFC 6455 section 7.4.1; 1013 from the IANA registry of close codes."""

WISHED: Final = MappingProxyType({"partials": "partial", "acks": "ack", "load": "load", "refined": "refined"})
"""What a client asks for, in its address or by ``configure`` -> the type of message it then gets."""

OPT_IN: Final = frozenset(WISHED.values()) | {"microphone"}
"""Types sent only to a client that asked for them."""

SERVER_TYPES: Final = OPT_IN | {
    "connected",
    "configured",
    "transcript",
    "gap",
    "session_info",
    "pong",
    "error",
    "recording",
    "listening",
    "session_ended",
}
"""Types only a session itself may send: a broadcast under one of these names would forge a transcript."""

_SESSION_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}")
"""``.`` and ``..`` alone are steps in a path: no client could address them."""


def check_session_id(text: str) -> str:
    """``text`` if it may name a session.

    Raises:
        ClientError: it may not; the connection cannot go on.
    """
    if not _SESSION_ID.fullmatch(text):
        raise ClientError(
            "bad_session_id",
            "a session id is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            hint="Choose another, or connect to /ws/transcribe to be given one.",
            close_code=CLOSE_POLICY,
        )
    return text


@dataclass(frozen=True, slots=True)
class Control:
    """A control message: its type, and its fields where it has any."""

    type: str
    fields: Message


CONTROLS: Final = (
    "ping",
    "session_info",
    "end_session",
    "configure",
    "lost",
    "resume",
    "pause",
    "resume_recording",
    "discard_session",
)


def parse_control(text: str) -> Control:
    """The control message in a text frame.

    Raises:
        ClientError: not JSON, not an object, or of no known type; the session goes on.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise ClientError(
            "bad_json", "a text frame must hold one JSON object", hint='Send for example {"type": "ping"}.'
        ) from None
    if not isinstance(fields, dict):
        raise ClientError(
            "bad_message",
            "the JSON of a text frame must be an object",
            hint='Send for example {"type": "ping"}.',
        )
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in CONTROLS:
        raise ClientError(
            "unknown_type",
            "the message's type is none that this server knows",
            hint=f"Known types: {', '.join(CONTROLS)}. Audio goes in binary frames.",
        )
    return Control(kind, fields)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a ``configure`` message asks for; ``None`` leaves a thing as it is."""

    language: str | None = None
    prompt: str | None = None
    partials: bool | None = None
    acks: bool | None = None
    load: bool | None = None
    refined: bool | None = None
    vocabulary: tuple[str, ...] | None = None
    """Names of this session, besides the clinic's."""
    details: Message = field(default_factory=dict)
    """What it says of the encounter, the patient and the consent, as :mod:`ambientd.core.details` reads it."""

    def applied(self, wanted: frozenset[str]) -> frozenset[str]:
        """The opt-in types wanted from now on."""
        for name, kind in WISHED.items():
            if (wished := getattr(self, name)) is not None:
                wanted = wanted | {kind} if wished else wanted - {kind}
        return wanted


_DETAILS: Final = ("encounter", "patient", "consent")
_WISHES: Final = ("language", "prompt", "vocabulary", *WISHED, *_DETAILS)

LONGEST_PROMPT: Final = 800
"""Characters.  Whisper takes at most 224 tokens of prompt, about four characters each; more would be cut."""


def parse_wishes(fields: Message) -> Wishes:
    """The wishes in a ``configure`` message.

    Raises:
        ClientError: a field is unknown or holds what it cannot; nothing is changed.
    """
    if fields.keys() - {"type", *_WISHES}:
        raise ClientError(
            "unknown_field",
            "configure does not know one of the fields",
            hint=f"Known fields: {', '.join(_WISHES)}.",
        )
    language, prompt = fields.get("language"), fields.get("prompt")
    known = isinstance(language, str) and (language == AUTO or language in LANGUAGES)
    if language is not None and not known:
        raise ClientError("bad_language", "no such language", hint='Use a code such as "en", or "auto".')
    if prompt is not None and (not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT or "\0" in prompt):
        raise ClientError("bad_prompt", f"a prompt is text of at most {LONGEST_PROMPT} characters")
    for name in WISHED:
        if not isinstance(fields.get(name), bool | None):
            raise ClientError("bad_field", f"{name} must be true or false")
    names = _own_names(fields.get("vocabulary"))
    said = {name: fields[name] for name in _DETAILS if name in fields}
    details.changed(Details(), said, now=datetime.max.replace(tzinfo=UTC))  # only to see that it can be read
    return Wishes(
        language, prompt, **{name: fields.get(name) for name in WISHED}, vocabulary=names, details=said
    )


MOST_OWN_NAMES: Final = 200
"""Names one session may bring: its patient's medicines, the people it speaks of."""


def _own_names(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > MOST_OWN_NAMES:
        raise ClientError("bad_vocabulary", f"vocabulary must be a list of at most {MOST_OWN_NAMES} names")
    if not all(isinstance(name, str) and len(name.splitlines()) == 1 for name in given):
        raise ClientError("bad_vocabulary", "a name in the vocabulary must be one line of text")
    if parse("\n".join(given)).faults:
        raise ClientError(
            "bad_vocabulary",
            "a name in the vocabulary cannot be one, or stands in it twice",
            hint=f"A name has letters, at most {LONGEST_NAME} characters and {MOST_WORDS} words.",
        )
    return tuple(given)


@dataclass(frozen=True, slots=True)
class Resume:
    """With what a client comes back."""

    token: str
    next_line: int | None = None
    """Index of the first line it has not been shown; ``None`` if it does not ask for what it missed."""


def parse_resume(control: Control) -> Resume:
    """What a ``resume`` message says.

    Raises:
        ClientError: it is no such message; the connection cannot go on.
    """
    token, line = control.fields.get("token"), control.fields.get("next_line")
    known = isinstance(token, str) and (line is None or (isinstance(line, int) and line >= 0))
    if control.type != "resume" or not known:
        raise ClientError(
            "resume_expected",
            "a connection with ?resume=1 must begin with its resume message",
            hint='Send {"type": "resume", "token": "…"} with the token that connected gave you.',
            close_code=CLOSE_POLICY,
        )
    return Resume(str(token), line)


MOST_LOST: Final = 24 * 3600
"""Seconds of audio that a client can have lost at once."""


def parse_lost(fields: Message, *, sample_rate: int) -> int:
    """The samples in a ``lost`` message.

    Raises:
        ClientError: it holds no such number.
    """
    count = fields.get("samples")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MOST_LOST * sample_rate:
        raise ClientError("bad_field", "samples must be a whole number above 0, and less than a day's")
    return count


def connected(
    session_id: str,
    *,
    sample_rate: int,
    channels: int,
    chunk_duration: float,
    whisper_model: str,
    audio_buffer_size: int,
    language: str,
    received_samples: int,
    resumed: bool,
    resume_token: str,
    ephemeral: bool = False,
    paused: bool = False,
    later: bool = False,
) -> Message:
    """The first message: the session is there, and this is how to speak to it.

    ``audio_buffer_size``: bytes of audio a client does best to send at once.  ``received_samples``: what the session
    has of this client's audio; a client that comes back goes on from there.  ``resume_token``: with it the client can
    come back even while its old connection still seems alive.  ``later``: it is only recorded, and transcribed when the
    box has time: no text will come on this connection.
    """
    return {
        "type": "connected",
        "session_id": session_id,
        "message": "Resumed." if resumed else "Connected. Send PCM as binary frames; end with end_session.",
        "received_samples": received_samples,
        "resumed": resumed,
        "resume_token": resume_token,
        "ephemeral": ephemeral,
        "paused": paused,
        "later": later,
        "config": {
            "sample_rate": sample_rate,
            "channels": channels,
            "chunk_duration": chunk_duration,
            "whisper_model": whisper_model,
            "audio_buffer_size": audio_buffer_size,
            "language": language,
        },
    }


def configured(*, language: str, wanted: frozenset[str]) -> Message:
    """The answer to ``configure``: what holds now."""
    return {
        "type": "configured",
        "language": language,
        **{name: kind in wanted for name, kind in WISHED.items()},
    }


def ack(received_samples: int) -> Message:
    """How much of the client's audio the session has, counted in the client's own samples."""
    return {"type": "ack", "received_samples": received_samples}


def load(
    *,
    sessions: int,
    lag: float,
    box_lag: float,
    utilisation: float,
    preview_interval: float,
    thinned: bool,
) -> Message:
    """How busy the box is.  ``lag``: this session's; ``box_lag``: of all lately.  Both, as the interval, in seconds."""
    return {
        "type": "load",
        "sessions": sessions,
        "lag": round(lag, 3),
        "lag_p95": round(box_lag, 3),
        "utilisation": round(utilisation, 3),
        "partial_interval": round(min(preview_interval, 3600.0), 1),
        "partials_thinned": thinned,
    }


def transcript(line: Line, *, session_time: float) -> Message:
    """A committed line.  ``session_time``: seconds since the session started, by the clock."""
    audio = line.end - line.start
    return {
        "type": "transcript",
        "text": line.text,
        "confidence": round(line.confidence, 4),
        "chunk_index": line.index,
        "processing_time_ms": round(line.processing_ms, 1),
        "start_time": seconds(line.start),
        "end_time": seconds(line.end),
        "is_final": True,
        "model_used": line.model,
        "language": line.language,
        "segments": segments_fields([line]),
        "session_time": round(session_time, 3),
        "audio_duration": seconds(audio),
        "audio_size_bytes": audio * BYTES_PER_SAMPLE,
        **mark_fields([line]),
    }


def partial(text: str, stable_text: str, *, start: int, end: int) -> Message:
    """The open utterance as heard so far; replaces the partial before it.  ``start``, ``end``: samples."""
    return {
        "type": "partial",
        "text": text,
        "stable_text": stable_text,
        "start_time": seconds(start),
        "end_time": seconds(end),
    }


def gap(lost: Gap) -> Message:
    """Audio that was received and gave no text."""
    return {
        "type": "gap",
        "start_time": seconds(lost.start),
        "end_time": seconds(lost.end),
        "reason": lost.reason,
    }


def session_info(
    session_id: str, *, connected_at: datetime, full_transcript: str, metrics: SessionMetrics, duration: float
) -> Message:
    """The session so far.  ``duration``: seconds since it started, by the clock."""
    return {
        "type": "session_info",
        "session_id": session_id,
        "connected_at": connected_at.isoformat(),
        "total_chunks": metrics.chunks_processed,
        "full_transcript": full_transcript,
        "metrics": metrics_fields(metrics, duration=duration),
    }


def metrics_fields(metrics: SessionMetrics, *, duration: float) -> dict[str, float]:
    """The figures of a session under the names its clients read."""
    return {
        "chunks_processed": metrics.chunks_processed,
        "avg_processing_time_ms": round(metrics.avg_processing_time_ms, 1),
        "max_processing_time_ms": round(metrics.processing_ms_max, 1),
        "min_processing_time_ms": round(metrics.processing_ms_min, 1),
        "total_session_duration": round(duration, 3),
        "avg_confidence_score": round(metrics.avg_confidence_score, 4),
        "real_time_factor": round(metrics.real_time_factor, 4),
        "received_samples": metrics.received_samples,
        "decoded_samples": metrics.decoded_samples,
        "gap_samples": metrics.gap_samples,
    }


def pong() -> Message:
    """The answer to a ping."""
    return {"type": "pong"}


def error(reason: AmbientError) -> Message:
    """Something the client should know: what happened and what to do.

    An operator's error names files and machines, so a client is told its kind only.
    """
    if isinstance(reason, ClientError):
        code, message = reason.code, str(reason)
    elif isinstance(reason, DiskFull):
        code = "disk_full"
        message = (
            "the box's disk is full, and the session ends; lines shown so far are kept."
            "  Free space on the box, then open a new one."
        )
    elif isinstance(reason, StoreUnavailable):
        code = "store_unavailable"
        message = "what is said cannot be stored now.  The box's log tells why; lines shown so far are kept."
    else:
        code, message = "internal", str(reason)
    told: Message = {"type": "error", "code": code, "message": message}
    if isinstance(reason, ClientError) and reason.retry_after is not None:
        return {**told, "retry_after": round(reason.retry_after)}
    return told


def session_ended(
    session_id: str, *, reason: str, lines: int, ephemeral: bool = False, later: bool = False
) -> Message:
    """The last message: everything before it is stored, or destroyed if the session was ephemeral or discarded.

    ``later``: what is stored is the audio.
    """
    gone = ephemeral or reason == EndReason.DISCARDED
    stored = "its audio is stored, to be transcribed later" if later else f"{lines} lines stored"
    kept = "nothing of it is kept" if gone else stored
    return {
        "type": "session_ended",
        "session_id": session_id,
        "message": f"Session ended ({reason}); {kept}.",
        "reason": reason,
    }


def refined(
    session_id: str,
    *,
    state: str,
    lines: Sequence[Line],
    model: str,
    kept: float,
) -> Message:
    """The outcome of the second hearing; the last message to those who asked for it.

    ``state``: ``done``, ``skipped`` or ``failed``; unless ``done``, what was shown live is final and ``lines`` empty.
    ``discarded``: the session was destroyed meanwhile.
    ``kept``: seconds that keep their live words.
    """
    return {
        "type": "refined",
        "session_id": session_id,
        "state": state,
        "text": full_text(line.text for line in lines),
        "segments": segments_fields(lines),
        "model_used": model,
        "kept_seconds": round(kept, 1),
        **mark_fields(lines),
    }
