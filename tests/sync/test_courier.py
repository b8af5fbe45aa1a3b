"""The running sync: it wakes, pauses, keeps its hours, and comes back after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as daytime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from boxes import Box, say
from central.faults import Fault

from ambientd.core.answers import joined, missing
from ambientd.core.delivery import AnswersStatus, Part, SyncState, UploadStatus
from ambientd.errors import ClientError
from ambientd.store.answers import Answers
from ambientd.store.parcels import Parcel
from ambientd.sync.courier import Courier, open_courier
from ambientd.sync.profiles import Receipt
from ambientd.sync.profiles.ambientai import AmbientAI
from ambientd.sync.route import Window


@pytest.fixture
def profile() -> str:
    return "ambientai"


async def until(holds: Callable[[], Awaitable[bool]], within: float = 8.0) -> None:
    end = time.monotonic() + within
    while not await holds():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.02)


@pytest.fixture
async def courier(box: Box) -> AsyncIterator[Courier]:
    async with open_courier(box.database, box.route) as running:
        yield running


async def counts(courier: Courier) -> dict[UploadStatus, int]:
    return (await courier.status()).counts


async def test_a_wake_sends_at_once(box: Box, courier: Courier) -> None:
    await asyncio.sleep(0.1)
    await say(box.database, "s", "Good morning.")
    courier.wake()

    async def delivered() -> bool:
        return (await counts(courier))[UploadStatus.DELIVERED] == 1

    await until(delivered)
    told = await courier.status()
    assert told.last_success is not None
    assert told.attempts == {"delivered": 1}
    assert await box.received() == {"Good morning.": 1}


async def test_the_schedule_wakes_it_without_anybody(box: Box) -> None:
    async with open_courier(box.database, replace(box.route, schedule="interval 1")) as courier:
        await asyncio.sleep(0.3)
        await say(box.database, "s", "Good morning.")

        async def delivered() -> bool:
            return (await counts(courier))[UploadStatus.DELIVERED] == 1

        await until(delivered)
    assert await box.received() == {"Good morning.": 1}


async def test_a_failure_is_tried_again_by_itself(box: Box, courier: Courier) -> None:
    await say(box.database, "s", "Good morning.")
    box.centre.faults.order(Fault.ERROR, path="/api/v1/text-processing", times=3)
    courier.wake()

    async def delivered() -> bool:
        return (await counts(courier))[UploadStatus.DELIVERED] == 1

    await until(delivered)
    assert (await courier.status()).last_error == "the central server answered with status 500."


async def test_paused_it_calls_nobody_over_restarts_too(box: Box, courier: Courier) -> None:
    await courier.pause()
    await say(box.database, "s", "Good morning.")
    courier.wake()
    await asyncio.sleep(0.2)
    with pytest.raises(ClientError, match="paused"):
        await courier.run_now()
    async with open_courier(box.database, box.route) as again:
        await asyncio.sleep(0.2)
        assert (await again.status()).state is SyncState.PAUSED
        assert (await counts(again))[UploadStatus.PENDING] == 1
        await again.resume()

        async def delivered() -> bool:
            return (await counts(again))[UploadStatus.DELIVERED] == 1

        await until(delivered)


async def test_outside_its_hours_it_waits_unless_told_to_run(box: Box) -> None:
    hour = datetime.now(UTC).hour
    window = Window(daytime((hour + 2) % 24), daytime((hour + 3) % 24))
    await say(box.database, "s", "Good morning.")
    async with open_courier(box.database, replace(box.route, window=window)) as courier:
        await asyncio.sleep(0.3)
        told = await courier.status()
        assert told.state is SyncState.CLOSED
        assert told.counts[UploadStatus.PENDING] == 1
        await courier.run_now()

        async def delivered() -> bool:
            return (await counts(courier))[UploadStatus.DELIVERED] == 1

        await until(delivered)


async def test_a_round_ends_with_its_hours_unless_told_to_run(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, push = True, AmbientAI.push

    async def pushed(profile: AmbientAI, parcel: Parcel, part: Part) -> Receipt:
        nonlocal opened
        opened = False
        return await push(profile, parcel, part)

    monkeypatch.setattr(Window, "holds", lambda _window, _now: opened)
    monkeypatch.setattr(AmbientAI, "push", pushed)
    for name in "abc":
        await say(box.database, name, f"Good morning, {name}.")
    async with open_courier(box.database, box.route) as courier:

        async def closed() -> bool:
            told = await courier.status()
            return told.state is SyncState.CLOSED and told.counts[UploadStatus.DELIVERED] > 0

        await until(closed)
        assert (await counts(courier))[UploadStatus.PENDING] == 2
        await courier.run_now()

        async def delivered() -> bool:
            return (await counts(courier))[UploadStatus.DELIVERED] == 3

        await until(delivered)


async def test_without_a_centre_everything_waits(box: Box) -> None:
    await say(box.database, "s", "Good morning.")
    async with open_courier(box.database, None) as courier:
        await asyncio.sleep(0.2)
        told = await courier.status()
        with pytest.raises(ClientError, match="no central server"):
            await courier.run_now()

    assert (told.state, told.counts[UploadStatus.PENDING]) == (SyncState.OFF, 1)


async def test_a_secret_that_others_may_read_is_told_and_nothing_is_lost(box: Box, tmp_path: Path) -> None:
    """Corrected, it works without a restart."""
    secret = tmp_path / "secret"
    secret.chmod(0o644)
    await say(box.database, "s", "Good morning.")
    async with open_courier(box.database, box.route) as courier:

        async def told() -> bool:
            return "chmod 600" in ((await courier.status()).last_error or "")

        await until(told)
        secret.chmod(0o600)
        await courier.run_now()

        async def delivered() -> bool:
            return (await counts(courier))[UploadStatus.DELIVERED] == 1

        await until(delivered)
    assert await box.received() == {"Good morning.": 1}


async def test_questions_that_cannot_be_read_leave_no_open_client_behind(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried each round for as long as the file is bad: weeks, until somebody looks."""
    made: list[ClientSession] = []
    begin = ClientSession.__init__

    def noted(session: ClientSession, *args: Any, **options: Any) -> None:
        made.append(session)
        begin(session, *args, **options)

    monkeypatch.setattr(ClientSession, "__init__", noted)
    own = tmp_path / "questions.json"
    own.write_text("{")
    await say(box.database, "s", "Good morning.")
    async with open_courier(box.database, replace(box.route, questions=own)) as courier:
        for tries in range(1, 4):

            async def tried(tries: int = tries) -> bool:
                return len(made) >= tries and all(session.closed for session in made)

            await until(tried)
            courier.wake()
        own.write_text("[]")
        await courier.run_now()

        async def delivered() -> bool:
            return (await counts(courier))[UploadStatus.DELIVERED] == 1

        await until(delivered)
    assert all(session.closed for session in made)


