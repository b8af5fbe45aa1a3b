"""A line that was shown survives the daemon's death at any moment."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from stored_speech import figures, line

from ambientd.core.record import EndReason, SessionState
from ambientd.store.database import open_database
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions

PROGRAM = Path(__file__).with_name("append_until_killed.py")


def run_and_kill(path: Path, session_id: str, chance: random.Random) -> list[str]:
    """Let it store a few lines, kill it in the midst of another, and return all it had said until then."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, path, session_id], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        said = [program.stdout.readline().strip() for _ in range(chance.randint(2, 40))]
        time.sleep(chance.uniform(0, 0.02))
        program.kill()
        said += program.stdout.read().splitlines()
    return said


async def test_every_line_shown_is_there_after_kill_9(path: Path) -> None:
    """Killed again and again on the same file: it stays sound, no line that was reported is missing, the
    session is found interrupted, and its figures are those of its lines."""
    chance = random.Random(7)  # noqa: S311 - when to kill is no secret
    before = ""
    for turn in range(5):
        session_id = f"turn-{turn}"
        said = run_and_kill(path, session_id, chance)
        shown = [int(word.removeprefix("stored ")) for word in said if word.startswith("stored ")]
        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            found = shell.execute(
                "SELECT chunk_index FROM realtime_transcript_chunks WHERE session_id = ? ORDER BY chunk_index",
                (session_id,),
            ).fetchall()
        stored = [index for (index,) in found]

        assert shown
        assert stored == list(range(len(stored)))
        assert set(shown) <= set(stored)
        assert len(stored) - len(shown) <= 1, "one line at most was stored and not yet shown"
        assert [word for word in said if word.startswith("recovered")] == ([before] if before else [])
        before = f"recovered {session_id}"

    async with open_database(path) as database:
        sessions = Sessions(database)
        assert await sessions.recover() == ["turn-4"]
        record = await sessions.get("turn-4")
        lines = await Lines(database).lines("turn-4")

    assert record is not None
    assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.CRASH)
    assert lines == [line(index) for index in range(len(lines))]
    assert record.metrics.chunks_processed == figures(lines).chunks_processed
    assert record.transcript_length == len(" ".join(each.text for each in lines))
