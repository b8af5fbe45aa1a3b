"""Conversations are found by their words, although no word of them can be read on the disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text as sql
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.record import EndReason, SessionState
from ambientd.store import search as module
from ambientd.store.database import Database
from ambientd.store.lines import Lines
from ambientd.store.search import search
from ambientd.store.sessions import Sessions


async def say(database: Database, name: str, minute: int, *texts: str, end: bool = True) -> None:
    sessions = Sessions(database)
    began = BEGAN + timedelta(minutes=minute)
    await begin(sessions, name, began)
    said = [line(index, text) for index, text in enumerate(texts)]
    for each in said:
        await Lines(database).append_line(name, each, figures([each]))
    if end:
        await sessions.finalise(
            name,
            state=SessionState.ENDED,
            reason=EndReason.CLIENT,
            ended_at=began + timedelta(minutes=1),
            metrics=figures(said),
        )


async def names(database: Database, *words: str, limit: int = 10) -> list[str]:
    return [found.record.session_id for found in await search(database, words, limit=limit)]


async def test_all_words_in_any_order_and_case_and_the_newest_first(database: Database):
    await say(database, "one", 1, "She takes Metformin.", "And a rash since Monday.")
    await say(database, "two", 2, "A rash, and then METFORMIN was stopped.")
    await say(database, "three", 3, "Metformin twice daily.")

    assert await names(database, "rash", "metformin") == ["two", "one"]
    assert await names(database, "metformin", limit=2) == ["three", "two"]
    assert await names(database, "metformin was") == ["two"]
    assert await names(database, "insulin") == []


async def test_the_passage_shows_the_first_word_in_its_place(database: Database):
    await say(database, "one", 1, "word " * 40 + "Grüße an METFORMIN " + "word " * 40)
    (found,) = await search(database, ["metformin"], limit=1)

    assert "Grüße an METFORMIN word" in found.passage
    assert found.passage.startswith("… word")
    assert found.passage.endswith("word …")
    assert len(found.passage) < 150


async def test_an_open_session_is_not_searched(database: Database):
    await say(database, "open", 1, "Metformin.", end=False)
    assert await names(database, "metformin") == []


async def test_lots_are_read_one_after_the_other_without_a_gap(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LOT", 2)
    for minute in range(5):
        # Two of the same moment, so that a lot ends between them.
        await say(database, f"visit-{minute}", minute // 2, "Metformin.")

    assert await names(database, "metformin") == [f"visit-{number}" for number in (4, 3, 2, 1, 0)]


async def test_a_text_that_does_not_open_hides_no_other(database: Database, caplog: pytest.LogCaptureFixture):
    await say(database, "good", 1, "Metformin.")
    await say(database, "broken", 2, "Metformin.")
    async with database.write() as connection:
        await connection.execute(
            sql("UPDATE realtime_sessions SET full_text = x'01ff' WHERE session_id = 'broken'")
        )

    assert await names(database, "metformin") == ["good"]
    assert [record.session for record in caplog.records if hasattr(record, "session")] == ["broken"]
    assert "etformin" not in caplog.text


async def test_a_word_of_a_search_is_nowhere_on_the_disk(database: Database):
    await say(database, "one", 1, "Canarymycin.")
    await search(database, ["canarymycin"], limit=1)

    folder = Path(database.path).parent
    assert not [file for file in folder.iterdir() if b"anarymycin" in file.read_bytes()]
