"""A transcript corrected before it is sent, and held until somebody has read it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text as sql
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.record import EndReason, Progress, Refinement, SessionRecord, SessionState
from ambientd.store.corrections import Corrections, Read
from ambientd.store.database import Database
from ambientd.store.deliveries import Outbox
from ambientd.store.endings import Holds
from ambientd.store.lines import Lines
from ambientd.store.listing import Wanted
from ambientd.store.refusals import CorrectedMeanwhile, NoSuchSession, StillOpen, TextSent, UnusableText
from ambientd.store.search import search
from ambientd.store.sessions import Sessions

NOW = BEGAN + timedelta(hours=1)
HEARD = "She takes metro pole daily."
SAID = "She takes metoprolol daily."


async def end(
    database: Database, *texts: str, review: bool = False, refinement: Refinement = Refinement.NONE
) -> None:
    sessions = Sessions(database, Holds(review=review))
    await begin(sessions, "s")
    for index, text in enumerate(texts or (HEARD, "Thank you.")):
        await Lines(database).append_line("s", line(index, text), figures([]))
    await sessions.finalise(
        "s",
        state=SessionState.ENDED,
        reason=EndReason.CLIENT,
        ended_at=BEGAN,
        metrics=figures([]),
        refinement=refinement,
    )


async def put(database: Database, texts: dict[int, str], *, revision: int = 0, tier: str = "live") -> int:
    return await Corrections(database).put(
        "s", tier=tier, revision=revision, texts=texts, actor="client", origin=None, at=NOW
    )


async def audited(database: Database) -> list[tuple[str, str]]:
    async with database.read() as connection:
        found = await connection.execute(
            sql("SELECT action, outcome FROM audit_log WHERE action LIKE 'transcript.%' ORDER BY number")
        )
        return [(row[0], row[1]) for row in found]


async def sent(database: Database) -> str:
    """What the centre would be sent now."""
    outbox = Outbox(database)
    [upload] = await outbox.items(status=None, limit=9, offset=0)
    parcel = await outbox.begin(upload.id, most=None, now=NOW, by_the_centre=NOW)
    assert parcel is not None
    return parcel.words(parcel.upload.parts[0])


async def test_the_corrected_text_is_final_searched_and_sent_and_the_heard_one_stays(
    database: Database,
) -> None:
    await end(database)
    assert await put(database, {0: SAID}) == 1

    assert [each.text for each in await Lines(database).final("s")] == [SAID, "Thank you."]
    assert [each.text for each in await Lines(database).lines("s")] == [HEARD, "Thank you."]
    assert await Sessions(database).text("s") == f"{SAID} Thank you."
    assert len(await search(database, ["metoprolol"], limit=5)) == 1
    assert await search(database, ["metro"], limit=5) == []
    assert await sent(database) == f"{SAID} Thank you."
    assert await audited(database) == [("transcript.corrected", "revision_1")]


async def test_each_revision_is_kept_and_the_newest_counts(database: Database) -> None:
    await end(database)
    await put(database, {0: "She takes metoprolol."})
    await put(database, {0: SAID, 1: ""}, revision=1)

    found = await Corrections(database).of("s")
    assert [(each.revision, dict(each.texts)) for each in found.corrections] == [
        (1, {0: "She takes metoprolol."}),
        (2, {0: SAID, 1: ""}),
    ]
    assert await Sessions(database).text("s") == SAID
    record = await Sessions(database).get("s")
    assert record is not None
    assert (record.revision, record.transcript_length) == (2, len(SAID))


async def test_going_back_to_the_heard_words_is_a_revision_too(database: Database) -> None:
    await end(database)
    await put(database, {0: SAID})
    assert await put(database, {}, revision=1) == 2
    assert await Sessions(database).text("s") == f"{HEARD} Thank you."


async def test_what_changes_nothing_makes_no_revision(database: Database) -> None:
    await end(database)
    assert await put(database, {0: f" {HEARD} "}) == 0
    assert await audited(database) == []


async def test_of_two_who_correct_the_later_is_told(database: Database) -> None:
    await end(database)
    await put(database, {0: SAID})
    with pytest.raises(CorrectedMeanwhile):
        await put(database, {1: "Thanks."})


async def test_a_correction_of_the_live_text_ends_the_wait_for_a_second_hearing(database: Database) -> None:
    """Else words of the second hearing would take the place of what a person wrote."""
    await end(database, refinement=Refinement.WAITING)
    await put(database, {0: SAID})

    assert not await Sessions(database).refined("s", [line(0, "Something else.")], "big")
    assert await sent(database) == f"{SAID} Thank you."


async def test_indexes_of_the_live_text_never_hit_the_refined_one(database: Database) -> None:
    await end(database, refinement=Refinement.WAITING)
    await Sessions(database).refined("s", [line(0, "Something else.")], "big")

    with pytest.raises(CorrectedMeanwhile):
        await put(database, {0: SAID}, tier="live")
    assert await put(database, {0: SAID}, tier="refined") == 1


async def test_what_may_have_been_sent_is_not_changed(database: Database) -> None:
    await end(database)
    await sent(database)
    with pytest.raises(TextSent):
        await put(database, {0: SAID})
    assert not (await Corrections(database).of("s")).open
    assert await Sessions(database).text("s") == f"{HEARD} Thank you."


async def test_what_certainly_did_not_arrive_can_still_be_changed(database: Database) -> None:
    """A centre that was away for a day does not make a text final."""
    await end(database)
    await sent(database)
    outbox = Outbox(database)
    [upload] = await outbox.items(status=None, limit=9, offset=0)
    await outbox.postpone(upload.id, until=NOW, error="not reached", not_sent=0)

    await put(database, {0: SAID})
    assert await sent(database) == f"{SAID} Thank you."


@pytest.mark.parametrize("texts", [{7: "No such line."}, {0: "", 1: " "}])
async def test_a_correction_that_cannot_be_is_refused(database: Database, texts: dict[int, str]) -> None:
    await end(database)
    with pytest.raises(UnusableText):
        await put(database, texts)
    assert await Sessions(database).text("s") == f"{HEARD} Thank you."


async def test_of_an_open_session_and_of_none(database: Database) -> None:
    with pytest.raises(NoSuchSession):
        await put(database, {})
    await begin(Sessions(database), "s")
    with pytest.raises(StillOpen):
        await put(database, {})


async def test_no_corrected_word_lies_open_on_the_disk(database: Database) -> None:
    await end(database)
    await put(database, {0: "Wolpertinger said so."})
    raw = b"".join(file.read_bytes() for file in database.path.parent.iterdir() if file.is_file())
    assert b"Wolpertinger" not in raw


async def test_nothing_goes_before_somebody_has_read_it(database: Database) -> None:
    await end(database, review=True)
    outbox = Outbox(database)
    [upload] = await outbox.items(status=None, limit=9, offset=0)

    assert await outbox.due(NOW) == []
    assert await outbox.next_time() is None
    assert not await outbox.again(upload.id, NOW), "being tried is not being read"
    assert await outbox.begin(upload.id, most=None, now=NOW, by_the_centre=NOW) is None
    assert [each.session_id for each in await listed(database, Progress.REVIEW)] == ["s"]

    await Corrections(database).approve("s", read=None, actor="client", origin=None, at=NOW)
    assert await outbox.due(NOW) == [upload.id]
    assert [each.reviewed_at for each in await listed(database, Progress.WAITING)] == [NOW]
    assert await audited(database) == [("transcript.reviewed", "live_revision_0")]


async def test_it_waits_for_its_reader_also_when_it_was_held_for_a_second_hearing(database: Database) -> None:
    await end(database, review=True, refinement=Refinement.WAITING)
    outbox = Outbox(database)
    await outbox.let_go(NOW + timedelta(days=1))
    assert await outbox.due(NOW + timedelta(days=1)) == []


@pytest.mark.parametrize("read", [None, Read("live", 0), Read("refined", 1), Read("corrected", 1)])
async def test_a_second_hearing_that_nobody_has_read_is_not_approved(
    database: Database, read: Read | None
) -> None:
    await end(database, review=True, refinement=Refinement.WAITING)
    assert await Sessions(database).refined("s", [line(0, SAID)], "big")

    with pytest.raises(CorrectedMeanwhile):
        await Corrections(database).approve("s", read=read, actor="client", origin=None, at=NOW)
    assert [each.session_id for each in await listed(database, Progress.REVIEW)] == ["s"]

    await Corrections(database).approve("s", read=Read("refined", 0), actor="client", origin=None, at=NOW)
    assert await audited(database) == [("transcript.reviewed", "refined_revision_0")]


@pytest.mark.parametrize("read", [None, Read("live", 0), Read("live", 2), Read("refined", 1)])
async def test_nor_is_anothers_correction(database: Database, read: Read | None) -> None:
    await end(database, review=True)
    await put(database, {0: SAID})

    with pytest.raises(CorrectedMeanwhile):
        await Corrections(database).approve("s", read=read, actor="client", origin=None, at=NOW)
    assert await Outbox(database).due(NOW) == []


@pytest.mark.parametrize("read", [Read("live", 1), Read("corrected", 1)])
async def test_whoever_has_read_the_correction_approves_it(database: Database, read: Read) -> None:
    await end(database, review=True)
    await put(database, {0: SAID})
    await Corrections(database).approve("s", read=read, actor="client", origin=None, at=NOW)
    assert len(await Outbox(database).due(NOW)) == 1


async def test_reading_it_twice_is_told_once(database: Database) -> None:
    await end(database, review=True)
    corrections = Corrections(database)
    await corrections.approve("s", read=None, actor="client", origin=None, at=NOW)
    await corrections.approve("s", read=None, actor="client", origin=None, at=NOW + timedelta(hours=1))

    record = await Sessions(database).get("s")
    assert record is not None
    assert record.reviewed_at == NOW
    assert len(await audited(database)) == 1


async def listed(database: Database, progress: Progress) -> list[SessionRecord]:
    return await Sessions(database).list_sessions(9, wanted=Wanted(progress=(progress,)))


async def test_progress_follows_the_delivery(database: Database) -> None:
    await begin(Sessions(database), "s")
    assert len(await listed(database, Progress.RECORDING)) == 1


async def test_a_parked_delivery_wants_attention(database: Database) -> None:
    await end(database)
    outbox = Outbox(database)
    [upload] = await outbox.items(status=None, limit=9, offset=0)
    await outbox.park(upload.id, reason="parked by hand.")
    assert len(await listed(database, Progress.ATTENTION)) == 1
    assert await listed(database, Progress.WAITING) == []
