"""One session heard a second time, with a scripted engine."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Engine, detect, heard, silence, speech

from ambientd.core.audio import RATE, Samples
from ambientd.core.calibration import calibrated, with_calibrated_words
from ambientd.core.decoding import Heard, Rank, Request, Weighed
from ambientd.core.final import joined
from ambientd.core.naming import confirmed, with_names
from ambientd.core.segmenter import FRAME
from ambientd.core.suspects import Index, Search
from ambientd.core.tongue import Style
from ambientd.core.transcript import Line, Segment, Word
from ambientd.core.vocabulary import parse
from ambientd.core.windows import Cuts
from ambientd.errors import DecodeFailed
from ambientd.session.draft import Draft
from ambientd.session.inbox import Hole
from ambientd.session.names import Names
from ambientd.session.reel import BLOCK_BYTES, Reel, Shelf

CUTS = Cuts(lead=4 * FRAME, least=2 * RATE, most=4 * RATE, patience=RATE)
OTHER = Cuts(lead=4 * FRAME, least=RATE, most=3 * RATE, patience=RATE)


def draft_of(reel: Reel, *, live: bool = False) -> Draft:
    return Draft("room-1", reel, style=lambda: Style("en", "Well."), live=live, cuts=(CUTS, OTHER, OTHER))


def give(draft: Draft, audio: Samples) -> None:
    """As a session does: audio first, then the judgement of each whole frame."""
    draft.receive(audio)
    judged = (draft.reel.judged_end - draft.reel.origin) // FRAME
    for frame in range(judged, (draft.reel.end - draft.reel.origin) // FRAME):
        start = draft.reel.origin + frame * FRAME
        kept = start >= draft.reel.start
        draft.reel.judge(detect(draft.reel.audio(start, start + FRAME)) if kept else 0.0)


async def hear_all(draft: Draft, engine: Engine) -> None:
    while (window := draft.next_piece()) is not None:
        await draft.hear(engine, *window)


async def test_names_are_put_right_in_every_way_of_hearing_or_they_would_be_voted_down():
    engine = Engine(
        lambda request: heard(request, "I take own prazole in the night"), certainty=lambda _said, _name: -0.1
    )
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    draft.expect(Names(Search((Index(parse("omeprazole")),), frozenset(["i", "take", "in", "the", "night"]))))
    give(draft, speech(3))
    draft.complete = True
    await hear_all(draft, engine)

    assert {line.text for line in draft.lines} == {"I take omeprazole in the night"}
    assert len(engine.weighed) == len(engine.requests)
    assert {request.rank for request in engine.requests} == {Rank.BACKGROUND}


async def test_the_final_lines_mark_names_and_tell_calibrated_probabilities():
    engine = Engine(lambda request: heard(request, "I take own prazole in the night"))
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    draft.expect(Names(Search((Index(parse("omeprazole")),), frozenset(["i", "take", "in", "the", "night"]))))
    give(draft, speech(3))
    draft.complete = True
    await hear_all(draft, engine)

    [line] = await draft.final([])

    [mark] = line.suggestions
    assert (mark.first, mark.last, mark.suggested) == (2, 4, "omeprazole")
    raw = [word.probability for word in draft.lines[0].words]
    assert [word.probability for word in line.words] == [calibrated(each) for each in raw]
    assert line.confidence == sum(word.probability for word in line.words) / len(line.words)


async def test_a_name_that_was_put_in_is_marked_in_the_final_text_wherever_it_comes_from():
    """The frame does not hear the name, and the vote takes it from the others: one of them live, at other times."""
    text = "I take own prazole in the night"

    def certainty(said: str, _name: str) -> float:
        return -9.0 if said == "only prazole" else -0.1

    def script(request: Request) -> Heard:
        # The frame has the prompt.
        return heard(request, text.replace("own", "only") if request.prompt else text)

    engine = Engine(script, certainty=certainty)
    names = Names(Search((Index(parse("omeprazole")),), frozenset(["i", "take", "in", "the", "night"])))
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    draft.expect(names)
    said = heard(Request(speech(3), 400, RATE, "en"), text)
    live = names.put_in(replace(said, weighed=(Weighed(said.words[2:4], "omeprazole", -0.1),)))
    segments = tuple(segment.not_before(700) for segment in live.segments)
    draft.committed(
        Line(0, live.text, 700, 3 * RATE, with_calibrated_words(segments), 0.9, "en", "scripted", 1.0)
    )
    give(draft, speech(3))
    draft.complete = True
    await hear_all(draft, engine)

    [line] = await draft.final([])

    assert line.text == "I take omeprazole in the night"
    [mark] = line.corrections
    assert (mark.first, mark.last, mark.said, mark.suggested) == (2, 3, "own prazole", "omeprazole")


async def test_half_a_name_that_stands_of_the_live_text_is_marked():
    said = heard(Request(speech(3), 0, RATE, "en"), "It was helicopter pylori")
    put = Weighed(said.words[2:], "Helicobacter pylori", -0.1)
    live = with_names(said, confirmed(replace(said, weighed=(put,))))
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    give(draft, speech(3))
    draft.keep(live.words[-1].start)
    line = Line(0, live.text, 0, 3 * RATE, live.segments, 0.9, "en", "scripted", 1.0)

    [kept] = await draft.final([line])

    assert kept.text == "It was Helicobacter"
    [mark] = kept.corrections
    assert (mark.first, mark.last, mark.said) == (2, 3, "helicopter pylori")


async def test_it_is_heard_in_the_background_with_the_sessions_prompt_and_without():
    engine = Engine()
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    give(draft, speech(10))
    draft.complete = True
    await hear_all(draft, engine)
    assert {request.rank for request in engine.requests} == {Rank.BACKGROUND}
    for prompt in ("", "Well."):
        starts = [request.start for request in engine.requests if request.prompt == prompt]
        assert starts == sorted(starts)
        assert len(starts) > 1
    assert [line.index for line in draft.lines] == list(range(len(draft.lines)))
    assert draft.finished
    assert not draft.kept_samples


async def test_what_two_of_three_hearings_say_is_written():
    def script(request: Request) -> Heard:
        return heard(request, "I have chest pain." if request.prompt else "I had chest pain.")

    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    give(draft, speech(2))
    live = heard(Request(speech(2), 0, 0, "en"), "I had chest pains.").segments
    draft.committed(Line(0, "", 0, 2 * RATE, live, 0.9, "en", "scripted", 1.0))
    draft.complete = True
    await hear_all(draft, Engine(script))
    assert [line.text for line in draft.lines] == ["I had chest pain."]


async def test_where_others_were_lost_they_do_not_take_away_what_was_heard():
    """Both others stop early, and leave out the rest of the clause when they hear it again."""
    whole = ["My", "throat", "hurts", "when", "I", "eat", "and", "I", "feel", "so", "tired"]

    def placed(request: Request, *kept: int) -> Heard:
        words = tuple(Word(whole[at], at * RATE // 2, (at + 1) * RATE // 2, 0.9) for at in kept)
        text = " ".join(word.text for word in words)
        return Heard((Segment(text, words[0].start, words[-1].end, words),), "en", 0.0, "scripted")

    def script(request: Request) -> Heard:
        places = [at for at in range(len(whole)) if request.start <= at * RATE // 2 < request.end]
        return placed(request, *(at for at in places if request.prompt or at not in {4, 5}))

    wide = Cuts(lead=4 * FRAME, least=2 * RATE, most=8 * RATE, patience=RATE)
    draft = Draft(
        "room-1",
        Shelf(1 << 30).reel(),
        style=lambda: Style("en", "Well."),
        live=True,
        cuts=(wide, OTHER, OTHER),
    )
    give(draft, speech(5.5))
    for index, kept in enumerate(([0, 1, 2, 3], [6, 7, 8, 9, 10])):
        live = placed(Request(speech(1), 0, 0, "en"), *kept)
        end = (2 * RATE, 6 * RATE)[index]
        draft.committed(
            Line(index, live.text, index * 2 * RATE, end, live.segments, 0.9, "en", "scripted", 1.0)
        )
    draft.complete = True
    await hear_all(draft, Engine(script))
    assert " ".join(line.text for line in draft.lines).split() == whole


async def test_without_live_text_a_third_hearing_has_its_vote():
    def script(request: Request) -> Heard:
        if len(request.audio) > 3 * RATE:
            return heard(request, "I have chest pain today doctor")
        return heard(request, "I had chest pain today doctor")

    draft = draft_of(Shelf(1 << 30).reel())
    give(draft, speech(3.5))
    draft.complete = True
    engine = Engine(script)
    await hear_all(draft, engine)
    assert len({request.prompt for request in engine.requests}) == 2
    assert "had" in draft.lines[0].text


async def test_a_window_waits_for_its_live_text_while_the_session_goes_on():
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    engine = Engine()
    give(draft, speech(20))
    await hear_all(draft, engine)
    assert not draft.lines
    give(draft, speech(5))
    await hear_all(draft, engine)
    assert draft.lines


async def test_audio_is_destroyed_as_soon_as_it_has_been_heard():
    draft = draft_of(Shelf(1 << 30).reel())
    give(draft, speech(30))
    before = draft.reel.size
    await hear_all(draft, Engine())
    assert draft.reel.start == draft.at > 25 * RATE
    assert draft.reel.size < before / 2


async def test_where_the_decode_fails_the_live_words_are_kept():
    def fail(_request: Request) -> Heard:
        raise DecodeFailed("no")

    draft = draft_of(Shelf(1 << 30).reel())
    give(draft, speech(6))
    draft.complete = True
    await hear_all(draft, Engine(fail))
    assert draft.lines == []
    assert draft.kept_samples == draft.reel.end


async def test_what_the_text_does_not_reach_is_heard_again_with_what_follows():
    def early(request: Request) -> Heard:
        whole = heard(request, "It hurts here when I walk")
        if request.start or not request.prompt:
            return whole
        return replace(whole, segments=(replace(whole.segments[0], end=request.start + 11 * RATE // 10),))

    engine = Engine(early)
    draft = draft_of(Shelf(1 << 30).reel(), live=True)
    give(draft, speech(8))
    draft.complete = True
    await hear_all(draft, engine)
    first, second = [request for request in engine.requests if request.prompt][:2]
    assert second.start < first.end
    assert abs(second.start - RATE) < RATE // 4


async def test_audio_that_had_to_give_way_keeps_its_live_words_up_to_a_breath():
    shelf = Shelf(2 * BLOCK_BYTES)
    draft = draft_of(shelf.reel())
    give(draft, np.concatenate([speech(9), silence(0.5), speech(20)]))
    draft.complete = True
    engine = Engine()
    await hear_all(draft, engine)
    assert shelf.lost > 0
    assert draft.kept_samples >= shelf.lost
    assert engine.requests[0].start >= shelf.lost
    assert draft.finished


async def test_a_session_that_goes_on_after_a_crash_keeps_its_live_words_before_it():
    draft = draft_of(Shelf(1 << 30).reel(50_000))
    give(draft, speech(6))
    draft.complete = True
    await hear_all(draft, Engine())
    assert joined(draft.kept) == [(0, 50_000)]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(st.floats(0.1, 9), st.floats(0.1, 3).map(lambda n: -n), st.integers(1, 30_000).map(Hole)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 2**32),
    st.sampled_from([1 << 30, 3 * BLOCK_BYTES]),
)
async def test_every_sample_is_heard_or_silent_or_keeps_its_live_words(parts, seed, memory):
    chance = random.Random(seed)  # noqa: S311

    def script(request: Request) -> Heard:
        match chance.choice(["well", "well", "well", "fails", "early", "mute", "loop"]):
            case "fails":
                raise DecodeFailed("no")
            case "mute":
                return heard(request, "")
            case "loop":
                return heard(request, "no more " * 30)
            case "early":
                answer = heard(request, "It hurts here when I walk")
                end = request.start + chance.randrange(1, len(request.audio))
                return replace(answer, segments=(replace(answer.segments[0], end=end),))
            case _:
                return heard(request, "It hurts here when I walk")

    draft = draft_of(Shelf(memory).reel())
    engine = Engine(script)
    for part in parts:
        if isinstance(part, Hole):
            draft.receive(part)
        else:
            give(draft, speech(part) if part > 0 else silence(-part))
        if chance.random() < 0.5:
            await hear_all(draft, engine)
    draft.complete = True
    await hear_all(draft, engine)
    assert draft.finished
    dealt = draft.dealt
    assert sum(end - start for start, end in dealt) == draft.reel.end
    assert joined(dealt) == ([(0, draft.reel.end)] if draft.reel.end else [])
    for before, after in zip(draft.lines, draft.lines[1:], strict=False):
        assert before.end <= after.start
    assert len(engine.requests) <= 12 * (draft.reel.end // RATE + 2)  # all three ways, each at worst thrice
