"""Every word of a conversation is in its final text once, whatever the hearings do differently."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Engine, detect, silence, speech, terms_of
from test_resume import Sheet

from ambientd.core.audio import RATE, to_pcm16
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.numerals import terms
from ambientd.core.record import EndReason, Refinement
from ambientd.core.segmenter import Rules
from ambientd.core.transcript import Gap, Line, Segment, Word
from ambientd.session.reel import Shelf
from ambientd.session.refiner import Refiner
from ambientd.session.session import Session

WORD = RATE // 2
"""Samples of one word of the made-up speaker; each is another, and every seventh is a number."""

ASTRAY = 2 * RATE // 5
"""Samples by which an engine may place a word wrongly."""

TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


class Archive:
    """Keeps the final lines."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.final: list[Line] = []

    async def lines(self, _session: str) -> list[Line]:
        return self._sheet.lines

    async def refined(self, _session: str, lines: Sequence[Line], _model: str) -> bool:
        self.final = list(lines)
        return True

    async def not_refined(self, _session: str, _why: Literal[Refinement.FAILED, Refinement.SKIPPED]) -> bool:
        return True


def hearing(request: Request) -> str:
    """Whose it is."""
    if request.rank is Rank.FINAL:
        return "live"
    return "frame" if request.prompt else "ahead"


def said(number: int) -> str:
    """A word as it is compared."""
    return f"1{number:02}" if number % 7 == 3 else f"word{number}"


def spoken(number: int, chance: random.Random) -> list[str]:
    """A word as it is written this time."""
    if number % 7 != 3 or not 20 <= number < 100 or chance.random() < 0.5:
        return [said(number)]
    digit = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[number % 10]
    return [word for word in ("a", "hundred", "and", TENS[number // 10], digit) if word]


def engine(hasty: str, chance: random.Random) -> Engine:
    """Hears every word whose middle it is given, places it somewhat wrongly, and stops early where it is hasty."""

    def hear(request: Request) -> Heard:
        numbers = [
            number
            for number in range(request.start // WORD, request.end // WORD + 1)
            if request.start <= number * WORD + WORD // 2 < request.end
            and abs(request.audio[number * WORD + WORD // 2 - request.start]) > 0.1
        ]
        if hearing(request) == hasty and len(numbers) > 4 and chance.random() < 0.5:
            numbers = numbers[: -chance.choice((1, 2))]
        words: list[Word] = []
        at = request.start
        for number in numbers:
            texts = spoken(number, chance)
            begin = max(at, number * WORD + chance.randint(-ASTRAY, ASTRAY))
            end = max(begin, number * WORD + WORD)
            bounds = [begin + (end - begin) * part // len(texts) for part in range(len(texts) + 1)]
            words += [Word(text, bounds[part], bounds[part + 1], 0.99) for part, text in enumerate(texts)]
            at = begin
        if not words:
            return Heard((), request.language, 0.0, "scripted")
        text = " ".join(word.text for word in words)
        segment = Segment(text, words[0].start, numbers[-1] * WORD + WORD, tuple(words))
        return Heard((segment,), request.language, 0.0, "scripted")

    return Engine(hear)


async def converse(turns: list[tuple[int, int]], decoder: Engine) -> tuple[list[Line], list[Gap]]:
    """The final lines of a conversation, and what was heard by nobody in either hearing."""
    audio = np.concatenate(
        [part for words, quiet in turns for part in (speech(words / 2), silence(quiet / 2))]
    )
    sheet = Sheet()
    archive = Archive(sheet)
    refiner = Refiner(decoder=decoder, archive=archive, shelf=Shelf(1 << 30), wait=1e6)
    async with asyncio.TaskGroup() as tasks:
        refiner.start(tasks, 1)
        session = Session(
            "room-1",
            replace(terms_of(), rules=Rules()),
            detect=detect,
            decoder=decoder,
            ledger=sheet,
            refiner=refiner,
        )
        running = tasks.create_task(session.run())
        pcm = to_pcm16(audio)
        for at in range(0, len(pcm), 2 * RATE):
            await session.feed(pcm[at : at + 2 * RATE])
        session.end(EndReason.CLIENT)
        await running
        gaps = list(sheet.gaps)
        while refiner.sessions:
            await asyncio.sleep(0)
        await refiner.close()
    return archive.final, gaps


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 30), st.integers(1, 5)), min_size=1, max_size=5),
    st.sampled_from(["live", "ahead", "frame"]),
    st.integers(0, 2**32),
)
async def test_each_word_is_in_the_final_text_once_or_in_a_gap(turns, hasty, seed):
    lines, gaps = await converse(turns, engine(hasty, random.Random(seed)))  # noqa: S311

    expected, at = [], 0
    for words, quiet in turns:
        expected += range(at, at + words)
        at += words + quiet
    found = [term.key for line in lines for term in terms([word.text for word in line.words])]
    for number in set(expected):
        if said(number) not in found:
            assert any(gap.start < (number + 1) * WORD and number * WORD < gap.end for gap in gaps)
            expected.remove(number)
    assert found == [said(number) for number in expected]
