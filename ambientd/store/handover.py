"""What of a backup's deliveries may have been made since, noted in it before it is put in place.

Rule 1  What the present file knows to be delivered, whole or in part, the other knows from then on.
Rule 2  What was to be sent as it stood is looked for at the centre before it is sent.
Rule 3  What was still to change (its session open, or waiting for a second hearing) may have been sent with another
        text, for which nobody can look: it is parked.  Open sessions are ended, and theirs parked, at the next start.
Rule 4  Who may come in is as it was before the restore: see ``keeping_people``.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ambientd.store import tables
from ambientd.store.facts import PERHAPS_DELIVERED, RESTORED
from ambientd.store.keeping_people import keep_people

_UPLOAD: Final = [column.name for column in tables.uploads.columns]
_PART: Final = [column.name for column in tables.parts.columns]


def prepare(fresh: Path, present: Path | None) -> None:
    """Note it in ``fresh``, the file that is to be put in place.

    present: the file that is there now, if it can be read.

    Raises:
        sqlite3.Error: ``fresh`` cannot be written.
    """
    with closing(sqlite3.connect(fresh)) as file:
        if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'conversation_uploads'").fetchall():
            return  # of a version that delivered nothing
        file.execute("PRAGMA foreign_keys = on")
        if present is not None:
            _take_over(file, *_known(present))
            keep_people(file, present)
        file.execute(
            "UPDATE upload_parts SET status = 'in_flight', attempted_at = coalesce(attempted_at,"
            " (SELECT created_at FROM conversation_uploads WHERE conversation_uploads.id = upload_parts.id))"
            " WHERE status = 'pending'"
        )
        tried = "attempts = max(attempts, 1), attempted_at = coalesce(attempted_at, created_at)"
        file.execute(
            f"UPDATE conversation_uploads SET status = 'in_flight', {tried}"  # noqa: S608 - a constant
            " WHERE status = 'pending'"
        )
        file.execute(
            f"UPDATE conversation_uploads SET status = 'parked', {tried}, held_until = NULL,"  # noqa: S608
            " next_attempt_at = NULL, last_error = ? WHERE status = 'held'",
            (PERHAPS_DELIVERED,),
        )
        file.execute(f"UPDATE conversation_uploads SET {tried} WHERE status = 'parked'")  # noqa: S608
        file.execute(
            "INSERT INTO box_facts (name, value) VALUES (?, 'yes') ON CONFLICT (name) DO UPDATE SET value = 'yes'",
            (RESTORED,),
        )
        file.commit()


def _known(present: Path) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """The deliveries that the present file knows to have begun, and the parts of each."""
    parts: dict[str, list[dict[str, Any]]] = {}
    try:
        with closing(sqlite3.connect(f"{present.as_uri()}?mode=ro", uri=True)) as file:
            file.row_factory = sqlite3.Row
            uploads = [
                dict(row)
                for row in file.execute(f"{_select(_UPLOAD, tables.uploads.name)} WHERE attempts > 0")
            ]
            for row in file.execute(_select(_PART, tables.parts.name)):
                parts.setdefault(row["id"], []).append(dict(row))
    except sqlite3.OperationalError:
        return [], {}  # another version wrote it: the operator has been told that it cannot be compared
    return uploads, parts


def _take_over(
    file: sqlite3.Connection, uploads: list[dict[str, Any]], parts: dict[str, list[dict[str, Any]]]
) -> None:
    sessions = {name for (name,) in file.execute("SELECT session_id FROM realtime_sessions")}
    rows = file.execute("SELECT session_id, id, size, status FROM conversation_uploads").fetchall()
    waiting = {name: (of, size, status) for name, of, size, status in rows}
    for upload in uploads:
        name = upload["session_id"]
        of, size, status = waiting.get(name, (None, None, None))
        if name not in sessions or status == "delivered":
            continue
        if upload["status"] == "delivered" or (of, size) == (upload["id"], upload["size"]):
            # Whole, id and all: the digests are sealed for their places.
            file.execute("DELETE FROM conversation_uploads WHERE session_id = ?", (name,))
            _insert(file, tables.uploads.name, _UPLOAD, [upload])
            _insert(file, tables.parts.name, _PART, parts.get(upload["id"], []))
        elif of is not None:
            # Begun with a text that is not in the backup.
            file.execute("UPDATE conversation_uploads SET status = 'held' WHERE session_id = ?", (name,))


def _select(columns: list[str], table: str) -> str:
    return f"SELECT {_named(columns)} FROM {table}"  # noqa: S608 - constants


def _insert(file: sqlite3.Connection, table: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({_named(columns)}) VALUES ({marks})"  # noqa: S608 - constants
    file.executemany(statement, [[row[column] for column in columns] for row in rows])


def _named(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
