"""The daemon as it is wired, with an engine that makes its words up: for hundreds of sessions and dozens of kills.

Run as a program it is ``ambientd``.  Everything but the engine and the voice detector is the real thing.  What is heard
depends on the audio alone: :func:`spoken` makes audio and knows its words.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
from scripted import Engine, detect

from ambientd.core.audio import RATE
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.transcript import Segment, Word

LOWEST, HIGHEST = 8_000, 32_000
"""The loudness of a line names its words; below, the detector hears nothing."""

_STEMS = (
    "fever",
    "cough",
    "metformin",
    "insulin",
    "thorax",
    "Grüße",
    "señal",
    "knee",
    "morning",
    "Straße",
    "œdème",
)


def words_of(loudness: int) -> str:
    """The words of a line of that loudness: no two lines have the same; each hundredth is a speech of an hour."""
    chance = Random(loudness)  # noqa: S311 - dice
    count = 500 if loudness % 100 == 0 else chance.randint(6, 14)
    words = [f"{chance.choice(_STEMS)}{chance.randint(0, 9999)}" for _ in range(count)]
    return f"{' '.join(words)} {loudness}."


def spoken(loudness: int) -> bytes:
    """PCM of one line: a second of speech, and the pause that ends it."""
    samples = np.concatenate((np.full(RATE, loudness, "<i2"), np.zeros(RATE // 2, "<i2")))
    return samples.tobytes()


def hear(request: Request) -> Heard:
    """The words of each loudness in turn; what is heard a second time says so."""
    levels = np.rint(np.abs(request.audio) * 32_768).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    again = ["again"] if request.rank is Rank.BACKGROUND else []
    segments = [
        _segment(
            [*again, *words_of(int(levels[start])).split(" ")], request.start + start, request.start + end
        )
        for start, end in pairwise(edges)
        if levels[start]
    ]
    return Heard(tuple(segments), "en", 0.001, "made-up")


def _segment(said: list[str], start: int, end: int) -> Segment:
    """Words evenly spread."""
    times = np.linspace(start, end, len(said) + 1).astype(int).tolist()
    words = tuple(Word(word, *span, 0.9) for word, span in zip(said, pairwise(times), strict=True))
    return Segment(" ".join(said), start, end, words)


class Detector:
    def __init__(self, _path: Path) -> None:
        self.stream = lambda: detect


@asynccontextmanager
async def open_lanes(*_: object, **__: object) -> AsyncIterator[Engine]:
    yield Engine(hear)


def main() -> int:
    from ambientd import __main__, daemon, warming  # noqa: PLC0415 - slow to load, and tests need only the words

    daemon.lanes_of = open_lanes
    warming.Loading = lambda *_, **__: None
    daemon.VoiceDetector = Detector
    daemon.ordinary_words = lambda _weights: frozenset()
    daemon.models.resolve = lambda name, _quantisation, *folders: folders[0] / f"{name}.bin"
    return __main__.main()


if __name__ == "__main__":
    sys.exit(main())
