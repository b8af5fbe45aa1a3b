"""The product's own session, on one thread and as fast as it can, as it comes: vocabulary and second hearing included.

The same pieces and the same decodes as in real time, without the waiting.  The second hearing begins when the session
has ended, so that the processor's time of each is known.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from running import MODELS

from ambientd.core.audio import Samples, to_pcm16
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.record import EndReason
from ambientd.core.segmenter import Rules
from ambientd.core.suspects import Index, Search
from ambientd.core.transcript import Gap, Line
from ambientd.core.vocabulary import Vocabulary, parse
from ambientd.engine import models
from ambientd.engine.ordinary import ordinary_words
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper
from ambientd.session.hub import Listener
from ambientd.session.reel import Shelf
from ambientd.session.refiner import Refiner
from ambientd.session.session import Session
from ambientd.session.terms import Terms
from bench.recordings import ROOT

BEAT: Final = 32_000
"""Bytes given to the session at once: a second."""

YIELDS: Final = 20
"""Times the session may go on between two of them: it shows what it can before more comes in."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the box made of one recording."""

    live: Sequence[Line]
    """As committed."""
    final: Sequence[Line]
    """As heard a second time; the live ones where it was not."""
    live_cpu: float
    """Seconds of the processor."""
    final_cpu: float
    """The same for the second hearing, on top."""
    decodes: Counter[Rank]
    shown: int
    """Words in partials and lines, as a reader was told them."""


def text(lines: Sequence[Line]) -> str:
    """The words of all lines."""
    return " ".join(line.text for line in lines)


class Inline:
    """The engine without lanes: decodes where it is asked to."""

    def __init__(self, whisper: Whisper) -> None:
        self._whisper = whisper
        self.idle = True
        self.decodes: Counter[Rank] = Counter()

    async def decode(self, request: Request) -> Heard:
        if request.text is None:
            self.decodes[request.rank] += 1
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
        self.final: Sequence[Line] = sheet.lines

    async def lines(self, _session: str) -> list[Line]:
        return self._sheet.lines

    async def refined(self, _session: str, lines: Sequence[Line], _model: str) -> bool:
        self.final = list(lines)
        return True

    async def not_refined(self, _session: str, _why: object) -> bool:
        return True


class Product:
    """One thread, base q8_0, the rules and the vocabulary that the box comes with."""

    def __init__(self) -> None:
        self.path = models.resolve("base", "q8_0", MODELS)
        self.whisper = Whisper(self.path, name=self.path.stem, threads=1)
        self.vocabulary: Vocabulary = parse((ROOT / "config" / "vocabulary.txt").read_text("utf-8"))
        self._detector = VoiceDetector(models.resolve("silero-vad", "", MODELS))
        self._search = Search((Index(self.vocabulary),), ordinary_words(self.path))

    def hear(self, audio: Samples, *, vocabulary: bool = True, watched: bool = False) -> Told:
        """A session from its first frame to its last line, and its second hearing.

        ``watched``: somebody looks at the words as they are spoken, so that open utterances are decoded too.
        """
        return asyncio.run(self._hear(audio, self._search if vocabulary else Search(), watched=watched))

    async def _hear(self, audio: Samples, search: Search, *, watched: bool) -> Told:
        sheet, decoder = Sheet(), Inline(self.whisper)
        archive = Again(sheet)
        refiner = Refiner(decoder=decoder, archive=archive, shelf=Shelf(1 << 30), wait=1e6)
        began = time.process_time()
        session = Session(
            "bench",
            Terms(rules=Rules(), language="en", search=search),
            detect=self._detector.stream(),
            decoder=decoder,
            ledger=sheet,
            refiner=refiner,
        )
        reading = (
            asyncio.create_task(_read(session.hub.subscribe(frozenset({"partial"})))) if watched else None
        )
        running = asyncio.create_task(session.run())
        pcm = to_pcm16(audio)
        for at in range(0, len(pcm), BEAT):
            await session.feed(pcm[at : at + BEAT])
            for _ in range(YIELDS):
                await asyncio.sleep(0)
        session.end(EndReason.CLIENT)
        await running
        live = time.process_time() - began
        async with asyncio.TaskGroup() as tasks:
            refiner.start(tasks, 1)
            while refiner.sessions:
                await asyncio.sleep(0.02)
            await refiner.close()
        final = time.process_time() - began - live
        shown = await asyncio.wait_for(reading, 10) if reading else 0
        return Told(sheet.lines, archive.final, live, final, decoder.decodes, shown)


async def _read(listener: Listener) -> int:
    """Words told until the session says no more."""
    words = 0
    while message := await listener.next():
        if message["type"] in {"partial", "transcript"}:
            words += len(message["text"].split())
    return words
