"""A file as the first revision left it: words in the clear."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from stored_speech import line

from ambientd.store.migrate import MIGRATIONS
from ambientd.store.packing import pack

CANARY = "Wolpertinger"


def texts(session: int, lines: int) -> list[str]:
    return [f"{CANARY} {session} says {index}." for index in range(lines)]


def write(path: Path, *, sessions: int = 3, lines: int = 4) -> None:
    """Sessions ``s0``, ``s1`` … with so many lines each; the last one is still open, as after a crash."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as shell:
        shell.execute("PRAGMA auto_vacuum = 2")
        shell.execute("PRAGMA journal_mode = wal")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(path)) as shell:
        for number in range(sessions):
            name, said = f"s{number}", texts(number, lines)
            is_open = number == sessions - 1
            shell.execute(
                "INSERT INTO realtime_sessions VALUES (?, ?, ?, '2026-01-15T10:00:00.000000Z', ?, 'x', 'en', 'm', "
                "16000, 'b', 1.5, ?, ?, ?)",
                (
                    name,
                    "open" if is_open else "ended",
                    None if is_open else "client",
                    None if is_open else "2026-01-15T10:05:00.000000Z",
                    lines,
                    len(" ".join(said)),
                    None if is_open else " ".join(said),
                ),
            )
            shell.execute(
                "INSERT INTO realtime_session_metrics VALUES (?, ?, 1, 1, 1, 0.9, 16000, 16000, 0, 1)",
                (name, lines),
            )
            for index, text in enumerate(said):
                each = line(index, text)
                shell.execute(
                    "INSERT INTO realtime_transcript_chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        name,
                        index,
                        each.start,
                        each.end,
                        each.confidence,
                        each.language,
                        each.model,
                        each.processing_ms,
                        text,
                        pack(each),
                    ),
                )
        shell.commit()
