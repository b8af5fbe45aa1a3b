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
    value = await fact(connection, name)
    if value is None:
        return Link(0, GENESIS)
    number, _, digest = value.partition(" ")
    return Link(int(number), bytes.fromhex(digest))


async def follow(connection: AsyncConnection) -> Verdict:
    """Follow the chain from its anchor to its head, on one view of the file."""
    anchor = at = await link(connection, ANCHOR)
    head = await link(connection, HEAD)
    found = await connection.stream(select(tables.audit).order_by(tables.audit.c.number))
    async for row in found.mappings():
        entry = Entry(**row)
        whole = entry.number - anchor.number - 1
        if entry.number != at.number + 1:
            return Verdict(at.number - anchor.number, anchor, at, at.number + 1, "the row is missing")
        if entry.hash != sealed(at.hash, entry):
            return Verdict(whole, anchor, at, entry.number, "the row is not as it was written")
        at = Link(entry.number, entry.hash)
    rows = at.number - anchor.number
    if at == head:
        return Verdict(rows, anchor, at)
    if at.number < head.number:
        return Verdict(
            rows, anchor, at, at.number + 1, f"the rows up to {head.number} are missing at the end"
        )
    return Verdict(rows, anchor, at, at.number, "the chain was made anew up to here")
