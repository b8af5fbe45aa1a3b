"""What was said as fields of JSON, the same in messages, transcripts and exports; times in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ambientd.core.audio import RATE
from ambientd.core.transcript import Line, Segment, Suggestion, Word


def segments_fields(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The phrases of these lines, each with its line's language: in one conversation there may be several."""
    return [_segment_fields(segment, line.language) for line in lines for segment in line.segments]


def mark_fields(lines: Sequence[Line]) -> dict[str, list[dict[str, Any]]]:
    """The names marked in these lines, if any, counted by the words of all of them."""
    words = [word for line in lines for word in line.words]
    found: dict[str, list[dict[str, Any]]] = {"suggestions": [], "corrections": []}
    before = 0
    for line in lines:
        for name, marks in (("suggestions", line.suggestions), ("corrections", line.corrections)):
            found[name] += [_suggestion_fields(mark.shifted(before), words) for mark in marks]
        before += len(line.words)
    return {name: marks for name, marks in found.items() if marks}


def seconds(samples: int) -> float:
    """Samples as seconds, to the millisecond."""
    return round(samples / RATE, 3)


def _segment_fields(segment: Segment, language: str) -> dict[str, Any]:
    return {
        "text": segment.text,
        "language": language,
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "words": [_word_fields(word) for word in segment.words],
    }


def _word_fields(word: Word) -> dict[str, Any]:
    return {
        "word": word.text,
        "start": seconds(word.start),
        "end": seconds(word.end),
        "probability": round(word.probability, 4),
    }


def _suggestion_fields(mark: Suggestion, words: Sequence[Word]) -> dict[str, Any]:
    return {
        "word": mark.first,
        "words": mark.last - mark.first,
        "start": seconds(words[mark.first].start),
        "end": seconds(words[mark.last - 1].end),
        "said": mark.said,
        "suggested": mark.suggested,
        "score": mark.score,
    }
