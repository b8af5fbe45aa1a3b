"""Names from a second decode put where the first one misheard them, and nothing else of it.

The second decode is told the suspected names as having been said before.  That makes it spell them, and it also makes
it terse and careless with what stands around them: so only names are taken, each for a span of the first text that
sounds like it.  What the second decode does not confirm stays as it was: a name is never put in by rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final

from ambientd.core.decoding import Heard
from ambientd.core.sounds import likeness, sounds
from ambientd.core.suspects import LONGEST_SPAN, Search, Suspect
from ambientd.core.transcript import Segment, Suggestion, Word
from ambientd.core.vocabulary import spelling

CONFIRMED: Final = 0.75
"""How much like a name the first text must sound for the second decode's word to be believed.  A medicine that is in no
list is else taken for one that is.  Source: measured, docs/benchmarks.md."""

WORTH_TELLING: Final = 0.8
"""Likeness from which a name is suggested to the reader: one suggestion too many costs more than one too few."""


def suggestions(suspects: Sequence[Suspect], words: Sequence[Word]) -> tuple[Suggestion, ...]:
    """What is worth telling of the ``suspects`` found in ``words``."""
    return tuple(
        Suggestion(
            each.first,
            each.last,
            " ".join(word.text for word in words[each.first : each.last]),
            each.names[0],
            each.score,
        )
        for each in suspects
        if each.score >= WORTH_TELLING and not each.ordinary
    )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A name that the second decode says where the first one says something like it."""

    first: int
    """Index of the first word that it replaces."""
    last: int
    """Index after the last."""
    words: tuple[Word, ...]
    """The name's."""
    said: str
    """What the first decode had."""
    score: float
    """Likeness of the two in sound, in [0, 1]."""


def with_names(heard: Heard, names: Sequence[Confirmed]) -> Heard:
    """``heard`` with these names put in."""
    return _changed(heard, names) if names else heard


def confirmed(first: Heard, second: Heard, search: Search) -> tuple[Confirmed, ...]:
    """The names in ``second`` that may be put into ``first``, in order, none overlapping another."""
    return tuple(_confirmed(first.words, second.words, search, first.language))


def _confirmed(
    said: Sequence[Word], again: Sequence[Word], search: Search, language: str
) -> Iterator[Confirmed]:
    blocks = SequenceMatcher(
        None, [spelling(word.text) for word in said], [spelling(word.text) for word in again], autojunk=False
    ).get_opcodes()
    done = 0
    kept = {at for first, last, _ in search.named(said) for at in range(first, last)}
    for first, last, name in search.named(again):
        places = [place for block in blocks for place in _places(block, first, last)]
        if not places:
            continue
        spans = [
            (
                likeness(sounds(" ".join(word.text for word in said[start:end])), sounds(name)),
                start - end,
                start,
                end,
            )
            for start in range(max(done, min(places)), max(places) + 1)
            for end in range(start + 1, min(start + LONGEST_SPAN, max(places) + 1) + 1)
            if kept.isdisjoint(range(start, end)) and search.is_doubtful(said[start:end], language)
        ]
        score, _, start, end = max(spans, default=(0.0, 0, 0, 0))
        if score >= CONFIRMED:
            opens = start == 0 or said[start - 1].text.endswith((".", "?", "!"))
            words = tuple(_spelt(name, said[start:end], again[first:last], opens=opens))
            heard = " ".join(word.text for word in said[start:end])
            yield Confirmed(start, end, words, heard, round(score, 3))
            done = end


def _places(block: tuple[str, int, int, int, int], first: int, last: int) -> range:
    """The words of the first text that stand where words ``first`` to ``last`` stand in the second."""
    kind, i1, i2, j1, j2 = block
    if j1 >= last or j2 <= first:
        return range(0)
    if kind == "equal":
        return range(i1 + max(first, j1) - j1, i1 + min(last, j2) - j1)
    return range(i1, i2)


def _spelt(name: str, said: Sequence[Word], again: Sequence[Word], *, opens: bool) -> Iterator[Word]:
    """The name's words, in the time of those they replace, with the punctuation behind those.

    ``opens``: whether they open a sentence, and are written large.
    """
    parts = name.split()
    ending = "".join(said[-1].text[len(said[-1].text.rstrip(".,;:?!")) :])
    probability = sum(word.probability for word in again) / len(again)
    start, length = said[0].start, said[-1].end - said[0].start
    total, before = sum(map(len, parts)), 0
    for number, part in enumerate(parts):
        begin = start + length * before // total
        before += len(part)
        text = part[0].upper() + part[1:] if number == 0 and opens else part
        text += ending if number == len(parts) - 1 else ""
        yield Word(text, begin, start + length * before // total, probability)


def _changed(heard: Heard, changes: Sequence[Confirmed]) -> Heard:
    """A change that reaches from one segment into the next belongs to the first."""
    starts = {change.first: change for change in changes}
    gone = {at for change in changes for at in range(change.first, change.last)}
    segments: list[Segment] = []
    at = 0
    for segment in heard.segments:
        words: list[Word] = []
        touched = False
        for word in segment.words:
            if at in starts:
                words += starts[at].words
            if at in gone:
                touched = True
            else:
                words.append(word)
            at += 1
        if not touched:
            segments.append(segment)
        elif words:
            end = max(segment.end, words[-1].end)
            segments.append(Segment(" ".join(word.text for word in words), segment.start, end, tuple(words)))
    return replace(heard, segments=tuple(segments))
