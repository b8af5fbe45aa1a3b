"""What people change in a transcript before it is sent, revision by revision; and that they have read it.

Rule 1  The words as heard are never changed: a revision holds what differs from them.
Rule 2  The text that is final, that is searched and that is delivered changes in the transaction of the revision.
Rule 3  What may have been sent is not changed any more: the centre and the box never hold two texts.
Rule 4  Whoever corrects or approves a text ends the wait for a second hearing: nothing may change it afterwards.
Rule 5  Approved is what was read, not what has come in its place meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core import correction
from ambientd.core.correction import Correction
from ambientd.core.record import Refinement, SessionRecord, SessionState, full_text
from ambientd.core.transcript import Line
from ambientd.store import audit, listing, outbox, refining, tables
from ambientd.store.audit import Action
from ambientd.store.database import Database
from ambientd.store.lines import final_table, latest_correction, read_lines
from ambientd.store.refusals import CorrectedMeanwhile, NoSuchSession, StillOpen, TextSent, UnusableText
from ambientd.store.rows import correction_of, correction_row, full_text_row, session_of
from ambientd.store.vault import seal_of


@dataclass(frozen=True, slots=True)
class Read:
    """Which text of a session somebody has read."""

    tier: str
    """``live`` or ``refined``; ``corrected`` for whoever knows a revision and not what it was made from."""
    revision: int
    """0 if nobody had corrected it."""

    def is_what_was(self, read: Read | None) -> bool:
        """Whether the text as it is now is the one that was ``read``; ``None`` is believed of the first text only."""
        if read is None:
            return self == Read("live", 0)
        if read.tier == "corrected":
            return read.revision == self.revision > 0
        return read == self


@dataclass(frozen=True, slots=True)
class Revisions:
    """A session's words as heard, and all that was changed in them."""

    tier: str
    """What was heard: ``live``, or ``refined`` once there was a second hearing."""
    heard: list[Line]
    corrections: tuple[Correction, ...]
    """Oldest first."""
    open: bool
    """Whether they can still be corrected: nothing of them may have been sent."""

    @property
    def revision(self) -> int:
        """The newest; 0 if there is none."""
        return self.corrections[-1].revision if self.corrections else 0

    @property
    def texts(self) -> Mapping[int, str]:
        """What differs now from the words as heard, by their index."""
        return self.corrections[-1].texts if self.corrections else {}


class Corrections:
    """The corrections of all sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, session_id: str) -> Revisions:
        """The words of a session that has ended, and every revision of them.

        Raises:
            NoSuchSession: there is none of that id.
            StillOpen: it has not ended.
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> Revisions:
            await _ended(connection, session_id)
            table = tables.corrections
            found = await connection.execute(
                select(table).where(table.c.session_id == session_id).order_by(table.c.revision)
            )
            seal = await seal_of(connection, session_id)
            return Revisions(
                tier=await _tier(connection, session_id),
                heard=await read_lines(connection, session_id, await final_table(connection, session_id)),
                corrections=tuple(correction_of(seal, row) for row in found.mappings()),
                open=await outbox.replaceable(connection, session_id),
            )

        return await self._database.query(read)

    async def put(
        self,
        session_id: str,
        *,
        tier: str,
        revision: int,
        texts: Mapping[int, str],
        actor: str,
        origin: str | None,
        at: datetime,
    ) -> int:
        """Store the next revision; gives its number, or that of the present one if nothing differs from it.

        tier: what was corrected, the live or the refined lines.
        revision: the newest one that whoever corrects has seen.
        texts: of every line whose text is to differ from what was heard, by its index; empty takes a line out.

        Raises:
            NoSuchSession: there is none of that id.
            StillOpen: it has not ended.
            CorrectedMeanwhile: there is a newer revision, or a second hearing has come.
            TextSent: it may be at the centre.
            UnusableText: a line is not there, or nothing would be left.
            StoreUnavailable: nothing was changed.
        """

        async def write(connection: AsyncConnection) -> int:
            record = await _ended(connection, session_id)
            await _settle(connection, record)
            before = await latest_correction(connection, session_id)
            seen = revision == (before.revision if before else 0)
            if not seen or tier != await _tier(connection, session_id):
                raise CorrectedMeanwhile
            heard = await read_lines(connection, session_id, await final_table(connection, session_id))
            if texts.keys() - {line.index for line in heard}:
                raise UnusableText("a corrected line is none of this session")
            wanted = correction.needed(heard, texts)
            if wanted == dict(before.texts if before else {}):
                return revision
            text = full_text(line.text for line in correction.corrected(heard, wanted))
            if not text:
                raise UnusableText("nothing would be left of the text", "Delete the session instead.")
            if not await outbox.replace(connection, session_id, text=text):
                raise TextSent
            seal = await seal_of(connection, session_id)
            following = Correction(revision + 1, at, actor, wanted)
            await connection.execute(
                insert(tables.corrections).values(correction_row(seal, session_id, following))
            )
            await refining.mark(
                connection, session_id, transcript_length=len(text), **full_text_row(seal, session_id, text)
            )
            await audit.record(
                connection,
                actor=actor,
                action=Action.TRANSCRIPT_CORRECTED,
                object=session_id,
                origin=origin,
                outcome=f"revision_{following.revision}",
            )
            return following.revision

        return await self._database.transact(write)

    async def approve(
        self, session_id: str, *, read: Read | None, actor: str, origin: str | None, at: datetime
    ) -> None:
        """Note that somebody has read the text, and let its delivery go; a second time changes nothing.

        read: the text he has read; ``None`` if he does not say, which is believed while there has been one text only.

        Raises:
            NoSuchSession: there is none of that id.
            StillOpen: it has not ended.
            CorrectedMeanwhile: the text is another than the one that was read, or may be.
            StoreUnavailable: nothing was changed.
        """

        async def write(connection: AsyncConnection) -> None:
            record = await _ended(connection, session_id)
            if read is None and record.reviewed_at is not None:
                return
            before = await latest_correction(connection, session_id)
            now = Read(await _tier(connection, session_id), before.revision if before else 0)
            if not now.is_what_was(read):
                raise CorrectedMeanwhile
            if record.reviewed_at is not None:
                return
            await _settle(connection, record)
            await outbox.reviewed(connection, session_id, at=at)
            await audit.record(
                connection,
                actor=actor,
                action=Action.TRANSCRIPT_REVIEWED,
                object=session_id,
                origin=origin,
                outcome=f"{now.tier}_revision_{now.revision}",
            )

        await self._database.transact(write)


async def _ended(connection: AsyncConnection, session_id: str) -> SessionRecord:
    found = await connection.execute(listing.sessions().where(tables.sessions.c.session_id == session_id))
    row = found.mappings().one_or_none()
    if row is None:
        raise NoSuchSession
    record = session_of(row)
    if record.state is SessionState.OPEN:
        raise StillOpen(session_id)
    return record


async def _tier(connection: AsyncConnection, session_id: str) -> str:
    refined = await final_table(connection, session_id) is tables.refined_chunks
    return "refined" if refined else "live"


async def _settle(connection: AsyncConnection, record: SessionRecord) -> None:
    if record.refinement is Refinement.WAITING:
        await refining.give_up(connection, record.session_id, Refinement.SKIPPED)
