"""How many names are heard right, with the vocabulary and without: over visits that ``spoken.py`` has spoken.

A name counts as right where its letters stand in the text, whatever the case, spaces and hyphens.  Of names that were
not said those that the vocabulary has are counted too: a wrong medicine is worse than a garbled one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.vocabulary import spelling
from bench.product import Product, text
from bench.recordings import ROOT, load
from bench.report import Section, Skipped
from bench.score import Score, score, total
from bench.spoken import names, said, visits

FOLDER: Final = ROOT / "build" / "bench" / "names"
"""Where the spoken visits lie, one FLAC file each."""

LONGEST_SPREAD = 5
"""Words over which the letters of one name may be spread."""


def right(expected: Sequence[str], text: str) -> Counter[str]:
    """Those of the names that stand in the text, each as often as it does but no more often than it was said."""
    words = [spelling(word) for word in text.split()]
    used: set[int] = set()
    found: Counter[str] = Counter()
    for name in sorted(expected, key=len, reverse=True):
        wanted = {spelling(name), spelling(name) + "s"}
        for start in range(len(words)):
            ends = range(start + 1, min(start + LONGEST_SPREAD, len(words)) + 1)
            end = next((end for end in ends if "".join(words[start:end]) in wanted), None)
            if end is not None and used.isdisjoint(range(start, end)):
                used |= set(range(start, end))
                found[name] += 1
                break
    return found


@dataclass
class Tally:
    """Of several visits together."""

    names: int = 0
    right: int = 0
    wrong: int = 0
    score: Score = field(default_factory=lambda: total([]))

    def add(self, expected: list[str], reference: str, text: str, known: set[str]) -> None:
        self.names += len(expected)
        self.right += right(expected, text).total()
        spoken = {spelling(word) for word in reference.split()} | {spelling(name) for name in expected}
        self.wrong += sum(word in known and word not in spoken for word in map(spelling, text.split()))
        self.score = total([self.score, score(reference, text)])

    def cells(self) -> list[str]:
        """As a table shows it."""
        share = 100 * self.right / max(1, self.names)
        return [f"{self.right} of {self.names}", f"{share:.1f}", str(self.wrong), f"{self.score.wer:.1f}"]


def names_right(seconds: float | None = None) -> list[Section]:
    """The odd visits, which the rules were made on, and the even ones; with the vocabulary and without.

    seconds: of all visits together, for a quick look.
    """
    there = [(number, turns) for number, turns in enumerate(visits()) if _file(number).is_file()]
    if not there:
        raise Skipped(
            f"names: no spoken visits in {FOLDER.relative_to(ROOT)}; tests/bench/spoken.py makes them,"
            " docs/building.md tells how"
        )
    product = Product()
    known = {spelling(entry.name) for entry in product.vocabulary.entries}
    tallies: dict[tuple[bool, str, str], Tally] = {}
    left = seconds or math.inf
    for number, turns in there:
        if left <= 0:
            break
        audio = load(_file(number))
        left -= len(audio) / RATE
        expected = [name for _, said_text in turns for name in names(said_text)]
        reference = " ".join(said(said_text) for _, said_text in turns)
        for vocabulary in (False, True):
            told = product.hear(audio, vocabulary=vocabulary)
            for tier, lines in (("committed", told.live), ("refined", told.final)):
                key = vocabulary, tier, "even" if number % 2 else "odd"
                tallies.setdefault(key, Tally()).add(expected, reference, text(lines), known)
    rows = [
        [f"{tier}, {'with' if vocabulary else 'without'} the vocabulary", half, *tally.cells()]
        for (vocabulary, tier, half), tally in sorted(tallies.items(), key=_place)
    ]
    return [
        Section(
            "names",
            "Names heard right",
            ["text", "visits", "names right", "%", "names put in that were not said", "WER %"],
            rows,
            f"{len(there)} of {len(visits())} visits in synthetic voices; {len(known)} names in the list that comes"
            " with ambientd.",
        )
    ]


def _place(entry: tuple[tuple[bool, str, str], Tally]) -> tuple[bool, str, bool]:
    """Without the vocabulary first, committed before refined, odd before even."""
    (vocabulary, tier, half), _ = entry
    return vocabulary, tier, half == "even"


def _file(number: int) -> Path:
    return FOLDER / f"visit-{number:02}.flac"
