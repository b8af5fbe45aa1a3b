"""The chain of the audit: each row's hash covers the row and the hash before it.

    hash = SHA-256(hash before + JSON of [number, at, actor, action, object, origin, outcome])

The JSON has no spaces and is plain ASCII.  The first row follows ``GENESIS``, or the *anchor*: number and hash of the
last row that a purge took away.  The *head*, number and hash of the newest row, stands beside it, so that rows missing
at the end are missed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.store import tables
from ambientd.store.facts import fact

GENESIS: Final = bytes(32)
"""The hash before the first row."""

HEAD: Final = "audit_head"
ANCHOR: Final = "audit_anchor"
"""Names of facts.  The trigger that refuses to delete a row reads the anchor by this name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row."""

    number: int
    """From 1, without a hole."""
    at: str
    """UTC text, as everywhere in the store."""
    actor: str
    """``box``, ``operator`` or ``client``, until there are accounts."""
    action: str
    object: str | None
    """The id of what it was done to."""
    origin: str | None
    """An address, or the part of the box that did it."""
    outcome: str
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number} {self.hash.hex()}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of following the chain."""

    rows: int
    """Rows whose links hold."""
    anchor: Link
    """What the first row follows."""
    end: Link
    """The last row whose link holds."""
    broken_at: int | None = None
    """Number of the first row whose link does not hold, or that is missing."""
    why: str = ""


def sealed(before: bytes, entry: Entry) -> bytes:
    """The hash of a row, from all its other fields and the hash before it."""
    fields = [entry.number, entry.at, entry.actor, entry.action, entry.object, entry.origin, entry.outcome]
    return hashlib.sha256(before + json.dumps(fields, separators=(",", ":")).encode("ascii")).digest()


async def link(connection: AsyncConnection, name: str) -> Link:
    """The head or the anchor, within a transaction."""
    return link_of(await fact(connection, name))


def link_of(value: str | None) -> Link:
    """A link as its fact has it; before the first row if there is none."""
    if value is None:
        return Link(0, GENESIS)
    number, _, digest = value.partition(" ")
    return Link(int(number), bytes.fromhex(digest))


class Follower:
    """Follows the chain row by row, from its anchor to its head."""

    def __init__(self, anchor: Link, head: Link) -> None:
        self._anchor = self._at = anchor
        self._head = head

    def take(self, entry: Entry) -> Verdict | None:
        """Takes the next row; the verdict where the chain breaks there, else ``None``."""
        anchor, at = self._anchor, self._at
        if entry.number != at.number + 1:
            return Verdict(at.number - anchor.number, anchor, at, at.number + 1, "the row is missing")
        if entry.hash != sealed(at.hash, entry):
            whole = entry.number - anchor.number - 1
            return Verdict(whole, anchor, at, entry.number, "the row is not as it was written")
        self._at = Link(entry.number, entry.hash)
        return None

    def verdict(self) -> Verdict:
        """What became of it, once all rows have been taken."""
        anchor, at, head = self._anchor, self._at, self._head
        rows = at.number - anchor.number
        if at == head:
            return Verdict(rows, anchor, at)
        if at.number < head.number:
            return Verdict(
                rows, anchor, at, at.number + 1, f"the rows up to {head.number} are missing at the end"
            )
        return Verdict(rows, anchor, at, at.number, "the chain was made anew up to here")


async def follow(connection: AsyncConnection) -> Verdict:
    """Follow the chain from its anchor to its head, on one view of the file."""
    follower = Follower(await link(connection, ANCHOR), await link(connection, HEAD))
    found = await connection.stream(select(tables.audit).order_by(tables.audit.c.number))
    async for row in found.mappings():
        if (broken := follower.take(Entry(**row))) is not None:
            return broken
    return follower.verdict()
