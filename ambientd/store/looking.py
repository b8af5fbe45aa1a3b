"""A look at the file from outside, by whoever wants to know how it is: no lock, no key, nothing is changed.

The daemon may be running or not.  Only figures come out, and names of tables: no id and no word.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ambientd.store import tables
from ambientd.store.audit import Action
from ambientd.store.chain import ANCHOR, HEAD, Entry, Follower, Verdict, link_of
from ambientd.store.clock import SEEN
from ambientd.store.faults import unavailable
from ambientd.store.rows import moment

_AUDIT: Final = ", ".join(column.name for column in tables.audit.columns)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file, in figures."""

    revision: str
    """Of its tables."""
    counts: dict[str, int]
    """Rows by table."""
    deliveries: dict[str, int]
    """Rows of the outbox by state."""
    oldest: datetime | None
    """When the oldest row was made that is neither delivered nor parked."""
    last_backup: datetime | None
    """As far as the audit reaches back."""
    clock_seen: datetime | None
    """The latest time at which the clock was believed."""


def contents(path: Path) -> Contents:
    """What is in the file.

    Raises:
        StoreUnavailable: it cannot be read, or is of another version.
    """
    with _opened(path) as file:
        known = [
            name
            for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            if not str(name).startswith("sqlite_")
        ]
        counts = {
            name: file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - the schema's
            for name in known
        }
        ((revision,),) = file.execute("SELECT version_num FROM alembic_version").fetchall()
        deliveries = dict(file.execute("SELECT status, count(*) FROM conversation_uploads GROUP BY status"))
        ((oldest,),) = file.execute(
            "SELECT min(created_at) FROM conversation_uploads WHERE status IN ('pending', 'in_flight')"
        )
        ((backup,),) = file.execute(
            f"SELECT max(at) FROM {tables.audit.name} WHERE action = ?",  # noqa: S608 - a constant
            (Action.BACKUP_MADE.value,),
        )
        seen = file.execute("SELECT value FROM box_facts WHERE name = ?", (SEEN,)).fetchone()
    return Contents(
        revision,
        counts,
        deliveries,
        moment(oldest) if oldest else None,
        moment(backup) if backup else None,
        moment(seen[0]) if seen else None,
    )


def chain(path: Path) -> Verdict:
    """The audit's chain of hashes, followed from its beginning to its head.

    Raises:
        StoreUnavailable: the file cannot be read, or is of another version.
    """
    with _opened(path) as file:
        facts = dict(file.execute("SELECT name, value FROM box_facts WHERE name IN (?, ?)", (ANCHOR, HEAD)))
        follower = Follower(link_of(facts.get(ANCHOR)), link_of(facts.get(HEAD)))
        rows = file.execute(f"SELECT {_AUDIT} FROM {tables.audit.name} ORDER BY number")  # noqa: S608
        names = [column[0] for column in rows.description]
        for row in rows:
            if (broken := follower.take(Entry(**dict(zip(names, row, strict=True))))) is not None:
                return broken
    return follower.verdict()


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, read-only, in one view."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as file:
            file.execute("BEGIN")
            yield file
    except sqlite3.Error as error:
        raise unavailable("look into", path, error) from error
