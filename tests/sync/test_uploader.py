"""What is in the outbox reaches the centre exactly once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from boxes import Box, line, say, tell
from central.faults import Fault

from ambientd.core.delivery import AnswersStatus, Part, UploadStatus
from ambientd.core.record import Consent, Details
from ambientd.core.retry import Backoff
from ambientd.core.transcript import Segment, Suggestion, Word
from ambientd.store.parcels import Parcel
from ambientd.store.sessions import Sessions
from ambientd.sync.breaker import Breaker
from ambientd.sync.profiles import Claimed, Receipt
from ambientd.sync.profiles.ambientai import AmbientAI

PATHS = {"ambientai": "/api/v1/text-processing", "ingest": "/api/v1/boxes"}


async def test_a_conversation_arrives_as_it_was_said(box: Box) -> None:
    await say(box.database, "s", "Guten Tag, Frau Müller.", "Where does it hurt?")
    await box.until_done()
    item = (await box.items())["s"]

    assert await box.received() == {"Guten Tag, Frau Müller. Where does it hurt?": 1}
    assert item.status is UploadStatus.DELIVERED
    assert item.attempts == 1
    assert item.delivered_at is not None


@pytest.mark.parametrize("fault", Fault)
async def test_one_fault_neither_loses_nor_doubles(box: Box, fault: Fault) -> None:
    await say(box.database, "a", "The first conversation.")
    await say(box.database, "b", "The second one.")
    box.centre.faults.order(fault, path=PATHS[box.kind])
    await box.until_done()

    assert box.centre.faults.seen[fault] == 1
    assert await box.received() == {"The first conversation.": 1, "The second one.": 1}


@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.HANG_AFTER, Fault.CUT_AFTER, Fault.NOT_JSON])
async def test_faults_of_the_search_do_not_make_it_send_again(box: Box, fault: Fault) -> None:
    """The call's outcome is unknown, and the look after it fails too."""
    await say(box.database, "a", "The first conversation.")
    box.centre.faults.order(Fault.CUT_AFTER, path=PATHS[box.kind])
    box.centre.faults.order(fault, path="/api/v1/uploads", times=2)
    await box.until_done()

    assert await box.received() == {"The first conversation.": 1}


async def test_equal_conversations_are_told_apart(box: Box) -> None:
    """One of them was received by a call that seemed to fail: it must not be taken for the other."""
    for name in "abc":
        await say(box.database, name, "Hello.")
    box.centre.faults.order(Fault.CUT_AFTER, path=PATHS[box.kind], times=2)
    box.centre.faults.order(Fault.CUT_BEFORE, path=PATHS[box.kind])
    await box.until_done()

    assert sum((await box.received()).values()) == 3
    ids = [part.upload_id for item in (await box.items()).values() for part in item.parts]
    if box.kind == "ambientai":
        assert len(set(ids)) == 3


async def test_one_row_that_always_fails_holds_up_nobody_and_is_parked(box: Box) -> None:
    if box.kind == "ingest":
        pytest.skip("the centre's poison is in text-processing")
    box.centre.faults.poison = "arsenic"
    await say(box.database, "bad", "A grain of arsenic.")
    await say(box.database, "good", "Good morning.")
    await box.until_done()
    items = await box.items()

    assert items["good"].status is UploadStatus.DELIVERED
    assert items["bad"].status is UploadStatus.PARKED
    assert items["bad"].last_error == "the central server answered with status 500 5 times in a row."

    box.centre.faults.poison = ""
    await box.outbox.again(items["bad"].id, items["bad"].created_at)
    await box.until_done()
    assert (await box.received())["A grain of arsenic."] == 1


