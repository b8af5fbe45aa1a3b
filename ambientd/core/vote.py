"""One text out of several hearings of the same audio: where most agree against one, most are right.

Decodes of one stretch with another prompt or other cuts make different mistakes in different places.  One hearing, the
first, gives the frame: order, times, punctuation.  Each other is aligned with it word by word, and every word of the
frame, and every place between two, is put to the vote.  Without a majority the first hearing stands.

Source of the idea: ROVER, J. G. Fiscus, 1997; the figures are in docs/benchmarks.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from ambientd.core.transcript import Segment, Word

FILLERS: Final = frozenset({"um", "uh", "umm", "uhm", "hm", "hmm", "mm", "mmm", "mhm"})
"""Not put to the vote: hearings differ in them without being wrong, and one more would hide that they agree."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """Another hearing of the same audio."""

    words: Sequence[Word]
    loose: bool = False
    """Whether it may begin earlier or end later than the first: what sticks out has no vote."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a vote."""

    segments: tuple[Segment, ...]
    last: tuple[Word | None, ...]
    """Of each of the others the last word that the first has too: what comes after it is not yet used."""


def vote(first: Sequence[Segment], others: Sequence[Ballot]) -> Outcome:
    """``first`` as corrected by the majority of all; with fewer than two others it stays as it is."""
    owned = [(number, word) for number, segment in enumerate(first) for word in segment.words]
    frame = _spoken([word for _, word in owned])
    votes: list[list[Word | None]] = [[word] for word in frame]
    between: list[list[list[Word]]] = [[] for _ in range(len(frame) + 1)]
    last = tuple(_cast(frame, other, votes, between) for other in others)
    voters = 1 + sum(bool(other.words) for other in others)
    if voters < 3 or not frame:  # noqa: PLR2004  # two hearings that differ are no majority
        return Outcome(tuple(first), last)
    words: list[tuple[int, Word]] = []
    place = 0
    for owner, word in owned:
        if plain(word.text) in FILLERS:
            words.append((owner, word))
            continue
        words += [(owner, more) for more in _inserted(between[place], voters)]
        if (chosen := _chosen(votes[place])) is not None:
            words.append((owner, chosen))
        place += 1
    words += [(owned[-1][0], more) for more in _inserted(between[place], voters)]
    segments = (
        _segment(first[number], [word for _, word in group])
        for number, group in groupby(_in_order(words), key=lambda pair: pair[0])
    )
    return Outcome(tuple(segments), last)


def _spoken(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if plain(word.text) not in FILLERS]


def plain(word: str) -> str:
    """A word as it is compared: letters and digits, small."""
    return re.sub(r"[^\w']+", "", word).lower().strip("'")


def aligned(
    frame: Sequence[str], other: Sequence[str], *, loose: bool
) -> list[tuple[int | None, int | None]]:
    """The cheapest way to turn ``frame`` into ``other``: pairs of places, ``None`` where one has no counterpart.

    ``loose``: what ``other`` has before and behind ``frame`` costs nothing.
    """
    rows, columns = len(frame) + 1, len(other) + 1
    cost = [[0] * columns for _ in range(rows)]
    for row in range(1, rows):
        cost[row][0] = row
    for column in range(1, columns):
        cost[0][column] = 0 if loose else column
    for row in range(1, rows):
        above, here, word = cost[row - 1], cost[row], frame[row - 1]
        free = loose and row == rows - 1
        for column in range(1, columns):
            here[column] = min(
                above[column - 1] + (word != other[column - 1]),
                above[column] + 1,
                here[column - 1] + (0 if free else 1),
            )
    pairs: list[tuple[int | None, int | None]] = []
    row, column = rows - 1, columns - 1
    while row or column:
        aside = 0 if loose and row in {0, rows - 1} else 1
        if (
            row
            and column
            and cost[row][column] == cost[row - 1][column - 1] + (frame[row - 1] != other[column - 1])
        ):
            row, column = row - 1, column - 1
            pairs.append((row, column))
        elif column and cost[row][column] == cost[row][column - 1] + aside:
            column -= 1
            pairs.append((None, column))
        else:
            row -= 1
            pairs.append((row, None))
    return pairs[::-1]


def _cast(
    frame: Sequence[Word], other: Ballot, votes: list[list[Word | None]], between: list[list[list[Word]]]
) -> Word | None:
    """Adds one hearing's votes: for each word of the frame, and for each place before, between and behind them.

    Gives its last word that the frame has too.
    """
    if not other.words:
        return None
    words = _spoken(other.words)
    said, heard = [plain(word.text) for word in frame], [plain(word.text) for word in words]
    extra: list[list[Word]] = [[] for _ in between]
    place = 0
    last = None
    for mine, theirs in aligned(said, heard, loose=other.loose):
        word = None if theirs is None else words[theirs]
        if mine is not None:
            votes[mine].append(word)
            place = mine + 1
            if theirs is not None and said[mine] == heard[theirs]:
                last = word
        elif word is not None:
            extra[place].append(word)
    if other.loose:
        extra[0], extra[-1] = [], []
    for votes_here, more in zip(between, extra, strict=True):
        votes_here.append(more)
    return last


def _chosen(votes: Sequence[Word | None]) -> Word | None:
    """The word most are for, at the first one's time; ``None`` if most heard none."""
    first = votes[0]
    count = Counter("" if word is None else plain(word.text) for word in votes)
    winner, supporters = count.most_common(1)[0]
    if first is None or supporters * 2 <= len(votes) or winner == plain(first.text):
        return first
    best = _marked([word for word in votes if word is not None and plain(word.text) == winner])
    return None if best is None else replace(best, start=first.start, end=first.end)


def _marked(words: Sequence[Word]) -> Word | None:
    """One of these words that say the same: the first that was put in, for without it they might be no majority."""
    return next((word for word in words if word.put), words[0] if words else None)


def _inserted(votes: Sequence[Sequence[Word]], voters: int) -> Sequence[Word]:
    """The words most have at a place where the first has none."""
    count = Counter(tuple(plain(word.text) for word in words) for words in votes if words)
    if not count:
        return ()
    winner, supporters = count.most_common(1)[0]
    if supporters * 2 <= voters:
        return ()
    same = [words for words in votes if tuple(plain(word.text) for word in words) == winner]
    return next((words for words in same if any(word.put for word in words)), same[0])


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
