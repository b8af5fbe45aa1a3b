"""Which conversations hold certain words.

There is no index: an index of words would be the words again, outside the seals.  So each text is opened and read,
newest first, in threads and in small lots, until enough are found.  What that costs is in docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.record import SessionRecord
from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.refusals import SealBroken
from ambientd.store.rows import OWNER, SESSION, full_text_of, session_of
from ambientd.store.vault import Vault

logger = logging.getLogger(__name__)

LOT: Final = 100
"""Texts read at once: about a megabyte, and a reading connection is free again in between."""

AROUND: Final = 60
"""Characters shown on either side of what was found."""

_ORDER: Final = (tables.sessions.c.connected_at, tables.sessions.c.session_id)


@dataclass(frozen=True, slots=True)
class Found:
    """One conversation in which all the words were said."""

    record: SessionRecord
    passage: str
    """Where the first of the words stands."""


async def search(
    database: Database, words: Sequence[str], *, limit: int, owner: str | None = None
) -> list[Found]:
    """The newest ended sessions whose final text holds every word, in any order and case.

    words: at least one, none empty; each may be part of a longer word, or a phrase.
    limit: at most so many.
    owner: id of the principal whose sessions alone are searched; the others are not opened.

    Raises:
        StoreUnavailable: the file cannot be read.
    """
    wanted = [word.lower() for word in words]
    found: list[Found] = []
    before: tuple[str, str] | None = None
    while len(found) < limit:
        lot = await database.query(partial(_read, before=before, owner=owner))
        found += await asyncio.to_thread(_matching, database.vault, lot, wanted)
        if len(lot) < LOT:
            break
        before = lot[-1][tables.sessions.c.connected_at], lot[-1][tables.sessions.c.session_id]
    return found[:limit]


async def _read(
    connection: AsyncConnection, *, before: tuple[str, str] | None, owner: str | None
) -> list[RowMapping]:
    """The next lot of sealed texts, with their keys."""
    query = (
        select(*SESSION, tables.sessions.c.full_text, tables.session_keys.c.wrapped)
        .join_from(tables.sessions, tables.metrics)
        .join(tables.session_keys, tables.session_keys.c.session_id == tables.sessions.c.session_id)
        .where(tables.sessions.c.full_text.is_not(None))
        .order_by(*(column.desc() for column in _ORDER))
        .limit(LOT)
    )
    if owner is not None:
        query = query.where(OWNER.element == owner)
    if before is not None:
        query = query.where(tuple_(*_ORDER) < tuple_(*before))
    return list((await connection.execute(query)).mappings())


def _matching(vault: Vault, lot: Sequence[RowMapping], words: Sequence[str]) -> list[Found]:
    """Runs in a thread; opening a seal and inflating let the loop's thread go on meanwhile."""
    found = []
    for row in lot:
        session_id: str = row[tables.sessions.c.session_id]
        try:
            text = full_text_of(vault.unwrap(session_id, row["wrapped"]), row) or ""
        except SealBroken:
            # One text that cannot be opened must not hide all others; reading it tells why.
            logger.exception("a text cannot be opened and was not searched", extra={"session": session_id})
            continue
        folded = text.lower()
        if all(word in folded for word in words):
            found.append(Found(session_of(row), _passage(text, words[0])))
    return found


def _passage(text: str, word: str) -> str:
    """The words around the first place where ``word`` stands."""
    place = re.search(re.escape(word), text, re.IGNORECASE)
    start, end = place.span() if place else (0, 0)
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    shown = text[first:last]
    if first:
        shown = "… " + shown.partition(" ")[2]
    if last < len(text):
        shown = shown.rpartition(" ")[0] + " …"
    return shown