async def test_a_refusal_parks_the_row_and_goes_on(box: Box) -> None:
    """A client error is a matter for a person."""
    await say(box.database, "long", "x" * 60_000)
    await say(box.database, "good", "Good morning.")
    if box.kind == "ingest":
        pytest.skip("it takes any length")
    # As if the limit of the centre were lower than it says.
    from central import application  # noqa: PLC0415

    before, application.LONGEST = application.LONGEST, 1_000
    try:
        await box.until_done()
    finally:
        application.LONGEST = before
    items = await box.items()

    assert items["long"].status is UploadStatus.PARKED
    assert items["long"].last_error == "the central server refused it with status 422."
    assert items["good"].status is UploadStatus.DELIVERED
    await box.outbox.again(items["long"].id, items["long"].created_at)
    await box.until_done()
    assert (await box.items())["long"].status is UploadStatus.DELIVERED


async def test_a_long_conversation_goes_in_parts_that_end_with_a_turn(box: Box) -> None:
    turns = [f"Turn {number} " + "word " * 990 + "end." for number in range(20)]
    await say(box.database, "s", *turns)
    box.centre.faults.order(Fault.CUT_AFTER, path=PATHS[box.kind])
    await box.until_done()
    received = await box.received()
    parts = (await box.items())["s"].parts

    assert set(received.values()) == {1}
    assert len(parts) == (3 if box.kind == "ambientai" else 1)
    if box.kind == "ambientai":
        assert all(text.endswith(("end. ", "end.")) for text in received)
        held = {
            item["id"]: await box.centre.records.upload(item["id"])
            for item in (await box.centre.records.page(1, 9, None))["items"]
        }
        joined = "".join(held[part.upload_id]["transcription"]["full_text"] for part in parts)
        assert joined == " ".join(turns)


async def test_answers_are_wanted_of_a_centre_that_gives_them(box: Box) -> None:
    await say(box.database, "s", "Take 5 mg of bisoprolol daily.")
    await box.until_done()
    expected = {"ambientai": {AnswersStatus.WAITING, AnswersStatus.DONE}, "ingest": {AnswersStatus.NONE}}

    assert (await box.items())["s"].answers in expected[box.kind]


async def test_names_that_were_put_in_are_told_to_a_centre_that_has_room_for_it(box: Box) -> None:
    """By their place in its text, the same at every attempt; the text itself is what the box has."""
    word = Word("omeprazole,", 0, 16_000, 0.9)
    said = (Segment("omeprazole,", 0, 16_000, (word, replace(word, text="daily."))),)
    mark = Suggestion(0, 1, "own prazole,", "omeprazole", 0.9)
    named = replace(line(1, "omeprazole, daily."), segments=said, corrections=(mark,))
    await tell(box.database, "s", line(0, "Good day."), named)
    box.centre.faults.order(Fault.CUT_AFTER, path=PATHS[box.kind])
    await box.until_done()

    assert await box.received() == {"Good day. omeprazole, daily.": 1}
    if box.kind == "ingest":
        [body] = (await box.centre.records.bodies()).values()
        [told] = json.loads(body)["corrections"]
        assert told == {"start": 10, "end": 21, "said": "own prazole,", "suggested": "omeprazole"}


async def test_a_new_conversation_does_not_wait_for_rows_that_fail(box: Box) -> None:
    """Three that always fail stop the round, but not what was said just now."""
    if box.kind == "ingest":
        pytest.skip("the centre's poison is in text-processing")
    box.centre.faults.poison = "arsenic"
    for name in "abc":
        await say(box.database, name, f"A grain of arsenic, {name}.")
    breaker = Breaker(Backoff(60, 60), time.monotonic, lambda: 1.0)
    await box.round(breaker=breaker)
    assert breaker.remaining > 50
    await say(box.database, "now", "Good morning.")
    await box.round(breaker=breaker)

    assert (await box.items())["now"].status is UploadStatus.DELIVERED


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER])
async def test_what_is_parked_during_its_call_stays_parked(box: Box, fault: Fault) -> None:
    await say(box.database, "s", "Good morning.")
    box.centre.faults.order(fault, path=PATHS[box.kind])
    sending = asyncio.create_task(box.round())
    await asyncio.sleep(0.25)
    item = (await box.items())["s"]
    assert await box.outbox.park(item.id, reason="parked by hand.")
    await sending

    assert (await box.items())["s"].status is UploadStatus.PARKED
    await box.outbox.again(item.id, item.created_at)
    await box.until_done()
    assert await box.received() == {"Good morning.": 1}


