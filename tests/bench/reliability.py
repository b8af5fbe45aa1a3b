"""What a probability is worth: of the words and utterances told with it, the share that is right."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ambientd.core.transcript import Line
from bench.report import Section
from bench.screen import matches, tokens

EDGES: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Between the bins."""

COLUMNS: Final = [
    "told with",
    "words",
    "told, mean",
    "right",
    "utterances",
    "told, mean",
    "of their words right",
]


@dataclass(frozen=True, slots=True)
class Claim:
    """What was told with a probability, and what became of it."""

    told: float
    right: float
    """1 or 0 for a word; for an utterance the share of its words that are right."""


@dataclass(slots=True)
class Claims:
    """Of several recordings together."""

    words: list[Claim] = field(default_factory=list)
    lines: list[Claim] = field(default_factory=list)

    def add(self, reference: str, lines: Sequence[Line]) -> None:
        """Counts one recording.

        A word is right if all that the normaliser leaves of it stands in the reference where the best alignment of the
        two texts puts it; words of which it leaves nothing ("um") are not counted.
        """
        expected = [token for word in reference.split() for token in tokens(word)]
        heard = [
            (line.index, at, token)
            for line in lines
            for at, word in enumerate(line.words)
            for token in tokens(word.text)
        ]
        hit = {other for _, other in matches(expected, [token for *_, token in heard])}
        right: dict[tuple[int, int], bool] = {}
        for place, (line, at, _) in enumerate(heard):
            right[line, at] = right.get((line, at), True) and place in hit
        for line in lines:
            counted = [(at, word) for at, word in enumerate(line.words) if (line.index, at) in right]
            found = [Claim(word.probability, float(right[line.index, at])) for at, word in counted]
            self.words += found
            if found:
                self.lines.append(Claim(line.confidence, _mean(claim.right for claim in found)))


def section(name: str, title: str, claims: Claims) -> Section:
    """The table of one kind of text."""
    words, lines = _bins(claims.words), _bins(claims.lines)
    rows = [[_name(at), *_cells(words[at]), *_cells(lines[at])] for at in range(len(EDGES) + 1)]
    rows.append(["all", *_cells(claims.words), *_cells(claims.lines)])
    told = "Of words: " + _summary(claims.words) + ". Of utterances: " + _summary(claims.lines) + "."
    return Section(name, title, COLUMNS, rows, told)


def calibration_error(claims: Sequence[Claim]) -> float:
    """The expected calibration error over the bins, in [0, 1]."""
    return sum(
        len(found) * abs(_mean(claim.told for claim in found) - _mean(claim.right for claim in found))
        for found in _bins(claims)
        if found
    ) / max(1, len(claims))


def _summary(claims: Sequence[Claim]) -> str:
    brier = _mean((claim.told - claim.right) ** 2 for claim in claims)
    return f"expected calibration error {calibration_error(claims):.3f}, mean squared error {brier:.3f}"


def _bins(claims: Iterable[Claim]) -> list[list[Claim]]:
    bins: list[list[Claim]] = [[] for _ in range(len(EDGES) + 1)]
    for claim in claims:
        bins[bisect_right(EDGES, claim.told)].append(claim)
    return bins


def _name(at: int) -> str:
    if at == 0:
        return f"below {EDGES[0]}"
    return f"{EDGES[at - 1]} to {EDGES[at]}" if at < len(EDGES) else f"{EDGES[-1]} and above"


def _cells(claims: Sequence[Claim]) -> list[str]:
    if not claims:
        return ["0", "", ""]
    return [
        f"{len(claims):,}",
        f"{_mean(claim.told for claim in claims):.3f}",
        f"{_mean(claim.right for claim in claims):.3f}",
    ]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
