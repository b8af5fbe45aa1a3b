"""Who changes the language while he talks is heard in both: live, the second time, from a file, and later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from scripted import Engine, detect, silence, speech, terms_of
from test_later import house
from test_resume import Sheet

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.decoding import AUTO, Heard, Rank, Request
from ambientd.core.prompt import CONVERSATIONS
from ambientd.core.protocol import Wishes
from ambientd.core.record import BOX, Box, EndReason
from ambientd.core.segmenter import Rules
from ambientd.core.transcript import Line, Segment, Word
from ambientd.session.reel import Shelf
from ambientd.session.refiner import Refiner
from ambientd.session.session import Session
from ambientd.session.uploads import Stage, open_uploads

CHANGE = 60 * RATE
"""Where English becomes Spanish."""

TALK = np.concatenate([speech(9), silence(1)] * 6 + [speech(9) * np.float32(1.8), silence(1)] * 6)
"""Two minutes; what is loud is Spanish."""

PART = 30 * RATE
"""As much of it before the change and behind it is enough where every piece goes to the disk."""

HALF = 14 * RATE
"""Half of the longest window, which is heard in the language of most of it."""


def spoken(request: Request) -> str:
    """What is spoken in most of the audio."""
    loud = np.count_nonzero(np.abs(request.audio) > 0.7)
    return "es" if 2 * loud > np.count_nonzero(np.abs(request.audio) > 0.1) else "en"


def listener(request: Request) -> Heard:
    """One that doubts what it hears as another language than it is; a word a second."""
    right = spoken(request)
    language = right if request.language == AUTO else request.language
    sentence = "me duele aquí por la noche" if language == "es" else "it hurts here in the night"
    words = tuple(
        Word(f"{word}{at}", request.start + at * RATE, request.start + at * RATE + RATE // 2, 0.9)
        for at, word in zip(range(len(request.audio) // RATE), cycle(sentence.split()), strict=False)
    )
    segment = Segment(" ".join(word.text for word in words), request.start, request.end, words)
    sense = -0.2 if language == right else -0.9
    return Heard((segment,), language, 0.01, "scripted", len(words), sense)


def translator(request: Request) -> Heard:
    """One that is sure in any language: what it is told is what it hears."""
    return replace(listener(request), log_probability=-0.2)


@dataclass
class Archive:
    """Gives the live lines, and keeps the final ones."""

    sheet: Sheet
    final: list[Line] = field(default_factory=list)

    async def lines(self, _id: str) -> list[Line]:
        return list(self.sheet.lines)

    async def refined(self, _id: str, lines: Sequence[Line], _model: str) -> bool:
        self.final = list(lines)
        return True

    async def not_refined(self, *_: Any) -> bool:
        return True


async def twice(engine: Engine, language: str, *, set_at: int | None = None) -> tuple[list[Line], list[Line]]:
    """The live lines of a session, and its final ones; ``set_at``: where the client sets Spanish."""
    sheet = Sheet()
    archive = Archive(sheet)
    refiner = Refiner(decoder=engine, archive=archive, shelf=Shelf(1 << 30), wait=1e6)
    terms = replace(terms_of(language=language), rules=Rules())
    session = Session("room-1", terms, detect=detect, decoder=engine, ledger=sheet, refiner=refiner)
    running = asyncio.create_task(session.run())
    for at in range(0, len(TALK), RATE):
        if at == set_at:
            while len(sheet.lines) < at // (10 * RATE):
                await asyncio.sleep(0)
            session.configure(Wishes(language="es"))
        await session.feed(to_pcm16(TALK[at : at + RATE]))
    session.end(EndReason.CLIENT)
    await running
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        refiner.start(tasks, 1)
        while refiner.sessions:
            await asyncio.sleep(0.01)
        await refiner.close()
    return sheet.lines, archive.final


@dataclass
class File:
    """A recording of the talk."""

    seconds: float = len(TALK) / RATE
    fault: str = ""

    async def __aiter__(self) -> AsyncIterator[Samples]:
        for at in range(0, len(TALK), RATE):
            yield TALK[at : at + RATE]

    async def close(self) -> None: ...


async def uploaded(engine: Engine, language: str) -> tuple[list[Line], str]:
    """The lines of the talk sent as a file, and the language on its record."""
    sheet = Sheet()

    async def describe(*_: Any) -> None: ...

    async with open_uploads(
        decoder=engine,
        detector=lambda: detect,
        ledger=sheet,
        describe=describe,
        model="scripted",
        box=Box("", ""),
        most=1,
        longest=1000,
    ) as uploads:
        upload = await uploads.submit(File(), language=language, prompt=None, owner=BOX)
        assert upload.task
        await upload.task
    assert upload.stage is Stage.DONE
    return sheet.lines, upload.language


async def transcribed(engine: Engine, language: str, folder: Path) -> tuple[list[Line], str]:
    """The lines of the middle of the talk recorded now and heard later, and the language on its record."""
    async with house(folder, engine) as box:
        session = await box.visit(language=language)
        for at in range(CHANGE - PART, CHANGE + PART, RATE):
            await session.feed(to_pcm16(TALK[at : at + RATE]))
        await box.registry.end("visit-1", EndReason.CLIENT)
        await box.heard()
        return await box.lines.final("visit-1"), (await box.record()).language


def change(lines: Sequence[Line]) -> int:
    """Samples: from where on all is Spanish, with nothing but English before."""
    languages = [line.language for line in lines]
    assert languages == sorted(languages), languages  # first en, then es
    assert {*languages} == {"en", "es"}
    assert all(("duele" in line.text) == (line.language == "es") for line in lines)
    return next(line.start for line in lines if line.language == "es")


async def test_each_stretch_is_heard_again_in_the_language_the_live_text_has_there():
    engine = Engine(translator)
    live, final = await twice(engine, "en", set_at=CHANGE)

    assert abs(change(live) - CHANGE) <= RATE
    assert abs(change(final) - CHANGE) <= HALF
    for request in engine.requests:
        assert request.prompt in {"", CONVERSATIONS.get(request.language)}
    prompted = {request.language for request in engine.requests if request.prompt}
    assert prompted == {"en"}


async def test_words_that_live_text_missed_before_it_noticed_the_change_are_heard_the_second_time():
    live, final = await twice(Engine(listener), AUTO)

    assert change(live) > CHANGE + 15 * RATE  # two strange pieces
    assert abs(change(final) - CHANGE) <= HALF


async def test_a_language_that_was_set_is_never_changed(tmp_path: Path):
    engine, language = Engine(listener), "en"
    live, final = await twice(engine, language)
    from_file, noted = await uploaded(engine, language)
    later, noted_later = await transcribed(engine, language, tmp_path)

    assert {line.language for lines in (live, final, from_file, later) for line in lines} == {language}
    assert {request.language for request in engine.requests} == {noted, noted_later} == {language}


async def test_a_recording_changes_its_language_where_the_talk_does(tmp_path: Path):
    engine = Engine(listener)
    from_file, noted = await uploaded(engine, AUTO)
    later, noted_later = await transcribed(engine, AUTO, tmp_path)

    assert abs(change(from_file) - CHANGE) <= HALF
    assert abs(change(later) - PART) <= HALF
    assert {noted, noted_later} <= {"en", "es"}
    # Asked at the beginning and where it changes; all else follows.
    assert sum(request.language == AUTO for request in engine.requests) <= 2 * 4
    assert {request.rank for request in engine.requests} == {Rank.BACKGROUND}


async def test_an_english_recording_is_asked_for_its_language_once():
    engine = Engine(lambda request: replace(listener(request), language="en", log_probability=-0.2))
    lines, noted = await uploaded(engine, AUTO)

    assert {line.language for line in lines} == {noted} == {"en"}
    assert sum(request.language == AUTO for request in engine.requests) == 1
