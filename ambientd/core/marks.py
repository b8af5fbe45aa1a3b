"""Names that were put in: which words they are, and what was heard in their place.

Each word of such a name carries its :class:`~ambientd.core.transcript.Put`, so that the mark goes where the word goes:
into another hearing's text, behind a seam, to another time.  A line's ``corrections`` are made from its words, at the
last moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ambientd.core.transcript import Put, Segment, Suggestion, Word


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
