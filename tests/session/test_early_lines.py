"""What is said in front of a pause is a line while the utterance goes on, and nothing is said twice for it."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Engine, detect, silence, speech, terms_of
from test_resume import Sheet

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.decoding import Heard, Rank, Request
from ambientd.core.record import EndReason
from ambientd.core.segmenter import Rules
from ambientd.core.suspects import Index, Search
from ambientd.core.transcript import Segment, Word
from ambientd.core.vocabulary import parse
from ambientd.session.session import Session

WORD = RATE // 2
"""Samples of one word of the made-up speaker, who says ``one``, ``two`` … by the session's clock."""


def say(request: Request) -> Heard:
    """A word for each half second of which a good part is speech; a sentence ends at a pause."""
    words = []
    for number in range(request.start // WORD, request.end // WORD + 1):
        part = request.audio[
            max(0, number * WORD - request.start) : max(0, (number + 1) * WORD - request.start)
        ]
        if np.count_nonzero(part > 0.1) > WORD // 3:
            words.append(Word(f"w{number}", number * WORD, (number + 1) * WORD, 0.99))
    if not words:
        return Heard((), request.language, 0.0, "scripted")
    words[-1] = replace(words[-1], text=words[-1].text + ".")
    text = " ".join(word.text for word in words)
    return Heard(
        (Segment(text, words[0].start, words[-1].end, tuple(words)),), request.language, 0.0, "scripted"
    )


async def converse(audio: Samples, engine: Engine, search: Search | None = None) -> tuple[Sheet, list[Any]]:
    """A session that hears ``audio`` a quarter of a second at a time, with previews, and what it told."""
    sheet = Sheet()
    terms = replace(terms_of(), rules=Rules(), search=search or Search())
    session = Session("room-1", terms, detect=detect, decoder=engine, ledger=sheet)
    listener = session.hub.subscribe(frozenset({"partial"}))
    running = asyncio.create_task(session.run())
    for at in range(0, len(audio), RATE // 4):
        await session.feed(to_pcm16(audio[at : at + RATE // 4]))
        for _ in range(6):
            await asyncio.sleep(0)
    session.end(EndReason.CLIENT)
    await running
    messages = []
    while (message := await listener.next()) is not None:
        messages.append(message)
    return sheet, messages


def told(sheet: Sheet) -> list[str]:
    """The words of all lines, in order."""
    return [word.text.rstrip(".") for line in sheet.lines for word in line.words]


async def test_words_in_front_of_a_pause_are_committed_before_the_utterance_ends():
    engine = Engine(say)
    sheet, messages = await converse(
        np.concatenate((speech(2), silence(2), speech(2), silence(2), speech(3), silence(1))), engine
    )

    assert told(sheet) == [f"w{number}" for number in (*range(4), *range(8, 12), *range(16, 22))]
    assert [line.index for line in sheet.lines] == [0, 1, 2]
    assert sheet.lines[0].end <= 4 * RATE
    assert max(request.start for request in engine.requests) == 0  # the audio stays in front of what follows
    shown = [m["text"] for m in messages if m["type"] == "partial"]
    assert not any("w3" in text and "w8" in text for text in shown)
    behind = messages[[m["type"] for m in messages].index("transcript") + 1]
    assert behind["start_time"] >= sheet.lines[0].end / RATE


async def test_the_last_pass_is_the_line_when_only_silence_followed_it():
    engine = Engine(say)
    sheet, _ = await converse(np.concatenate((speech(8.5), silence(1))), engine)

    assert len(told(sheet)) == 17
    assert [request for request in engine.requests if request.rank is Rank.FINAL] == []


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 24), st.integers(25, 31), st.integers(1, 4), st.integers(25, 31), st.integers(6, 12))
async def test_a_cut_never_parts_what_is_in_a_line_already(first, pause, second, breath, third):
    """A speaker who never stops for long is cut, between pauses that do not end the utterance by themselves."""
    audio = np.concatenate(
        [
            part
            for words, quiet in ((first, pause), (second, breath), (third, 64))
            for part in (speech(words / 2), silence(quiet / 64))
        ]
    )
    sheet, _ = await converse(audio, Engine(say))
    heard = told(sheet)
    assert heard == sorted(set(heard), key=lambda word: int(word[1:]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), min_size=1, max_size=6),
    st.lists(st.booleans(), max_size=40),
)
async def test_whatever_is_committed_early_no_word_is_lost_or_said_twice(turns, hasty):
    """Words and pauses of whole half seconds; some decodes stop early, and leave speech unheard."""
    stops = iter(hasty)

    def engine(request: Request) -> Heard:
        whole = say(request)
        if not next(stops, False) or len(whole.words) < 5:
            return whole
        words = whole.words[:-3]
        text = " ".join(word.text for word in words)
        return replace(whole, segments=(Segment(text, words[0].start, words[-1].end, words),))

    audio = np.concatenate(
        [part for spoken, quiet in turns for part in (speech(spoken / 2), silence(quiet / 2))]
    )
    sheet, _ = await converse(audio, Engine(engine))

    said, at = [], 0
    for spoken, quiet in turns:
        said += [f"w{number}" for number in range(at, at + spoken)]
        at += spoken + quiet
    lost = [(gap.start, gap.end) for gap in sheet.gaps]
    heard = told(sheet)
    assert heard == sorted(set(heard), key=lambda word: int(word[1:]))
    missing = {int(word[1:]) * WORD for word in set(said) - set(heard)}
    assert all(
        any(start < end and start < word + WORD for start, end in lost if word < end) for word in missing
    )
    ends = [0] + [line.end for line in sheet.lines]
    assert all(line.start >= end for line, end in zip(sheet.lines, ends, strict=False))


ORDINARY = frozenset(f"w{number}" for number in range(99))
NAMES = Search((Index(parse("omeprazole")),), ORDINARY)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 14), st.lists(st.tuples(st.integers(3, 10), st.integers(1, 8)), min_size=1, max_size=4))
async def test_a_name_put_right_early_makes_no_word_be_lost_or_said_twice(at, turns):
    """Two words somewhere are misheard, and are one name wherever they are weighed."""

    def engine(request: Request) -> Heard:
        whole = say(request)
        heard = {word.text.rstrip("."): word for word in whole.words}
        if f"w{at}" not in heard or f"w{at + 1}" not in heard:
            return whole
        end = "." if heard[f"w{at + 1}"].text.endswith(".") else ""
        first, second = heard[f"w{at}"], heard[f"w{at + 1}"]
        misheard = [
            replace(first, text="own", probability=0.5),
            replace(second, text="prazole" + end, probability=0.5),
        ]
        words = [word for word in whole.words if word not in (first, second)]
        words = sorted([*words, *misheard], key=lambda word: word.start)
        text = " ".join(word.text for word in words)
        return replace(whole, segments=(Segment(text, words[0].start, words[-1].end, tuple(words)),))

    audio = np.concatenate(
        [part for spoken, quiet in turns for part in (speech(spoken / 2), silence(quiet / 2))]
    )
    sheet, _ = await converse(audio, Engine(engine, certainty=lambda _said, _name: -0.1), NAMES)

    said, place = [], 0
    for spoken, quiet in turns:
        said += range(place, place + spoken)
        place += spoken + quiet
    expected = [f"w{number}" for number in said]
    if at in said and at + 1 in said:
        expected[said.index(at) : said.index(at) + 2] = ["omeprazole"]
    if not sheet.gaps:
        assert [word.lower() for word in told(sheet)] == expected