async def test_consent_withdrawn_after_a_call_that_was_lost(box: Box) -> None:
    """It is not sent again."""
    await say(box.database, "s", "Good morning.")
    # Twice: aiohttp itself repeats a PUT whose connection was torn.
    box.centre.faults.order(Fault.CUT_BEFORE, path=PATHS[box.kind], times=2)
    await box.round()
    now = datetime.now(UTC)
    await Sessions(box.database).describe("s", Details(consent=Consent("patient", now, "1", now)))
    box.centre.faults.clear()
    await box.until_done()

    assert (await box.items())["s"].status is UploadStatus.PARKED
    assert await box.received() == {}


async def withdraw(box: Box) -> None:
    now = datetime.now(UTC)
    await Sessions(box.database).describe("s", Details(consent=Consent("patient", now, "1", now)))


@pytest.mark.parametrize("profile", ["ambientai"])
async def test_consent_withdrawn_while_one_part_goes_out_keeps_the_others_here(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = AmbientAI.push

    async def pushed(profile: AmbientAI, parcel: Parcel, part: Part) -> Receipt:
        receipt = await push(profile, parcel, part)
        await withdraw(box)
        return receipt

    monkeypatch.setattr(AmbientAI, "push", pushed)
    await say(box.database, "s", *[f"Turn {number} " + "word " * 990 + "end." for number in range(20)])
    await box.until_done()
    item = (await box.items())["s"]

    assert (item.status, item.last_error) == (UploadStatus.PARKED, "the patient has withdrawn consent.")
    assert [part.status for part in item.parts] == ["delivered", "pending", "pending"]
    assert sum((await box.received()).values()) == 1


@pytest.mark.parametrize("profile", ["ambientai"])
async def test_consent_withdrawn_while_a_lost_call_is_looked_for(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(box.database, "s", "Good morning.")
    box.centre.faults.order(Fault.CUT_BEFORE, path=PATHS[box.kind], times=2)
    await box.round()
    box.centre.faults.clear()
    look = AmbientAI.look

    async def looked(
        profile: AmbientAI, parcel: Parcel, part: Part, since: datetime | None, claimed: Claimed
    ) -> Receipt | None:
        found = await look(profile, parcel, part, since, claimed)
        await withdraw(box)
        return found

    monkeypatch.setattr(AmbientAI, "look", looked)
    await box.until_done()  # once the call has settled, what is not found is lost

    assert (await box.items())["s"].status is UploadStatus.PARKED
    assert await box.received() == {}


async def test_what_the_clinic_notes_after_a_lost_call_does_not_make_a_second_transcript(box: Box) -> None:
    """The document is another one then; its text is not."""
    await say(box.database, "s", "Good morning.")
    box.centre.faults.order(Fault.CUT_AFTER, path=PATHS[box.kind], times=2)
    await box.round()
    box.centre.faults.clear()
    await Sessions(box.database).describe("s", Details(encounter="visit-7"))
    await box.until_done()

    assert (await box.items())["s"].status is UploadStatus.DELIVERED
    assert await box.received() == {"Good morning.": 1}


async def test_a_defect_that_one_row_brings_out_holds_up_nobody(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Parcel.words

    def failing(parcel: Parcel, part: Part) -> str:
        if parcel.record.session_id == "bad":
            raise RuntimeError("a word of the patient")
        return words(parcel, part)

    monkeypatch.setattr(Parcel, "words", failing)
    await say(box.database, "bad", "Good morning.")
    await say(box.database, "good", "Good day.")
    await box.round()
    items = await box.items()

    assert items["good"].status is UploadStatus.DELIVERED
    assert items["bad"].status is UploadStatus.IN_FLIGHT
    assert items["bad"].last_error == "it failed inside the box: the log tells where."
    monkeypatch.undo()
    await box.until_done()
    assert await box.received() == {"Good morning.": 1, "Good day.": 1}
