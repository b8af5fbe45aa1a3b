"""One text out of several hearings of the same audio: where most agree against one, most are right.

Decodes of one stretch with another prompt or other cuts make different mistakes in different places.  One hearing, the
first, gives the frame: order, times, punctuation.  Each other is aligned with it word by word, and every word of the
frame, and every place between two, is put to the vote.  Without a majority the first hearing stands.

    Rule 1  A number with its unit is one word, however it is written (:mod:`ambientd.core.numerals`).
    Rule 2  Who was not listening has no vote: where a hearing may have a hole, that it has no word says nothing.
    Rule 3  What the first has lost at an end, and most others have, is put back where its time is within the window.
            Hearings place a word differently, so the mean counts: it is the same at both sides of a cut.

Source of the idea: ROVER, J. G. Fiscus, 1997; the figures are in docs/benchmarks.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from ambientd.core.alignment import aligned
from ambientd.core.numerals import plain, terms
from ambientd.core.transcript import Segment, Word

FILLERS: Final = frozenset({"um", "uh", "umm", "uhm", "hm", "hmm", "mm", "mmm", "mhm"})
"""Not put to the vote: hearings differ in them without being wrong, and one more would hide that they agree."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """Another hearing of the same audio."""

    words: Sequence[Word]
    loose: bool = False
    """Whether it may begin earlier or end later than the first: what sticks out has no vote, but see rule 3."""
    holes: frozenset[int] = frozenset()
    """Places between its words, 0 the one in front of all, where it may have missed something."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a vote."""

    segments: tuple[Segment, ...]
    last: tuple[Word | None, ...]
    """Of each of the others the last word that is in the outcome: what comes after it is not yet used."""
    restored: tuple[Word, ...] = ()
    """The words at the end that the first had lost."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What has one vote: a word, or the words of a number."""

    key: str
    words: tuple[Word, ...]

    @property
    def middle(self) -> int:
        return (self.words[0].start + self.words[-1].end) // 2

    @property
    def put(self) -> bool:
        return any(word.put for word in self.words)


@dataclass(frozen=True, slots=True)
class _Cast:
    """One hearing beside the frame."""

    said: list[_Said | None]
    """For each place of the frame what it has there."""
    absent: set[int]
    """Places of the frame for which it has no vote."""
    extra: list[list[_Said]]
    """What it has before the first, between each two and behind the last."""
    loose: bool


def vote(
    first: Sequence[Segment], others: Sequence[Ballot], *, within: tuple[int, int] | None = None
) -> Outcome:
    """``first`` as corrected by the majority of all; with fewer than two others it stays as it is.

    ``within``: samples; the window that is heard.  Without it nothing is put back at its ends.
    """
    owned = [(number, word) for number, segment in enumerate(first) for word in segment.words]
    frame, _ = _spoken([word for _, word in owned])
    casts = [_cast(frame, other) for other in others]
    voters = 1 + sum(bool(other.words) for other in others)
    if voters < 3 or not frame:  # noqa: PLR2004  # two hearings that differ are no majority
        return Outcome(tuple(first), tuple(_last(cast, [], frame) for cast in casts))
    chosen = [
        _chosen([term, *(cast.said[at] for cast in casts if at not in cast.absent)])
        for at, term in enumerate(frame)
    ]
    inserted = [_inserted([cast.extra[at] for cast in casts], voters) for at in range(len(frame) + 1)]
    if any(cast.loose for cast in casts):
        inserted[0] = _lost([cast.extra[0][::-1] for cast in casts], voters, within)[::-1]
        inserted[-1] = _lost([cast.extra[-1] for cast in casts], voters, within)
    words = _written(owned, frame, chosen, inserted)
    segments = (
        _segment(first[number], [word for _, word in group])
        for number, group in groupby(_in_order(words), key=lambda pair: pair[0])
    )
    last = tuple(_last(cast, inserted, chosen) for cast in casts)
    return Outcome(tuple(segments), last, tuple(word for term in inserted[-1] for word in term.words))


def _written(
    owned: Sequence[tuple[int, Word]],
    frame: Sequence[_Said],
    chosen: Sequence[_Said | None],
    inserted: Sequence[Sequence[_Said]],
) -> list[tuple[int, Word]]:
    """The words of the outcome, each with the number of its segment."""
    words: list[tuple[int, Word]] = []
    begins = {id(term.words[0]): place for place, term in enumerate(frame)}
    mine = True
    for owner, word in owned:
        if plain(word.text) in FILLERS:
            words.append((owner, word))
            continue
        if (place := begins.get(id(word))) is not None:
            words += [(owner, more) for term in inserted[place] for more in term.words]
            winner = chosen[place]
            mine = winner is frame[place]
            if winner is not None and not mine:
                words += [(owner, more) for more in _placed(winner, frame[place])]
        if mine:
            words.append((owner, word))
    return words + [(owned[-1][0], more) for term in inserted[-1] for more in term.words]


def _spoken(words: Sequence[Word], holes: frozenset[int] = frozenset()) -> tuple[list[_Said], set[int]]:
    """What has a vote, and the places where something may be missing."""
    found: list[_Said] = []
    places: set[int] = set()
    bounds = [0, *sorted(holes - {0, len(words)}), len(words)]
    for begin, end in pairwise(bounds):
        if begin in holes:
            places.add(len(found))
        part = [word for word in words[begin:end] if plain(word.text) not in FILLERS]
        at = 0
        for term in terms([word.text for word in part]):
            found.append(_Said(term.key, tuple(part[at : at + term.count])))
            at += term.count
    return found, places | ({len(found)} if len(words) in holes else set())


