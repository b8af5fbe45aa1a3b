"""Names that were put in: which words they are, and what was heard in their place.

Each word of such a name carries its :class:`~ambientd.core.transcript.Put`, so that the mark goes where the word goes:
into another hearing's text, behind a seam, to another time.  A line's ``corrections`` are made from its words, at the
last moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ambientd.core.transcript import Line, Put, Segment, Suggestion, Word


@dataclass(frozen=True, slots=True)
class Mention:
    """Where in a text a name stands that was put in: ``text[start:end]``, with the punctuation behind it."""

    start: int
    end: int
    said: str
    """The words as they were heard."""
    name: str
    """As the vocabulary spells it."""


def corrections(words: Sequence[Word]) -> tuple[Suggestion, ...]:
    """A mark for each name that was put in, or for what is left of it; every word with a ``put`` lies in one."""
    starts = [
        at for at, word in enumerate(words) if word.put and not (at and word.put.follows(words[at - 1].put))
    ]
    found = []
    for start in starts:
        end = start + 1
        while end < len(words) and (put := words[end].put) and put.follows(words[end - 1].put):
            end += 1
        if put := words[start].put:
            found.append(Suggestion(start, end, put.said, put.name, put.score))
    return tuple(found)


def with_puts(segments: Sequence[Segment], marks: Sequence[Suggestion]) -> tuple[Segment, ...]:
    """The segments of one line, the words that its ``marks`` count carrying them."""
    puts = {
        at: Put(mark.said, mark.suggested, mark.score, at - mark.first)
        for mark in marks
        for at in range(mark.first, mark.last)
    }
    found, at = [], 0
    for segment in segments:
        words = tuple(
            replace(word, put=puts.get(number)) for number, word in enumerate(segment.words, start=at)
        )
        found.append(replace(segment, words=words))
        at += len(words)
    return tuple(found)


def mentions(lines: Sequence[Line], text: str) -> tuple[Mention, ...]:
    """The marks of ``lines`` by their characters in ``text``, which is the lines' texts with a space between.

    Where a mark cannot be found, it is told of its whole line: one that is too wide is better than none.
    """
    found: list[Mention] = []
    begin = 0
    for line in lines:
        end = min(begin + len(line.text), len(text))
        places = _places(line, text, begin, end) if line.corrections else []
        for mark in line.corrections:
            spans = [span for span in places[mark.first : mark.last] if span]
            start, until = (spans[0][0], spans[-1][1]) if spans else (min(begin, end), end)
            found.append(Mention(start, until, mark.said, mark.suggested))
        begin = end + 1
    return tuple(found)


def _places(line: Line, text: str, begin: int, end: int) -> list[tuple[int, int] | None]:
    """Where each of the line's words stands in ``text[begin:end]``; ``None`` for one that does not."""
    places: list[tuple[int, int] | None] = []
    at = begin
    for word in line.words:
        start = text.find(word.text, at, end)
        places.append((start, start + len(word.text)) if start >= 0 else None)
        at = start + len(word.text) if start >= 0 else at
    return places
