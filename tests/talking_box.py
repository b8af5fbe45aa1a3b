"""The daemon as it is wired, with an engine that hears the same visit whatever is said: for the page and its pictures.

Everything but the engine, the voice detector and the room's microphone is the real thing.  Which words are heard
depends on the time alone, so what was recorded before and after a broken connection can be told apart.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from scripted import Engine, detect
from scripted_microphone import ScriptedMicrophone

from ambientd.core.audio import RATE
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.microphone import Level, Status
from ambientd.core.transcript import Segment, Word

PACE: Final = RATE * 2 // 5
"""Samples of one word."""

VISIT: Final = (
    "Good morning, please take a seat. What brings you here today? Good morning, doctor. It is the knee again,"
    " the left one. It has been swollen since the weekend and I can hardly climb the stairs. Did you fall, or twist"
    " it? No, I was only gardening on Saturday, but I was kneeling for two hours or so. Are you still taking the"
    " metformin for your diabetes? Yes, twice a day, five hundred milligrams. And something for the pain? Ibuprofen,"
    " when it gets bad, maybe once a day. Any allergies that I should know of? Penicillin gives me a rash. Let me"
    " have a look at it. Tell me where it hurts when I press. There, on the inside. It is warm, and there is some"
    " fluid in it. I would like an X-ray, and a blood test for uric acid. Until then put ice on it, rest the leg, and"
    " take the ibuprofen with food. Should I stop working? For three days, yes. I will write you a note. Come back on"
    " Thursday with the pictures, and call us at once if you get a fever. Thank you, doctor. Take care."
)
WORDS: Final = tuple(VISIT.split(" "))

UNSURE: Final = {"knee", "uric", "metformin"}


def words_between(start: int, end: int) -> list[tuple[str, int]]:
    """The words whose middle lies there, and when each begins; samples.  The visit begins anew when it is over."""
    first = -(-(start - PACE // 2) // PACE)
    last = -(-(end - PACE // 2) // PACE)
    return [(WORDS[n % len(WORDS)], n * PACE) for n in range(max(0, first), last)]


def hear(request: Request) -> Heard:
    """The words of that time, most of them for certain."""
    found = words_between(request.start, request.end)
    if not found:
        return Heard((), "en", 0.001, "talking")
    sure = 0.99 if request.rank is Rank.BACKGROUND else 0.93
    words = tuple(
        Word(text, max(at, request.start), min(at + PACE, request.end), 0.3 if text in UNSURE else sure)
        for text, at in found
    )
    segment = Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, words)
    return Heard((segment,), "en", 0.001, "talking")


class Detector:
    def __init__(self, _path: Path) -> None:
        self.stream = lambda: detect


@asynccontextmanager
async def open_microphone(*_: object, **__: object) -> AsyncIterator[ScriptedMicrophone]:
    """The room's microphone, which hears a tone with pauses for as long as somebody listens."""
    microphone = ScriptedMicrophone()

    async def talk() -> None:
        block, at, began = RATE // 20, 0, time.monotonic()
        while True:
            if not microphone.listening:
                at, began = 0, time.monotonic()
            elif microphone.state.status is Status.LIVE:
                moments = (np.arange(block) + at) / RATE
                sound = np.where(moments % 4 < 3.5, 0.4 * np.sin(2 * np.pi * 220 * moments), 0)
                microphone.say(sound.astype(np.float32))
                microphone.state = replace(microphone.state, level=Level(rms_dbfs=-14.0, peak_dbfs=-8.0))
                at += block
            await asyncio.sleep(max(0.01, began + at / RATE - time.monotonic()))

    talking = asyncio.create_task(talk())
    try:
        yield microphone
    finally:
        talking.cancel()


@asynccontextmanager
async def open_lanes(*_: object, **__: object) -> AsyncIterator[Engine]:
    yield Engine(hear)


def main() -> int:
    from ambientd import __main__, daemon, room, warming  # noqa: PLC0415 - slow to load, and tests need only the words

    daemon.lanes_of = open_lanes
    warming.Loading = lambda *_, **__: None
    daemon.VoiceDetector = Detector
    room.open_microphone = open_microphone
    daemon.ordinary_words = lambda _weights: frozenset()
    daemon.models.resolve = lambda name, _quantisation, folder, *_: folder / f"{name}.bin"
    return __main__.main()


if __name__ == "__main__":
    sys.exit(main())
