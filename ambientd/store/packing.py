"""Segments and words of a line as compact JSON.

A line of thirty words carries thirty starts, ends and probabilities.  As JSON objects that is 2 KB; as
numbers relative to each other, with the words themselves taken from the line's text, 300 to 450 bytes.

    [unit, segment, …]                                      and last, where names are marked, {"s": […], "c": […]}
    segment    [start, length, times]                       its words are the line's, split at spaces
               [start, length, times, text, [word, …]]      in a line where that would not give them back

    mark       [first, last, said, suggested, score]        of ``suggestions`` (s) and ``corrections`` (c)

``unit`` is the greatest number of samples that divides every time in the line: engines tell time in ticks of
10 ms, so it is often 160.  All times are in units.  ``start`` of a segment is relative to the line.  ``times``
holds three numbers a word: time since the end of the word before (or since the segment's start), time it
lasts, and its probability in ten-thousandths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from math import gcd
from typing import Any, Final

from ambientd.core.marks import with_puts
from ambientd.core.transcript import Line, Segment, Suggestion, Word

PROBABILITY_STEPS: Final = 10_000
"""Probabilities are kept to the four places that clients are sent; the engine's are not good to two."""


def pack(line: Line) -> str:
    """The segments and marks of a line; ``unpacked`` gives them back, probabilities to four places."""
    plain = line.text.split(" ") == [word.text for word in line.words] and all(
        segment.text == " ".join(word.text for word in segment.words) for segment in line.segments
    )
    unit = gcd(*_times(line)) or 1
    packed: list[Any] = [unit]
    for segment in line.segments:
        row: list[Any] = [(segment.start - line.start) // unit, (segment.end - segment.start) // unit]
        row.append(list(_word_numbers(segment, unit)))
        if not plain:
            row += [segment.text, [word.text for word in segment.words]]
        packed.append(row)
    if line.suggestions or line.corrections:
        packed.append(
            {"s": [_mark(each) for each in line.suggestions], "c": [_mark(each) for each in line.corrections]}
        )
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":"))


def unpacked(packed: str, line: Line) -> Line:
    """The ``line``, which has its text and its start, with its segments and marks."""
    unit, *rows = json.loads(packed)
    marks = rows.pop() if rows and isinstance(rows[-1], dict) else {"s": [], "c": []}
    segments = _segments(unit, rows, line.text, line.start)
    corrections = tuple(Suggestion(*each) for each in marks["c"])
    return replace(
        line,
        segments=with_puts(segments, corrections) if corrections else segments,
        suggestions=tuple(Suggestion(*each) for each in marks["s"]),
        corrections=corrections,
    )


def _segments(unit: int, rows: list[Any], text: str, start: int) -> tuple[Segment, ...]:
    words_left = iter(text.split(" "))
    segments: list[Segment] = []
    for offset, length, numbers, *spelt in rows:
        begin = start + offset * unit
        texts = spelt[1] if spelt else list(islice(words_left, len(numbers) // 3))
        words = tuple(_words(texts, numbers, begin, unit))
        segments.append(Segment(spelt[0] if spelt else " ".join(texts), begin, begin + length * unit, words))
    return tuple(segments)


def _mark(mark: Suggestion) -> list[Any]:
    return [mark.first, mark.last, mark.said, mark.suggested, mark.score]


def _times(line: Line) -> Iterator[int]:
    """Every time in the line, relative to its start: what ``unit`` must divide."""
    for segment in line.segments:
        pieces: tuple[Segment | Word, ...] = (segment, *segment.words)
        for piece in pieces:
            yield piece.start - line.start
            yield piece.end - line.start


def _word_numbers(segment: Segment, unit: int) -> Iterator[int]:
    before = segment.start
    for word in segment.words:
        yield (word.start - before) // unit
        yield (word.end - word.start) // unit
        yield round(word.probability * PROBABILITY_STEPS)
        before = word.end


def _words(texts: list[str], numbers: list[int], begin: int, unit: int) -> Iterator[Word]:
    before = begin
    for text, pause, length, steps in zip(texts, numbers[0::3], numbers[1::3], numbers[2::3], strict=True):
        start = before + pause * unit
        before = start + length * unit
        yield Word(text, start, before, steps / PROBABILITY_STEPS)
