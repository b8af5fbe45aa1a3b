"""Whether the time of day can be trusted with what cannot be undone.

A box without a battery starts in 1970, one with a wrong year starts in that.  So the box keeps the latest time at which
it purged, and lets nothing go while the clock is behind that mark or far ahead of it, until the clock is put right or a
person says that it is.  Whether the kernel is synchronised is not asked: without a time server it never is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.store.facts import fact, remember
from ambientd.store.rows import moment, moment_text

SEEN: Final = "clock_seen"
"""A fact: the latest time at which the clock was trusted."""

FARTHEST: Final = timedelta(days=35)
"""How far ahead of the mark the clock is still believed: a practice closes for a month, hardly for longer."""

SLACK: Final = timedelta(days=1)
"""How far back a clock may be set in ordinary life: a time zone mistaken, a time server's correction."""

BORN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No box has recorded anything before: an earlier date is of a clock that was wrong."""


class Doubt(StrEnum):
    """What is wrong with the clock."""

    UNSET = "unset"
    """It shows a time before there was any box."""
    BEHIND = "behind"
    """It is before a time that has been."""
    AHEAD = "ahead"
    """It is so far ahead that either it is wrong or the box was off for very long."""


async def doubt(connection: AsyncConnection, now: datetime) -> Doubt | None:
    """What speaks against believing that it is ``now``, within a transaction; ``None`` if nothing does."""
    known = await fact(connection, SEEN)
    return doubted(now, None if known is None else moment(known))


def doubted(now: datetime, seen: datetime | None) -> Doubt | None:
    """What speaks against believing that it is ``now``; ``seen``: the latest time that was believed."""
    if now < BORN:
        return Doubt.UNSET
    if seen is None:
        return None
    if now < seen - SLACK:
        return Doubt.BEHIND
    return Doubt.AHEAD if now > seen + FARTHEST else None


async def believe(connection: AsyncConnection, now: datetime) -> None:
    """Put the mark to ``now``, within a write transaction, even back."""
    await remember(connection, SEEN, moment_text(now))


async def advance(connection: AsyncConnection, now: datetime) -> None:
    """Put the mark to ``now``, within a write transaction, if that is later."""
    known = await fact(connection, SEEN)
    if known is None or moment(known) < now:
        await believe(connection, now)
