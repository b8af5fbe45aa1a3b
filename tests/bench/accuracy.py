"""Word errors and cost of what the daemon commits, beside a plain offline decode and the seed's fixed chunks.

The committed text comes out of the product's own session, on one thread and as fast as it can: the same pieces and the
same decodes as in real time, without the waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import _pywhispercpp as cpp
import numpy as np

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.decoding import Heard, Request
from ambientd.core.record import EndReason
from ambientd.core.segmenter import Rules
from ambientd.core.suspects import Search
from ambientd.core.transcript import Gap, Line
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper
from ambientd.session.reel import Shelf
from ambientd.session.refiner import Refiner
from ambientd.session.session import Session
from ambientd.session.terms import Terms
from bench.recordings import Recording
from bench.score import Score, score


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of decoding made of one recording."""

    name: str
    way: str
    score: Score
    cpu: float
    """CPU seconds per second of audio."""
    text: str


class Inline:
    """The engine without lanes: decodes where it is asked to."""

    def __init__(self, whisper: Whisper) -> None:
        self._whisper = whisper
        self.idle = True

    async def decode(self, request: Request) -> Heard:
        return self._whisper.hear(request)


class Sheet:
    """A ledger that only keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.gaps: list[Gap] = []

    async def create(self, *_: object, **__: object) -> None:
        """Nothing to open."""

    async def append_line(self, _session: str, line: Line, _metrics: object) -> None:
        self.lines.append(line)

    async def append_gap(self, _session: str, gap: Gap, _metrics: object) -> None:
        self.gaps.append(gap)

    async def finalise(self, *_: object, **__: object) -> None:
        """Nothing to close."""


class Again:
    """An archive that only keeps the lines of the second hearing."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.final: list[Line] = []

    async def lines(self, _session: str) -> list[Line]:
        return self._sheet.lines

    async def refined(self, _session: str, lines: Sequence[Line], _model: str) -> bool:
        self.final = list(lines)
        return True

    async def not_refined(self, _session: str, _why: object) -> bool:
        self.final = self._sheet.lines
        return True


def committed(
    whisper: Whisper,
    detector: VoiceDetector,
    rules: Rules | None = None,
    prompt: str | None = None,
    search: Search | None = None,
) -> Callable[[Samples], str]:
    """The way of the daemon: a session from its first frame to its last line."""

    def way(audio: Samples) -> str:
        async def listen() -> str:
            sheet = Sheet()
            session = Session(
                "bench",
                Terms(rules=rules or Rules(), language="en", prompt=prompt, search=search or Search()),
                detect=detector.stream(),
                decoder=Inline(whisper),
                ledger=sheet,
            )
            running = asyncio.create_task(session.run())
            pcm = to_pcm16(audio)
            for at in range(0, len(pcm), 32_000):
                await session.feed(pcm[at : at + 32_000])
            session.end(EndReason.CLIENT)
            await running
            return " ".join(line.text for line in sheet.lines)

        return asyncio.run(listen())

    return way


def refined(whisper: Whisper, detector: VoiceDetector) -> Callable[[Samples], str]:
    """The way of the daemon when it has time: the session, and then its second hearing."""

    def way(audio: Samples) -> str:
        async def listen() -> str:
            sheet, decoder = Sheet(), Inline(whisper)
            archive = Again(sheet)
            refiner = Refiner(decoder=decoder, archive=archive, shelf=Shelf(1 << 30), wait=1e6)
            async with asyncio.TaskGroup() as tasks:
                refiner.start(tasks, 1)
                session = Session(
                    "bench",
                    Terms(rules=Rules(), language="en"),
                    detect=detector.stream(),
                    decoder=decoder,
                    ledger=sheet,
                    refiner=refiner,
                )
                running = asyncio.create_task(session.run())
                pcm = to_pcm16(audio)
                for at in range(0, len(pcm), 32_000):
                    await session.feed(pcm[at : at + 32_000])
                session.end(EndReason.CLIENT)
                await running
                while refiner.sessions:
                    await asyncio.sleep(0.05)
                await refiner.close()
            return " ".join(line.text for line in archive.final)

        return asyncio.run(listen())

    return way


def plain(context: object, audio: Samples, **options: object) -> str:
    """whisper.cpp as it comes: greedy, its own 30 s windows and fallback, no prompt."""
    parameters = cpp.whisper_full_default_params(cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
    parameters.n_threads = 1
    parameters.print_progress = parameters.print_realtime = parameters.print_timestamps = False
    parameters.language = "en"
    for name, value in options.items():
        setattr(parameters, name, value)
    assert cpp.whisper_full(context, parameters, audio, len(audio)) == 0
    texts = [
        cpp.whisper_full_get_segment_text(context, index).decode("utf-8", "replace").strip()
        for index in range(cpp.whisper_full_n_segments(context))
    ]
    return " ".join(texts)


def seed(context: object, audio: Samples) -> str:
    """The seed's scheme to the letter: chunks of 2.0 s, 0.5 s overlap, texts joined."""
    step, length = round(1.5 * RATE), 2 * RATE
    chunks = [np.ascontiguousarray(audio[at : at + length]) for at in range(0, len(audio), step)]
    return " ".join(plain(context, chunk, no_context=True) for chunk in chunks if len(chunk) > RATE // 4)


def load_plain(path: Path) -> object:
    """A bare whisper.cpp context, flash attention off as in the daemon."""
    options = cpp.whisper_context_default_params()
    options.use_gpu = options.flash_attn = False
    return cpp.whisper_init_from_file_with_params(str(path), options)


def run(way: str, decode: Callable[[Samples], str], recording: Recording) -> Outcome:
    """Decodes one recording one way, and counts errors and CPU."""
    began = time.process_time()
    text = decode(recording.audio)
    cpu = (time.process_time() - began) / (len(recording.audio) / RATE)
    return Outcome(recording.name, way, score(recording.reference, text), cpu, text)
