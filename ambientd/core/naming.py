"""Names put where they were misheard, as far as the audio speaks for them.

The engine weighs suspected names on the audio (``Heard.weighed``).  Since it was told them, it takes each for likelier
than it is; so how much the words heard sound like the name counts as well.  What is not believed stays as it was heard,
and may be suggested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ambientd.core.decoding import Heard, Weighed
from ambientd.core.sounds import likeness, sounds
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Put, Segment, Suggestion, Word

OFFSET: Final = 1.15
PER_NAT: Final = 1.2
PER_LIKENESS: Final = 10.1
"""Of the line between names that are put in and those that are not.  Without it a medicine that is in no list is taken
for one that is.  Source: fitted on every other visit, docs/benchmarks.md."""

CERTAIN: Final = 0.9
"""Mean probability, the engine's own, from which what was heard stands: a list that lacks "hypothyroidism" must not
turn it into its opposite."""

LEAST: Final = -3.0
"""Nats: below, the audio says no more."""

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
    """A name that is put in."""

    first: int
    """Index of the first word that it replaces."""
    last: int
    """Index after the last."""
    words: tuple[Word, ...]
    """The name's, each with what was heard in its place."""


def with_names(heard: Heard, names: Sequence[Confirmed]) -> Heard:
    """``heard`` with these names put in."""
    return _changed(heard, names) if names else heard


def confirmed(heard: Heard) -> tuple[Confirmed, ...]:
    """The names that the audio speaks for, each for a span of ``heard``, in order, none overlapping another."""
    found = []
    for each in heard.weighed:
        first = _place(heard.words, each.said)
        if first is not None and is_believed(each):
            words = tuple(_spelt(each, opens=opens_sentence(heard.words, first)))
            found.append(Confirmed(first, first + len(each.said), words))
    return tuple(found)


def is_believed(weighed: Weighed) -> bool:
    """Whether the name is put in, by the sound of the words and by the audio."""
    if sum(word.probability for word in weighed.said) > CERTAIN * len(weighed.said):
        return False
    told = max(weighed.log_probability, LEAST)
    return OFFSET + PER_NAT * told + PER_LIKENESS * (_likeness(weighed) - 0.8) > 0


def _likeness(weighed: Weighed) -> float:
    return likeness(sounds(" ".join(word.text for word in weighed.said)), sounds(weighed.name))


def _place(words: Sequence[Word], span: Sequence[Word]) -> int | None:
    """Index of the first of ``span`` in ``words``, if all of it stands there."""
    return next((at for at in range(len(words)) if tuple(words[at : at + len(span)]) == tuple(span)), None)


def opens_sentence(words: Sequence[Word], at: int) -> bool:
    """Whether a word at that index is the first of a sentence."""
    return at == 0 or words[at - 1].text.endswith((".", "?", "!"))


def bare(text: str) -> str:
    """The text without the punctuation behind it."""
    return text.rstrip(".,;:?!")


def written(name: str, *, opens: bool) -> str:
    """The name as it is written where a sentence ``opens``, and elsewhere."""
    return name[:1].upper() + name[1:] if opens else name


def _spelt(weighed: Weighed, *, opens: bool) -> Iterator[Word]:
    """The name's words, in the time of those they replace, with the punctuation behind those."""
    said, parts = weighed.said, written(weighed.name, opens=opens).split()
    ending = said[-1].text[len(bare(said[-1].text)) :]
    start, length = said[0].start, said[-1].end - said[0].start
    put = Put(" ".join(word.text for word in said), weighed.name, round(_likeness(weighed), 3))
    total, before = sum(map(len, parts)), 0
    for number, part in enumerate(parts):
        begin = start + length * before // total
        before += len(part)
        text = part + ending if number == len(parts) - 1 else part
        end = start + length * before // total
        yield Word(text, begin, end, math.exp(weighed.log_probability), replace(put, part=number))


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
