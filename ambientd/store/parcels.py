"""One delivery and its parts, within the transaction of whoever moves it on.

Invariant: a part's text is cut once, before the first call, and never again while any part may have been sent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.correction import corrected
from ambientd.core.delivery import Part, PartStatus, Upload, cuts
from ambientd.core.marks import Mention
from ambientd.core.record import Details, SessionRecord
from ambientd.core.transcript import Line
from ambientd.store import tables
from ambientd.store.lines import final_table, latest_correction, read_openable
from ambientd.store.outbox import sealed_digest
from ambientd.store.refusals import SealBroken
from ambientd.store.rows import UPLOAD, details_of, moment_text, part_of, upload_of
from ambientd.store.vault import Place, seal_of

_upload = tables.uploads.c
_part = tables.parts.c


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is needed to send one session."""

    upload: Upload
    record: SessionRecord
    details: Details
    text: str
    fresh: bool
    """Whether the part in flight was marked just now and has not been sent before."""
    put_in: tuple[Mention, ...] = ()
    """The names in ``text`` that stand in place of what was heard, in order."""

    def words(self, part: Part) -> str:
        """The text of one part."""
        return self.text[part.start : part.end]

    def names(self, part: Part) -> list[Mention]:
        """The names that were put into one part, counted by its own characters."""
        return [
            replace(each, start=each.start - part.start, end=min(each.end, part.end) - part.start)
            for each in self.put_in
            if part.start <= each.start < part.end
        ]


def rows() -> Select[tuple[Any, ...]]:
    """Every delivery, without its parts."""
    return select(*UPLOAD)


async def find(connection: AsyncConnection, upload_id: str) -> Upload | None:
    """The row of that id with its parts, within a transaction."""
    row = (await connection.execute(rows().where(_upload.id == upload_id))).mappings().one_or_none()
    return None if row is None else await with_parts(connection, upload_of(row))


async def with_parts(connection: AsyncConnection, upload: Upload) -> Upload:
    """The delivery with its parts, in their order."""
    found = await connection.execute(select(tables.parts).where(_part.id == upload.id).order_by(_part.part))
    return replace(upload, parts=tuple(part_of(row) for row in found.mappings()))


async def withdrawn(connection: AsyncConnection, session_id: str) -> bool:
    """Whether the patient has withdrawn consent, as of this transaction: calls take long enough for that."""
    found = await connection.execute(
        select(tables.sessions.c.session_id, tables.sessions.c.details).where(
            tables.sessions.c.session_id == session_id
        )
    )
    return details_of(await seal_of(connection, session_id), found.mappings().one()).withdrawn


async def delivered_lines(connection: AsyncConnection, session_id: str) -> list[Line]:
    """The lines that the text is made of.  One that does not open is not in the text either: see ``endings``."""
    table = await final_table(connection, session_id)
    lines = (await read_openable(connection, session_id, table))[0]
    # What a person changed has gone into the text: that it does not open now must not keep the text here.
    with suppress(SealBroken):
        if correction := await latest_correction(connection, session_id):
            return corrected(lines, correction.texts)
    return lines


async def cut(connection: AsyncConnection, upload: Upload, text: str, most: int | None) -> Upload:
    """Make the parts afresh: none of them has been sent."""
    turns, at = [], 0
    if most is not None and len(text) > most:
        for line in await delivered_lines(connection, upload.session_id):
            turns.append(at)
            at += len(line.text) + 1
    await connection.execute(tables.parts.delete().where(_part.id == upload.id))
    for number, (start, end) in enumerate(cuts(text, turns, most)):
        raw = text[start:end].encode()
        place = Place(tables.parts.name, "digest", f"{upload.id}/{number}")
        await connection.execute(
            insert(tables.parts).values(
                id=upload.id,
                part=number,
                start=start,
                end=end,
                digest=await sealed_digest(connection, upload.session_id, place, raw),
                size=len(raw),
                status=PartStatus.PENDING,
            )
        )
    return await with_parts(connection, upload)


async def all_in_flight(connection: AsyncConnection, upload: Upload) -> Upload:
    """Mark every part as one that may have been sent, at the delivery's last attempt."""
    since = None if upload.attempted_at is None else moment_text(upload.attempted_at)
    for part in upload.parts:
        await change_part(connection, upload.id, part.number, status=PartStatus.IN_FLIGHT, attempted_at=since)
    return await with_parts(connection, upload)


async def mark_next(connection: AsyncConnection, upload: Upload, by_the_centre: datetime) -> None:
    """Mark the first part that has not been sent, if there is one, before the call that sends it."""
    following = next((part for part in upload.parts if part.status is PartStatus.PENDING), None)
    if following is not None:
        await change_part(
            connection,
            upload.id,
            following.number,
            status=PartStatus.IN_FLIGHT,
            attempted_at=moment_text(by_the_centre),
        )


async def settle(connection: AsyncConnection, upload_id: str, not_sent: int | None) -> None:
    """Take the mark off the part that has certainly not arrived, if any."""
    if not_sent is not None:
        await change_part(connection, upload_id, not_sent, status=PartStatus.PENDING)


async def change(connection: AsyncConnection, upload: str, /, **columns: Any) -> None:
    """Set columns of the delivery."""
    await connection.execute(update(tables.uploads).where(_upload.id == upload).values(**columns))


async def change_part(connection: AsyncConnection, upload: str, number: int, /, **columns: Any) -> None:
    """Set columns of one of its parts."""
    await connection.execute(
        update(tables.parts).where(_part.id == upload, _part.part == number).values(**columns)
    )
