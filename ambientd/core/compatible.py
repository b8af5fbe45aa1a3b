"""A recording's text as OpenAI's transcription interface gives it, so that programs made for that work with the box.

Source: https://platform.openai.com/docs/api-reference/audio (createTranscription, verbose_json).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ambientd.core.audio import RATE
from ambientd.core.fields import mark_fields, seconds
from ambientd.core.languages import LANGUAGES, NAMES
from ambientd.core.transcript import Line

FORMS: Final = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES: Final = ("word", "segment")

_CODES: Final = {name: code for code, name in NAMES.items()}


def language_code(given: str) -> str | None:
    """The code of a language given by code or English name, in any case; ``None`` for neither."""
    wanted = given.strip().lower()
    return wanted if wanted in LANGUAGES else _CODES.get(wanted)


def verbose(
    lines: Sequence[Line], *, language: str, samples: int, granularities: Sequence[str]
) -> dict[str, Any]:
    """``verbose_json``: text, language, duration, and segments or words with their times.

    The fields of a segment that only a decoder of theirs has are given as nearly as ours can: ``avg_logprob`` from the
    words' probabilities, ``no_speech_prob`` 0 for what a voice detector took for speech, and no tokens.  Names that
    were put in, or may be meant, are ours: their clients pass over them.
    """
    answer: dict[str, Any] = {
        "task": "transcribe",
        "language": NAMES.get(language, language),
        "duration": round(samples / RATE, 2),
        "text": text(lines),
    }
    if "segment" in granularities or not granularities:
        answer["segments"] = _segments(lines)
    if "word" in granularities:
        answer["words"] = [
            {"word": word.text, "start": seconds(word.start), "end": seconds(word.end)}
            for line in lines
            for word in line.words
        ]
    return answer | mark_fields(lines) | usage(samples)


def brief(lines: Sequence[Line], *, samples: int) -> dict[str, Any]:
    """``json``: the text."""
    return {"text": text(lines)} | usage(samples)


def usage(samples: int) -> dict[str, Any]:
    """What it would be charged by; the box charges nothing."""
    return {"usage": {"type": "duration", "seconds": math.ceil(samples / RATE)}}


def text(lines: Sequence[Line]) -> str:
    """All that was said, on one line."""
    return " ".join(" ".join(line.text.split()) for line in lines).strip()


def _segments(lines: Sequence[Line]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in lines:
        for segment in line.segments:
            chances = [max(word.probability, 1e-6) for word in segment.words] or [max(line.confidence, 1e-6)]
            raw = segment.text.encode()
            found.append(
                {
                    "id": len(found),
                    "seek": line.start * 100 // RATE,
                    "start": seconds(segment.start),
                    "end": seconds(segment.end),
                    "text": segment.text,
                    "tokens": [],
                    "temperature": 0.0,
                    "avg_logprob": round(sum(map(math.log, chances)) / len(chances), 4),
                    "compression_ratio": round(len(raw) / max(1, len(zlib.compress(raw))), 4),
                    "no_speech_prob": 0.0,
                }
            )
    return found


def error(message: str, *, code: str, status: int, param: str | None = None) -> Mapping[str, Any]:
    """An error in their shape."""
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status)
    if kind is None:
        kind = "server_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
