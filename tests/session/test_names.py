"""Names of a conversation: heard again, suggested, expected; with an engine that mishears on purpose."""

import asyncio
from typing import Any

import pytest
from scripted import Engine, detect, heard, silence, speech, terms_of

from ambientd.core.audio import to_pcm16
from ambientd.core.decoding import Heard, Request
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


def says(first: str, again: str) -> Engine:
    """An engine that says one thing, and another when it was told names."""

    def script(request: Request) -> Heard:
        return heard(request, again if "talked about" in request.prompt else first)

    return Engine(script)


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


async def test_a_misheard_name_is_heard_again_and_put_right():
    engine = says("I take own prazole at night", "Omeprazole at knight")

    lines, [shown] = await conversation(engine)

    assert lines == ["I take omeprazole at night"]
    assert [request.prompt.count("omeprazole") for request in engine.requests] == [0, 3]
    assert "suggestions" not in shown
    [told] = shown["corrections"]
    assert (told["word"], told["words"], told["said"], told["suggested"]) == (
        2,
        1,
        "own prazole",
        "omeprazole",
    )


async def test_what_the_second_decode_does_not_confirm_is_suggested_and_not_put_in():
    lines, [shown] = await conversation(says("I take own prazole at night", "I take own prazel at night"))

    assert lines == ["I take own prazole at night"]
    assert "corrections" not in shown
    [told] = shown["suggestions"]
    assert (told["word"], told["words"]) == (2, 2)
    assert (told["said"], told["suggested"]) == ("own prazole", "omeprazole")
    words = shown["segments"][0]["words"]
    assert (told["start"], told["end"]) == (words[2]["start"], words[3]["end"])
    assert 0.8 <= told["score"] <= 1


async def test_a_text_without_suspects_is_decoded_once():
    engine = says("It hurts here and I take lisinopril", "")

    await conversation(engine)

    assert len(engine.requests) == 1


async def test_a_piece_is_never_decoded_more_than_twice():
    loop = " ".join(["own prazole and"] * 12)
    engine = says(loop, loop)

    await conversation(engine)

    assert len(engine.requests) == 2
    assert engine.requests[1].prompt == ""


async def test_what_stands_in_a_line_already_is_not_heard_again():
    engine = says("I take own prazole at night", "I take omeprazole at night")
    names = Names(SEARCH)
    request = Request(speech(1), 0, 16000, "en")
    first = heard(request, "I take own prazole at night")

    text, spent = await names.heard_again(engine, request, first, after=first.words[3].end)

    assert (text, spent, engine.requests) == (first, 0.0, [])


async def test_the_first_text_stands_where_the_second_decode_fails():
    def script(request: Request) -> Heard:
        if "talked about" in request.prompt:
            raise DecodeFailed("too slow")
        return heard(request, "I take own prazole at night")

    lines, _ = await conversation(Engine(script))

    assert lines == ["I take own prazole at night"]


async def test_a_clinics_own_prompt_stays_that_of_the_first_decode():
    engine = says("I take own prazole", "omeprazole")

    await conversation(engine, prompt="Our own style.")

    assert engine.requests[0].prompt == "Our own style."


async def test_names_of_one_session_reach_no_other():
    engine = says("we use zorbannix at night", "we use Zorbanix at night")

    with_own, _ = await conversation(engine, own=["Zorbanix"])
    first = len(engine.requests)
    without, _ = await conversation(engine)

    assert with_own == ["we use Zorbanix at night"]
    assert without == ["we use zorbannix at night"]
    assert all("Zorbanix" not in request.prompt for request in engine.requests[first:])


async def test_names_said_in_one_session_are_not_expected_in_another():
    def script(request: Request) -> Heard:
        return heard(request, "I take lidzoprel" if request.start else "I take lisinopril")

    expected = Engine(script)
    await conversation(expected, pieces=2)
    fresh = Engine(lambda request: heard(request, "I take lidzoprel"))
    await conversation(fresh)

    assert any("lisinopril" in request.prompt for request in expected.requests)
    assert all("lisinopril" not in request.prompt for request in fresh.requests)


@pytest.mark.parametrize("names", [[], ["Zorbanix"]])
async def test_names_given_later_replace_those_given_before(names: list[str]):
    engine = says("we use quixolol at night", "we use Quixolol at night")
    session = Session(
        "visit-2",
        terms_of(search=SEARCH),
        detect=detect,
        decoder=engine,
        ledger=Ledger(),  # type: ignore[arg-type]
    )
    session._names.own(["Quixolol"])
    session._names.own(names)
    request = Request(speech(1), 0, 16000, "en")

    text, _ = await session._names.heard_again(engine, request, heard(request, "we use quixolol at night"))

    assert text.text == "we use quixolol at night"


async def test_an_unknown_language_is_not_found_out_twice():
    def script(request: Request) -> Heard:
        return heard(request, "I take own prazole", language="en")

    engine = Engine(script)
    await conversation(engine, language="auto")

    assert [request.language for request in engine.requests] == ["auto", "en"]
