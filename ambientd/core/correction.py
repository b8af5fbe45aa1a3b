"""What a person changed in a transcript: the words as heard stay beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Final

from ambientd.core.transcript import Line, Segment, Word

LONGEST: Final = 20_000
"""Characters of one corrected line: half an hour of speech, and lines are up to half a minute."""

SURE: Final = 1.0
"""The probability of a word that a person wrote."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One revision: all that differs from the words as heard, not only what this revision changed."""

    revision: int
    """1, 2, 3 … within the session."""
    at: datetime
    """Aware, UTC."""
    actor: str
    texts: Mapping[int, str]
    """Index of a line as heard -> its text now; an empty text takes the line out."""


def needed(heard: Sequence[Line], texts: Mapping[int, str]) -> dict[int, str]:
    """Of ``texts`` those that differ from what was heard, white space put in order."""
    said = {line.index: one_row(line.text) for line in heard}
    tidy = {index: one_row(text) for index, text in texts.items()}
    return {index: text for index, text in sorted(tidy.items()) if said.get(index) != text}


def corrected(heard: Sequence[Line], texts: Mapping[int, str]) -> list[Line]:
    """The lines as heard with these texts in place of theirs, numbered anew; empty ones are left out.

    A word that stands in both keeps its time; what a person wrote gets the time of what it replaces.
    """
    lines = [_rewritten(line, texts[line.index]) if line.index in texts else line for line in heard]
    kept = [line for line in lines if line.text]
    return [replace(line, index=index) for index, line in enumerate(kept)]


def one_row(text: str) -> str:
    """The text with every run of white space as one space, and none around it."""
    return " ".join(text.split())


def _rewritten(line: Line, text: str) -> Line:
    # The marks count words that are others now, and whoever wrote the text has decided about them.
    heard = (
        replace(each, words=tuple(replace(word, put=None) for word in each.words)) for each in line.segments
    )
    line = replace(line, segments=tuple(heard), suggestions=(), corrections=())
    if not text:
        return replace(line, text="", segments=())
    words = _timed(line, text.split(" "))
    sure = sum(word.probability for word in words) / len(words)
    segment = Segment(text, words[0].start, max(words[-1].end, words[0].start), words)
    return replace(line, text=text, segments=(segment,), confidence=sure)


def _timed(line: Line, texts: Sequence[str]) -> tuple[Word, ...]:
    heard = line.words
    found: list[Word] = []
    matcher = SequenceMatcher(None, [word.text for word in heard], texts, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            found += heard[first:last]
            continue
        if begin == end:
            continue
        since = heard[first].start if first < len(heard) else (heard[-1].end if heard else line.start)
        until = heard[last - 1].end if last > first else since
        if not heard:
            until = line.end
        found += _spread(texts[begin:end], since, max(since, until))
    return tuple(found)


def _spread(texts: Sequence[str], since: int, until: int) -> list[Word]:
    """Each word gets time by its length; samples."""
    whole = sum(len(text) for text in texts)
    words: list[Word] = []
    said = 0
    for text in texts:
        start = since + (until - since) * said // whole
        said += len(text)
        words.append(Word(text, start, since + (until - since) * said // whole, SURE))
    return words