def _cast(frame: Sequence[_Said], other: Ballot) -> _Cast:
    """What one hearing has for each word of the frame, and for each place before, between and behind them."""
    terms_, holes = _spoken(other.words, other.holes)
    cast = _Cast([None] * len(frame), set(), [[] for _ in range(len(frame) + 1)], other.loose)
    if not other.words:
        cast.absent.update(range(len(frame)))
        return cast
    place = passed = 0
    for mine, theirs in aligned(
        [term.key for term in frame], [term.key for term in terms_], loose=other.loose
    ):
        if mine is None and theirs is not None:
            cast.extra[place].append(terms_[theirs])
        elif mine is not None:
            place = mine + 1
            if theirs is not None:
                cast.said[mine] = terms_[theirs]
            elif passed in holes:
                cast.absent.add(mine)
        passed += theirs is not None
    return cast


def _chosen(votes: Sequence[_Said | None]) -> _Said | None:
    """What most are for; ``None`` if most heard nothing."""
    first = votes[0]
    count = Counter("" if term is None else term.key for term in votes)
    winner, supporters = count.most_common(1)[0]
    if first is None or supporters * 2 <= len(votes) or winner == first.key:
        return first
    return _marked([term for term in votes if term is not None and term.key == winner])


def _marked(same: Sequence[_Said]) -> _Said | None:
    """One of these that say the same: the first that was put in, for without it they might be no majority."""
    return next((term for term in same if term.put), same[0] if same else None)


def _placed(winner: _Said, instead: _Said) -> list[Word]:
    """The winner's words at the time of those they replace."""
    start, end = instead.words[0].start, instead.words[-1].end
    bounds = [start + (end - start) * at // len(winner.words) for at in range(len(winner.words) + 1)]
    return [
        replace(word, start=begin, end=until)
        for word, (begin, until) in zip(winner.words, pairwise(bounds), strict=True)
    ]


def _inserted(votes: Sequence[Sequence[_Said]], voters: int) -> Sequence[_Said]:
    """What most have at a place where the first has nothing."""
    count = Counter(_keys(terms_) for terms_ in votes if terms_)
    if not count:
        return ()
    winner, supporters = count.most_common(1)[0]
    if supporters * 2 <= voters:
        return ()
    same = [terms_ for terms_ in votes if _keys(terms_) == winner]
    return next((terms_ for terms_ in same if any(term.put for term in terms_)), same[0])


def _lost(votes: Sequence[Sequence[_Said]], voters: int, within: tuple[int, int] | None) -> Sequence[_Said]:
    """Rule 3, from the frame outwards: what most agree on, as far as it is within the window."""
    if within is None:
        return ()
    start, end = within
    found: list[_Said] = []
    while True:
        at = len(found)
        votes = [terms_ for terms_ in votes if len(terms_) > at]
        count = Counter(terms_[at].key for terms_ in votes)
        winner, supporters = count.most_common(1)[0] if count else ("", 0)
        votes = [terms_ for terms_ in votes if terms_[at].key == winner]
        if supporters * 2 <= voters or not start <= sum(t[at].middle for t in votes) // supporters < end:
            return found
        said = _marked([terms_[at] for terms_ in votes]) or votes[0][at]
        found.append(_Said(winner, tuple(_inside(word, start, end) for word in said.words)))


def _inside(word: Word, start: int, end: int) -> Word:
    return replace(word, start=min(max(word.start, start), end), end=min(max(word.end, start), end))


def _last(cast: _Cast, inserted: Sequence[Sequence[_Said]], chosen: Sequence[_Said | None]) -> Word | None:
    """The last word of a hearing that is in the outcome."""
    last: Word | None = None
    for place, more in enumerate(cast.extra):
        taken = inserted[place] if inserted else ()
        # At the beginning most agree on the end of what they have; elsewhere on the beginning.
        if taken and _keys(more[-len(taken) :] if not place else more[: len(taken)]) == _keys(taken):
            last = (more[-1] if not place else more[len(taken) - 1]).words[-1]
        if place < len(chosen):
            mine, theirs = chosen[place], cast.said[place]
            if mine is not None and theirs is not None and mine.key == theirs.key:
                last = theirs.words[-1]
    return last


def _keys(found: Sequence[_Said]) -> tuple[str, ...]:
    return tuple(term.key for term in found)


def _in_order(words: Sequence[tuple[int, Word]]) -> list[tuple[int, Word]]:
    """Times that never go back: those of an inserted word are another hearing's."""
    found: list[tuple[int, Word]] = []
    limits = [word.start for _, word in words]
    for index in range(len(limits) - 2, -1, -1):
        limits[index] = min(limits[index], limits[index + 1])
    at = 0
    for (owner, word), limit in zip(words, limits, strict=True):
        start = max(at, min(word.start, max(limit, at)))
        end = max(start, word.end)
        found.append((owner, replace(word, start=start, end=end)))
        at = start
    return [
        (owner, replace(word, end=max(word.start, min(word.end, after.start))))
        for (owner, word), (_, after) in pairwise(found)
    ] + found[-1:]


def _segment(segment: Segment, words: list[Word]) -> Segment:
    if [word.text for word in words] == [word.text for word in segment.words]:
        return segment
    text = " ".join(word.text for word in words)
    start = min(segment.start, words[0].start)
    return Segment(text, start, max(segment.end, words[-1].end), tuple(words))
