"""No word of a conversation reaches a log or an error, however much logging is asked for."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from stored_speech import BEGAN, begin, figures, line

from ambientd.core.record import EndReason, SessionState
from ambientd.errors import AmbientError, StoreUnavailable
from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions

CANARY = "Wolpertinger"


async def test_logs_and_errors_hold_no_words(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A whole session, its reading, a crash, a refused line and a full disk, with every logger at DEBUG."""
    asyncio.get_running_loop().set_debug(True)
    for name in ("", "aiosqlite", "alembic", "asyncio", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool"):
        caplog.set_level(logging.DEBUG, logger=name)
    errors: list[AmbientError] = []

    async with open_database(path) as database:
        sessions, lines = Sessions(database), Lines(database)
        await begin(sessions, "s")
        await lines.append_line("s", line(0, f"Yes, {CANARY} twice daily."), figures([]))
        with pytest.raises(AmbientError) as refusal:
            await lines.append_line("s", line(0, f"{CANARY} again."), figures([]))
        errors.append(refusal.value)
        assert CANARY in (await lines.lines("s"))[0].text
        await sessions.recover()
        assert CANARY in await sessions.text("s")

        await begin(sessions, "t")
        async with database.write() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(StoreUnavailable) as full:
            await lines.append_line("t", line(0, f"{CANARY} " * 5000), figures([]))
        errors.append(full.value)
        await sessions.finalise(
            "t", state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([])
        )

    told = "".join("".join(traceback.format_exception(error)) for error in errors)
    assert "disk is full" in told
    assert CANARY not in told
    assert "was brought from revision none to 00" in caplog.text
    assert CANARY not in caplog.text
