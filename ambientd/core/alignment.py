"""Which words of one hearing are which words of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


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


def _distances(old: Sequence[str], new: Sequence[str]) -> list[list[int]]:
    """``rows[i][j]``: edits that turn the first i words of ``old`` into the first j of ``new``."""
    rows = [list(range(len(new) + 1))]
    for count, word in enumerate(old, start=1):
        before, row = rows[-1], [count]
        for index, other in enumerate(new):
            row.append(min(before[index + 1] + 1, row[index] + 1, before[index] + (word != other)))
        rows.append(row)
    return rows
