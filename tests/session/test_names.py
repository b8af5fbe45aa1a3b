"""Names of a conversation: put in, suggested, expected; with an engine that mishears on purpose."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from scripted import Engine, detect, heard, silence, speech, terms_of

from ambientd.core.audio import to_pcm16
from ambientd.core.decoding import Heard, Request, Weighed
from ambientd.core.marks import corrections
from ambientd.core.record import EndReason
from ambientd.core.suspects import Index, Search
from ambientd.core.vocabulary import parse
from ambientd.errors import DecodeFailed
from ambientd.session.names import Names
from ambientd.session.session import Session

ORDINARY = frozenset(["i", "take", "it", "at", "night", "and", "the", "it", "hurts", "here", "we", "use"])
SEARCH = Search((Index(parse("omeprazole\nlisinopril\napixaban")),), ORDINARY)


class Ledger:
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def append_line(self, _session: str, line: Any, _metrics: Any) -> None:
        self.lines.append(line.text)

    async def append_gap(self, *_: Any) -> None: ...

    async def finalise(self, *_: Any, **__: Any) -> None: ...


def says(text: str, *, certainty: float = -0.1) -> Engine:
    """An engine that says this, and is so certain of names."""
    return Engine(lambda request: heard(request, text), certainty=lambda _said, _name: certainty)


async def conversation(
    engine: Engine, pieces: int = 1, own: list[str] | None = None, **terms: Any
) -> tuple[list[str], list[Any]]:
    """The lines of a conversation, and the messages of its transcripts."""
    ledger = Ledger()
    session = Session(
        "visit-1",
        terms_of(**{"search": SEARCH, **terms}),
        detect=detect,
        decoder=engine,
        ledger=ledger,  # type: ignore[arg-type]
    )
    if own is not None:
        session._names.own(own)
    listener = session.hub.subscribe(frozenset())
    task = asyncio.create_task(session.run())
    for _ in range(pieces):
        await session.feed(to_pcm16(speech(2)))
        await session.feed(to_pcm16(silence(1)))
    session.end(EndReason.CLIENT)
    messages = []
    while (message := await asyncio.wait_for(listener.next(), 5)) is not None:
        messages.append(message)
    await task
    return ledger.lines, [message for message in messages if message["type"] == "transcript"]


async def test_a_misheard_name_is_put_right_and_told():
    engine = says("I take own prazole at night")

    lines, [shown] = await conversation(engine)

    assert lines == ["I take omeprazole at night"]
    assert engine.weighed == ["omeprazole"]
    assert "suggestions" not in shown
    [told] = shown["corrections"]
    assert (told["word"], told["words"], told["said"], told["suggested"]) == (
        2,
        1,
        "own prazole",
        "omeprazole",
    )


async def test_what_the_audio_does_not_confirm_is_suggested_and_not_put_in():
    lines, [shown] = await conversation(says("I take own prazole at night", certainty=-9.0))

    assert lines == ["I take own prazole at night"]
    assert "corrections" not in shown
    [told] = shown["suggestions"]
    assert (told["word"], told["words"]) == (2, 2)
    assert (told["said"], told["suggested"]) == ("own prazole", "omeprazole")
    words = shown["segments"][0]["words"]
    assert (told["start"], told["end"]) == (words[2]["start"], words[3]["end"])
    assert 0.8 <= told["score"] <= 1


async def test_where_no_name_is_to_be_put_in_all_are_suggested():
    engine = says("I take own prazole at night", certainty=0.0)

    lines, [shown] = await conversation(engine, put_in=False)

    assert lines == ["I take own prazole at night"]
    assert engine.weighed == []
    assert "corrections" not in shown
    assert [told["suggested"] for told in shown["suggestions"]] == ["omeprazole"]


async def test_a_text_without_suspects_is_not_weighed():
    engine = says("It hurts here and I take lisinopril")

    await conversation(engine)

    assert engine.weighed == []


async def test_names_cost_no_second_decode():
    engine = says("I take own prazole at night")

    await conversation(engine)

    assert len(engine.requests) == 1


async def test_a_text_that_loops_gets_no_names():
    engine = says(" ".join(["own prazole and"] * 12))

    lines, _ = await conversation(engine)

    assert len(engine.requests) == 2
    assert engine.requests[1].suspected is None
    assert not any("omeprazole" in line for line in lines)


async def test_what_stands_in_a_line_already_is_no_suspect():
    engine = says("")
    names = Names(SEARCH)
    request = Request(speech(1), 0, 16000, "en")
    first = heard(request, "I take own prazole at night")

    text, spent = await names.weighed(engine, request, first, after=first.words[3].end)

    assert (text, spent, engine.requests) == (first, 0.0, [])


async def test_what_is_known_to_be_said_is_weighed_without_being_decoded():
    engine = says("")
    names = Names(SEARCH)
    request = Request(speech(1), 0, 16000, "en")
    first = heard(request, "I take own prazole at night")

    text, spent = await names.weighed(engine, request, first)

    assert names.put_in(text).text == "I take omeprazole at night"
    assert spent == first.seconds
    assert [request.text for request in engine.requests] == [first]


async def test_the_text_stands_where_the_weighing_fails():
    class Failing(Engine):
        async def decode(self, request: Request) -> Heard:
            raise DecodeFailed("too slow")

    names = Names(SEARCH)
    request = Request(speech(1), 0, 16000, "en")
    first = heard(request, "I take own prazole at night")

    assert await names.weighed(Failing(), request, first) == (first, 0.0)


async def test_a_clinics_own_prompt_stays_that_of_the_decode():
    engine = says("I take own prazole")

    await conversation(engine, prompt="Our own style.")

    assert [request.prompt for request in engine.requests] == ["Our own style."]


async def test_names_of_one_session_reach_no_other():
    engine = says("we use zorbannix at night")

    with_own, _ = await conversation(engine, own=["Zorbanix"])
    engine.weighed.clear()
    without, _ = await conversation(engine)

    assert with_own == ["we use Zorbanix at night"]
    assert without == ["we use zorbannix at night"]
    assert engine.weighed == []


async def test_names_said_in_one_session_are_not_expected_in_another():
    def script(request: Request) -> Heard:
        return heard(request, "I take lidzoprel" if request.start else "I take lisinopril")

    expected = Engine(script)
    await conversation(expected, pieces=2)
    fresh = Engine(lambda request: heard(request, "I take lidzoprel"))
    await conversation(fresh)

    assert expected.weighed == ["lisinopril"]
    assert fresh.weighed == []


@pytest.mark.parametrize("names", [[], ["Zorbanix"]])
async def test_names_given_later_replace_those_given_before(names: list[str]):
    engine = says("")
    known = Names(SEARCH)
    known.own(["Quixolol"])
    known.own(names)
    request = Request(speech(1), 0, 16000, "en")

    text, _ = await known.weighed(engine, request, heard(request, "we use quixolol at night"))

    assert known.put_in(text).text == "we use quixolol at night"
    assert engine.requests == []


async def test_every_name_of_a_long_visit_keeps_its_mark():
    names = Names(SEARCH)
    request = Request(speech(1), 0, 16000, "en")
    said = heard(request, "I take own prazole at night")
    put = Weighed(said.words[2:4], "omeprazole", -0.1)

    written = [names.put_in(replace(said, weighed=(put,))) for _ in range(70)]

    for text in written:
        [mark] = corrections(text.words)
        assert (mark.first, mark.last, mark.said, mark.suggested) == (2, 3, "own prazole", "omeprazole")


async def test_an_unknown_language_is_not_found_out_twice():
    engine = Engine(lambda request: heard(request, "I take own prazole", language="en"))

    await conversation(engine, language="auto")

    assert [request.language for request in engine.requests] == ["auto"]
