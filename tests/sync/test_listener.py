"""Answers are fetched row by row: what is wrong with one of them costs the others nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from boxes import Box, say

from ambientd.core.answers import Answer
from ambientd.core.delivery import AnswersStatus, Upload
from ambientd.core.retry import Backoff
from ambientd.store import tables
from ambientd.store.answers import Answers
from ambientd.store.outbox import AsyncConnection
from ambientd.store.rows import moment_text


@pytest.fixture
def profile() -> str:
    return "ambientai"


async def two_delivered(box: Box) -> None:
    """The answers of ``bad`` are the first to be asked for, and all are there to be fetched."""
    for name in ("bad", "good"):
        await say(box.database, name, f"Take 5 mg of bisoprolol daily, {name}.")
        await box.round()
    await box.centre.worker.idle()
    items = await box.items()
    since = datetime.now(UTC) - timedelta(seconds=2)

    async def wait(connection: AsyncConnection) -> None:
        for number, name in enumerate(("bad", "good")):
            at = moment_text(since + timedelta(seconds=number))
            await connection.execute(
                tables.uploads.update()
                .where(tables.uploads.c.id == items[name].id)
                .values(answers=AnswersStatus.WAITING, answers_at=at)
            )

    await box.database.transact(wait)


async def test_a_session_whose_key_is_gone_stops_no_other_answers(box: Box) -> None:
    await two_delivered(box)

    async def lose(connection: AsyncConnection) -> None:
        await connection.execute(
            tables.session_keys.delete().where(tables.session_keys.c.session_id == "bad")
        )

    await box.database.transact(lose)
    box.database.vault.forget("bad")
    await box.round()
    items = await box.items()

    assert items["good"].answers is AnswersStatus.DONE
    assert items["bad"].answers is AnswersStatus.FAILED


async def test_a_defect_that_one_row_brings_out_stops_no_other_answers(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await two_delivered(box)
    keep = Answers.keep

    async def failing(
        answers: Answers, upload: Upload, found: Sequence[tuple[int, Answer]], now: datetime
    ) -> None:
        if upload.session_id == "bad":
            raise RuntimeError
        await keep(answers, upload, found, now)

    monkeypatch.setattr(Answers, "keep", failing)
    await box.round(backoff=Backoff(60, 60))
    items = await box.items()

    assert items["good"].answers is AnswersStatus.DONE
    assert items["bad"].answers is AnswersStatus.WAITING
    due = await Answers(box.database).due(datetime.now(UTC))
    assert [upload.session_id for upload in due] == []
    told = [record for record in caplog.records if record.message == "answers failed inside the box"]
    assert [record.__dict__["error"] for record in told] == ["RuntimeError"]
