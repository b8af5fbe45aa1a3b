"""Who may come in after a restore: whoever might before it, and nobody who was put out since the backup.

Sessions go back to the day of the backup; rights do not.  So accounts, devices, log-ins, pairings and the emergency
code are those of the file that was there, if it can be read: a password changed or a tablet revoked since stays so.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ambientd.store import tables
from ambientd.store.people import EMERGENCY

_TABLES: Final = (tables.accounts, tables.devices, tables.logins, tables.pairings)
"""In the order in which they may be filled; emptied in reverse."""


def keep_people(fresh: sqlite3.Connection, present: Path) -> bool:
    """Put the people of ``present`` in the place of those in ``fresh``; whether that could be done.

    Raises:
        sqlite3.Error: ``fresh`` cannot be written.
    """
    if not fresh.execute("SELECT 1 FROM sqlite_master WHERE name = 'accounts'").fetchall():
        return False  # of a version without any
    try:
        with closing(sqlite3.connect(f"{present.as_uri()}?mode=ro", uri=True)) as file:
            found: list[tuple[str, list[str], list[Any]]] = []
            for table in _TABLES:
                names = [column.name for column in table.columns]
                found.append(
                    (table.name, names, file.execute(f"SELECT {_list(names)} FROM {table.name}").fetchall())  # noqa: S608 - constants
                )
            sealed = file.execute("SELECT value FROM box_facts WHERE name = ?", (EMERGENCY,)).fetchone()
    except sqlite3.Error:
        return False  # another version wrote it, or it is damaged
    for name, _, _ in reversed(found):
        fresh.execute(f"DELETE FROM {name}")  # noqa: S608 - a constant
    for name, names, rows in found:
        marks = ", ".join("?" * len(names))
        fresh.executemany(f"INSERT INTO {name} ({_list(names)}) VALUES ({marks})", rows)  # noqa: S608 - constants
    fresh.execute("DELETE FROM box_facts WHERE name = ?", (EMERGENCY,))
    if sealed is not None:
        fresh.execute("INSERT INTO box_facts (name, value) VALUES (?, ?)", (EMERGENCY, sealed[0]))
    return True


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