async def test_wrong_credentials_park_nothing(box: Box, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong")
    await say(box.database, "s", "Good morning.")
    async with open_courier(box.database, box.route) as courier:

        async def refused() -> bool:
            return "refuses the log-in" in ((await courier.status()).last_error or "")

        await until(refused)
        assert (await counts(courier))[UploadStatus.PENDING] == 1
    assert await box.received() == {}


async def test_a_token_is_renewed_before_it_ends(box: Box) -> None:
    """An expired one would not be refused: the upload would be taken for nobody's."""
    box.centre.tokens.lifetime = 3.0
    async with open_courier(box.database, box.route) as courier:
        for number in range(3):
            await say(box.database, f"s{number}", f"Number {number}.")
            courier.wake()
            await asyncio.sleep(1.6)

    assert (await box.centre.records.counts())["uploads"] == 3
    assert (await box.centre.records.counts())["anonymous"] == 0


async def test_answers_come_back_and_stay(box: Box, tmp_path: Path) -> None:
    box.centre.worker.delay = 0.1
    own = tmp_path / "questions.json"
    own.write_text('[{"id": "own1", "question": "Was a dose mentioned?", "category": "medications"}]')
    await say(box.database, "s", "Take 5 mg of bisoprolol daily.", "No allergies are known.")
    async with open_courier(box.database, replace(box.route, questions=own)) as courier:
        answers = Answers(box.database)

        async def done() -> bool:
            return (await answers.of("s")).status is AnswersStatus.DONE

        await until(done)
        await courier.pause()
    kept = await answers.of("s")
    best = joined(kept.answers)
    asked = await answers.asked()

    assert {entry.best.question_id for entry in best} >= {"own1"}
    assert "own1" in {question.id for question in asked}
    unanswered = {question.id for question in missing(best, asked)}
    assert unanswered == {entry.best.question_id for entry in best if entry.best.answer is None}
    assert kept.received_at is not None


async def test_the_answers_to_a_long_conversation_are_joined(box: Box) -> None:
    turns = [f"Turn {number}. " + "word " * 990 + "end." for number in range(18)]
    turns[0] = "Take 2.5 mg of bisoprolol daily. " + turns[0]
    await say(box.database, "s", *turns)
    async with open_courier(box.database, box.route):
        answers = Answers(box.database)

        async def done() -> bool:
            return (await answers.of("s")).status is AnswersStatus.DONE

        await until(done)
    kept = (await answers.of("s")).answers

    assert {part for part, _ in kept} == {0, 1}
    assert len(joined(kept)) == len(kept) / 2


async def test_held_rows_go_when_their_time_has_come(box: Box, courier: Courier) -> None:
    from ambientd.store import outbox  # noqa: PLC0415

    await say(box.database, "s", "Good morning.")
    await box.database.transact(lambda connection: outbox.withdraw(connection, "s"))
    now = datetime.now(UTC)
    await box.database.transact(
        lambda connection: outbox.enqueue(
            connection, "s", text="Good morning.", held_until=now + timedelta(seconds=0.6), at=now
        )
    )
    courier.wake()
    await asyncio.sleep(0.3)
    assert (await counts(courier))[UploadStatus.HELD] == 1

    async def delivered() -> bool:
        return (await counts(courier))[UploadStatus.DELIVERED] == 1

    await until(delivered)


async def test_a_consultation_whose_consent_was_withdrawn_is_not_sent(box: Box, courier: Courier) -> None:
    from ambientd.core.record import Consent, Details  # noqa: PLC0415
    from ambientd.store.sessions import Sessions  # noqa: PLC0415

    await courier.pause()
    await say(box.database, "s", "Good morning.")
    now = datetime.now(UTC)
    await Sessions(box.database).describe("s", Details(consent=Consent("patient", now, "1", now)))
    await courier.resume()

    async def parked() -> bool:
        return (await counts(courier))[UploadStatus.PARKED] == 1

    await until(parked)
    assert (await box.items())["s"].last_error == "the patient has withdrawn consent."
    assert await box.received() == {}


def test_a_window_may_go_over_midnight() -> None:
    night = Window(daytime(20), daytime(6))

    assert [night.holds(daytime(hour)) for hour in (19, 20, 23, 0, 5, 6)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    assert Window().holds(daytime(12))
    assert not Window(daytime(8), daytime(9)).holds(daytime(9))
