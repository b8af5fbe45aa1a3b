"""The final text of a conversation: what was heard the second time, and the live words where nothing was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ambientd.core.plausibility import confidence
from ambientd.core.transcript import Gap, Line, Segment, Suggestion

Stretch = tuple[int, int]
"""From a sample to another, exclusive."""


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same samples in order, without overlap, as few stretches as possible."""
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def final_lines(refined: Sequence[Line], live: Sequence[Line], kept: Iterable[Stretch]) -> list[Line]:
    """All lines in order, numbered anew: ``refined``, and of ``live`` the words whose middle lies in ``kept``."""
    lines = list(refined)
    for start, end in joined(kept):
        lines += [part for line in live if (part := _within(line, start, end))]
    lines.sort(key=lambda line: line.start)
    return [replace(line, index=index) for index, line in enumerate(lines)]


def open_gaps(lines: Sequence[Line], gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps within which ``lines`` have no word: the others were filled by the second hearing."""
    middles = [(word.start + word.end) // 2 for line in lines for word in line.words]
    return [gap for gap in gaps if not any(gap.start <= middle < gap.end for middle in middles)]


def _within(line: Line, start: int, end: int) -> Line | None:
    """What ``line`` has between two moments, as a line of its own."""
    if line.end <= start or line.start >= end:
        return None
    segments = tuple(part for segment in line.segments if (part := _part(segment, start, end)))
    if not segments:
        return None
    whole = segments == line.segments
    words = [word for segment in segments for word in segment.words]
    first = next(at for at, word in enumerate(line.words) if word is words[0])
    return replace(
        line,
        suggestions=_within_words(line.suggestions, first, len(words)),
        corrections=_within_words(line.corrections, first, len(words)),
        text=line.text if whole else " ".join(segment.text for segment in segments),
        start=max(line.start, start),
        end=max(min(line.end, end), segments[-1].end),
        segments=segments,
        confidence=line.confidence if whole else confidence(words),
    )


def _within_words(marks: Sequence[Suggestion], first: int, count: int) -> tuple[Suggestion, ...]:
    """The marks that lie wholly in ``count`` words from ``first`` on, counted from there."""
    return tuple(mark.shifted(-first) for mark in marks if first <= mark.first and mark.last <= first + count)


def _part(segment: Segment, start: int, end: int) -> Segment | None:
    words = tuple(word for word in segment.words if start <= (word.start + word.end) // 2 < end)
    if not words:
        return None
    if len(words) == len(segment.words):
        return segment
    return Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, words)
