"""What a room costs in which nobody speaks, and what is made up in it."""

from __future__ import annotations

from typing import Final

import numpy as np

from ambientd.core.audio import RATE
from ambientd.core.decoding import Rank
from bench.product import Product
from bench.recordings import without_speech
from bench.report import Section

LENGTH: Final = 120
"""Seconds of each kind: a short recording is repeated."""


def silence(seconds: float | None = None) -> list[Section]:
    """CPU, words and decodes for each kind of quiet."""
    product = Product()
    length = round((seconds or LENGTH) * RATE)
    rows = []
    kinds = without_speech()
    for kind, audio in kinds.items():
        told = product.hear(np.resize(audio, length), watched=True)
        rows.append(
            [
                kind,
                f"{told.live_cpu * RATE / length:.4f}",
                f"{told.final_cpu * RATE / length:.4f}",
                str(told.shown),
                str(sum(len(line.words) for line in told.final)),
                " / ".join(str(told.decodes[rank]) for rank in (Rank.FINAL, Rank.PARTIAL, Rank.BACKGROUND)),
            ]
        )
    told = f"{length / RATE:g} s of each, shorter recordings repeated; one session with partials."
    if len(kinds) == 1:
        told += (
            " The recordings of noise and music are not there: `shared/data/non_speech` beside the project."
        )
    return [
        Section(
            "quiet",
            "Where nobody speaks",
            [
                "sound",
                "CPU s per s",
                "second hearing, on top",
                "words shown",
                "words in the final text",
                "decodes: text / partials / second hearing",
            ],
            rows,
            told,
        )
    ]
