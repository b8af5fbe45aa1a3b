"""What a word's probability means: of words told with 0.9, nine in ten are right.

Whisper is too modest: of the words it gives 0.65 nine in ten are right, of those it gives 0.45 two thirds.  One
straight line through the logits mends that, and keeps the order.  Rules that were measured on the engine's own figures
(:mod:`~ambientd.core.plausibility`, :mod:`~ambientd.core.stabiliser`) go on using those.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ambientd.core.transcript import Segment

OFFSET: Final = 1.2
SLOPE: Final = 0.92
"""Of the line through the logits.  Source: fitted on two interviews and tested on the other two, both ways round:
docs/benchmarks.md."""

LEAST: Final = 0.02
MOST: Final = 0.998
"""Bounds of the engine's figure: beyond them it says no more."""


def calibrated(probability: float) -> float:
    """The share of words with this probability of the engine's that are right, in [0, 1]."""
    kept = min(max(probability, LEAST), MOST)
    return 1 / (1 + math.exp(-OFFSET - SLOPE * math.log(kept / (1 - kept))))


def with_calibrated_words(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The same segments, their words' probabilities calibrated."""
    return tuple(
        replace(
            segment,
            words=tuple(replace(word, probability=calibrated(word.probability)) for word in segment.words),
        )
        for segment in segments
    )
