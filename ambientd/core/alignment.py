"""Which words of one hearing are which words of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final


def plain(word: str) -> str:
    """The word as it is compared: letters and digits, in lower case."""
    return re.sub(r"\W+", "", word).lower()


def continuation(
    known: Sequence[str], heard: Sequence[str], *, off: Callable[[int], float] | None = None
) -> int:
    """Where in ``heard`` that begins which is not in ``known``: behind the prefix with the least edit distance to it.

    Both are plain words.  Of equally good prefixes the one is taken that is least ``off`` (by how much a prefix of so
    many words ends elsewhere than what is known), then the one nearest to the length of ``known``.
    """
    row = _distances(known, heard)[-1]
    far = off or (lambda _: 0)
    return min(range(len(row)), key=lambda count: (row[count], far(count), abs(count - len(known))))


def matches(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Index in ``new`` -> index in ``old``, of the words that are the same in the best alignment (edit distance)."""
    rows = _distances(old, new)
    found: dict[int, int] = {}
    i, j = len(old), len(new)
    while i and j:
        if old[i - 1] == new[j - 1] and rows[i][j] == rows[i - 1][j - 1]:
            i, j = i - 1, j - 1
            found[j] = i
        elif rows[i][j] == rows[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
        elif rows[i][j] == rows[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return found


LEAST_ECHO: Final = 4
"""Letters of a single word that is taken for the same word: "and" is said everywhere."""


def meeting(said: Sequence[str], heard: Sequence[str], *, near: int) -> int | None:
    """Behind how many words of ``heard`` all of ``said`` has been; ``None`` where the words do not tell.

    Both may begin before the other.  Of equally good places the one nearest to ``near`` is taken.

    Source: local alignment that must end with ``said``; a point for each word that is the same, one off for each that
    is not.
    """
    row = [0] * (len(heard) + 1)
    for word in said:
        before, row = row, [0]
        for index, other in enumerate(heard):
            same = before[index] + (1 if word == other else -1)
            row.append(max(0, same, before[index + 1] - 1, row[index] - 1))
    best = max(row)
    places = [count for count, score in enumerate(row) if score == best]
    if best == 1 and len(said) > 1:
        places = [count for count in places if heard[count - 1] == said[-1] and len(said[-1]) >= LEAST_ECHO]
    return min(places, key=lambda count: abs(count - near)) if best and places else None


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


def _distances(old: Sequence[str], new: Sequence[str]) -> list[list[int]]:
    """``rows[i][j]``: edits that turn the first i words of ``old`` into the first j of ``new``."""
    rows = [list(range(len(new) + 1))]
    for count, word in enumerate(old, start=1):
        before, row = rows[-1], [count]
        for index, other in enumerate(new):
            row.append(min(before[index + 1] + 1, row[index] + 1, before[index] + (word != other)))
        rows.append(row)
    return rows
