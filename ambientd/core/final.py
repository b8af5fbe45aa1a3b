"""The final text of a conversation: what was heard the second time, and the live words where nothing was.

Rule 1  Refined lines stand whole; of the live words those stand that belong to a kept stretch.
Rule 2  Where the two meet, the words tell which those are, for two hearings may place a word seconds apart: what the
        refined text has on its side of the edge is not written again, and all else is.
Rule 3  Where the words tell nothing, the times do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from ambientd.core.alignment import meeting
from ambientd.core.audio import RATE
from ambientd.core.numerals import terms
from ambientd.core.plausibility import confidence
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word

Stretch = tuple[int, int]
"""From a sample to another, exclusive."""

ASTRAY: Final = RATE * 3 // 2
"""Samples by which a hearing may place a word wrongly."""


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
    """All lines in order, numbered anew: ``refined``, and of ``live`` the words that belong to ``kept``."""
    refined = sorted(refined, key=lambda line: line.start)
    words = [word for line in live for word in line.words]
    parts: list[Line] = []
    used = 0
    stretches = joined(kept)
    for number, stretch in enumerate(stretches):
        # Up to the neighbouring ones: beyond, the live words have what the refined ones have not.
        since = stretches[number - 1][1] if number else 0
        until = stretches[number + 1][0] if number + 1 < len(stretches) else None
        before = [line for line in refined if since <= line.start < stretch[0]]
        behind = [
            line for line in refined if stretch[0] <= line.start and (until is None or line.start < until)
        ]
        first, last = (used + place for place in _kept(words[used:], before, behind, stretch))
        used = last
        begins = accumulate((len(line.words) for line in live), initial=0)
        for line, begin in zip(live, begins, strict=False):
            if part := _part(line, first - begin, last - begin, stretch):
                parts.append(part)
    # The sort is stable: of two lines that begin at one sample the kept one is the earlier.
    lines = sorted([*parts, *refined], key=lambda line: line.start)
    return [replace(line, index=index) for index, line in enumerate(lines)]


def open_gaps(lines: Sequence[Line], gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps within which ``lines`` have no word: the others were filled by the second hearing."""
    middles = [(word.start + word.end) // 2 for line in lines for word in line.words]
    return [gap for gap in gaps if not any(gap.start <= middle < gap.end for middle in middles)]


def _kept(live: Sequence[Word], before: Sequence[Line], behind: Sequence[Line], stretch: Stretch) -> Stretch:
    """Which of the ``live`` words belong to a stretch: the place of the first, and behind the last."""
    start, end = stretch
    first = _passed(live, [word for line in before for word in line.words], start)
    after = _backwards([word for line in behind for word in line.words])
    last = len(live) - _passed(_backwards(live), after, 1 - end)
    return first, max(first, last)


def _backwards(words: Sequence[Word]) -> list[Word]:
    """The words as they would be if time went the other way."""
    return [replace(word, start=-word.end, end=-word.start) for word in reversed(words)]


def _passed(live: Sequence[Word], refined: Sequence[Word], edge: int) -> int:
    """How many of the ``live`` words the ``refined`` ones have been through, which end at ``edge``."""

    def count(moment: int) -> int:
        return next((at for at, word in enumerate(live) if _middle(word) >= moment), len(live))

    by_time = count(edge)
    begin = count(edge - 2 * ASTRAY)
    end = next((at for at in range(len(live), begin, -1) if _middle(live[at - 1]) < edge + 2 * ASTRAY), begin)
    known = [word for word in refined if _middle(word) >= edge - 4 * ASTRAY]
    if not known or begin == end:
        return by_time
    heard, bounds = _compared(live[begin:end])
    near = next(at for at, bound in enumerate(bounds) if begin + bound >= by_time or at == len(heard))
    passed = meeting(_compared(known)[0], heard, near=near)
    # Words that have nothing in common with what stands before: rather a few too many than one lost.
    return count(edge - ASTRAY) if passed is None else begin + bounds[passed]


def _compared(words: Sequence[Word]) -> tuple[list[str], list[int]]:
    """What the words are compared by, and before how many of them each of that begins; at last, their number."""
    found = terms([word.text for word in words])
    return [term.key for term in found], list(accumulate((term.count for term in found), initial=0))


def _middle(word: Word) -> int:
    return (word.start + word.end) // 2


def _part(line: Line, first: int, last: int, stretch: Stretch) -> Line | None:
    """The words of a line from ``first`` to before ``last``, as far as it has them, at times within the stretch."""
    first, last = max(0, first), min(len(line.words), last)
    if first >= last:
        return None
    segments: list[Segment] = []
    begin = 0
    for segment in line.segments:
        words = segment.words[max(0, first - begin) : max(0, last - begin)]
        begin += len(segment.words)
        if words:
            whole = len(words) == len(segment.words)
            part = segment if whole else Segment(_text(words), words[0].start, words[-1].end, words)
            segments.append(_moved(part, stretch))
    whole = last - first == len(line.words)
    return replace(
        line,
        suggestions=_within_words(line.suggestions, first, last - first),
        corrections=_within_words(line.corrections, first, last - first),
        text=line.text if whole else " ".join(segment.text for segment in segments),
        start=_inside(line.start, stretch),
        end=max(_inside(line.end, stretch), segments[-1].end),
        segments=tuple(segments),
        confidence=line.confidence
        if whole
        else confidence([word for segment in segments for word in segment.words]),
    )


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _inside(moment: int, stretch: Stretch) -> int:
    return min(max(moment, stretch[0]), stretch[1])


def _moved(segment: Segment, stretch: Stretch) -> Segment:
    """The same phrase with all times within the stretch: what lies beside it is in other lines."""
    words = tuple(
        replace(word, start=_inside(word.start, stretch), end=_inside(word.end, stretch))
        for word in segment.words
    )
    return replace(
        segment, start=_inside(segment.start, stretch), end=_inside(segment.end, stretch), words=words
    )


def _within_words(marks: Sequence[Suggestion], first: int, count: int) -> tuple[Suggestion, ...]:
    """The marks that lie wholly in ``count`` words from ``first`` on, counted from there."""
    return tuple(mark.shifted(-first) for mark in marks if first <= mark.first and mark.last <= first + count)
