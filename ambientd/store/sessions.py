"""Sessions from their first moment to their end, and what became of those that a crash cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import Column, RowMapping, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.audio import RATE
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import (
    BOX,
    Box,
    Details,
    EndReason,
    Refinement,
    SessionRecord,
    SessionState,
    full_text,
)
from ambientd.core.transcript import Line
from ambientd.store import audit, listing, outbox, refining, spool, tables
from ambientd.store.database import Database
from ambientd.store.endings import Holds, destroy, end, end_crashed, owe, reopen
from ambientd.store.facts import DISCARDED, PERHAPS_DELIVERED, RESTORED, fact, remember
from ambientd.store.lines import read_lines, read_text, write_metrics
from ambientd.store.listing import Wanted
from ambientd.store.refining import mark
from ambientd.store.refusals import (
    AlreadySent,
    Discarded,
    NoSuchSession,
    SealBroken,
    SessionExists,
    SessionNotOpen,
    StillOpen,
)
from ambientd.store.rows import (
    details_of,
    details_row,
    metrics_row,
    moment_text,
    session_of,
)
from ambientd.store.vault import seal_of, vault_of

ALL: Final = Wanted()


class Sessions:
    """Every session the box has had."""

    def __init__(self, database: Database, holds: Holds | None = None) -> None:
        """``holds``: how long deliveries wait for what may still change their text."""
        self._database = database
        self._holds = holds or Holds()

    async def create(
        self,
        session_id: str,
        *,
        connected_at: datetime,
        client: str,
        language: str,
        model: str,
        sample_rate: int = RATE,
        boot_id: str | None = None,
        monotonic_start: float | None = None,
        box: Box | None = None,
        ephemeral: bool = False,
        owner: str = BOX,
    ) -> None:
        """Begin a session; returns when it is on the disk.  The fields are those of ``SessionRecord``.

        Raises:
            SessionExists: the id was used before; ids are never used twice.
            Discarded: it was that of a session that was discarded: a client may come back that has not heard of it,
                and would send it all again.
            StoreUnavailable: nothing was stored.
        """

        async def begin(connection: AsyncConnection) -> None:
            if await fact(connection, DISCARDED + session_id) is not None:
                raise Discarded
            await connection.execute(
                insert(tables.sessions).values(
                    session_id=session_id,
                    state=SessionState.OPEN,
                    connected_at=moment_text(connected_at),
                    client=client,
                    language=language,
                    model=model,
                    sample_rate=sample_rate,
                    boot_id=boot_id,
                    monotonic_start=monotonic_start,
                    box_id=box.id if box else None,
                    room=box.room if box else None,
                    quantisation=box.quantisation if box else None,
                    ephemeral=int(ephemeral),
                )
            )
            await connection.execute(
                insert(tables.metrics).values(session_id=session_id, **metrics_row(SessionMetrics()))
            )
            if owner != BOX:
                await connection.execute(insert(tables.owners).values(session_id=session_id, owner=owner))
            await vault_of(connection).make(connection, session_id)
            await audit.record(
                connection,
                actor="client" if owner == BOX else owner,
                action=audit.Action.SESSION_OPENED,
                object=session_id,
                origin=client,
            )

        try:
            await self._database.transact(begin)
        except IntegrityError as error:
            raise SessionExists(session_id) from error

    async def describe(self, session_id: str, details: Details) -> None:
        """Replace what the clinic says of a session, open or ended.

        Raises:
            NoSuchSession: there is none of that id.
            StoreUnavailable: nothing was changed.
        """
        await self.amend(session_id, lambda _: details)

    async def amend(
        self,
        session_id: str,
        change: Callable[[Details], Details],
        *,
        actor: str = "client",
        origin: str | None = None,
    ) -> Details:
        """Change what the clinic says of a session, in one transaction; gives what it says now.

        change: gives the new details for those of now; what it raises is raised here, and nothing is changed.
        actor: whose change it is; origin: where it comes from.

        Raises:
            NoSuchSession: there is none of that id.
            StoreUnavailable: nothing was changed.
        """

        async def write(connection: AsyncConnection) -> Details:
            row = await _words(connection, session_id, tables.sessions.c.details)
            if row is None:
                raise NoSuchSession
            seal = await seal_of(connection, session_id)
            amended = change(details_of(seal, row))
            await mark(connection, session_id, **details_row(seal, session_id, amended))
            await audit.record(
                connection,
                actor=actor,
                action=audit.Action.DETAILS_CHANGED,
                object=session_id,
                origin=origin,
            )
            return amended

        return await self._database.transact(write)

    async def details(self, session_id: str) -> Details:
        """What the clinic says of a session; empty if it has said nothing, or there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> Details:
            row = await _words(connection, session_id, tables.sessions.c.details)
            return Details() if row is None else details_of(await seal_of(connection, session_id), row)

        return await self._database.query(read)

    async def finalise(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
        language: str | None = None,
        monotonic_end: float | None = None,
        refinement: Refinement = Refinement.NONE,
    ) -> None:
        """End a session: its state, its text from its lines, its figures and its delivery, in one transaction.

        An ephemeral session is destroyed instead.  A second end is refused and changes nothing: the first
        reason is the true one.

        language: as finally detected; ``None`` leaves it.
        refinement: ``WAITING`` if a second hearing follows; a session without words gets none.

        Raises:
            SessionNotOpen: it has ended already or never began.
            StoreUnavailable: it is still open.
        """

        async def finish(connection: AsyncConnection) -> bool:
            record = await _find(connection, session_id)
            if record is None or record.state is not SessionState.OPEN:
                raise SessionNotOpen(session_id)
            if record.ephemeral:
                return await destroy(connection, session_id)
            waits = refinement is Refinement.WAITING and record.transcript_length > 0
            await end(
                connection,
                session_id,
                state=state,
                reason=reason,
                ended_at=ended_at,
                now=ended_at,
                held_until=ended_at + self._holds.refinement if waits else None,
                review=self._holds.review,
                language=language or record.language,
                monotonic_end=monotonic_end,
                refinement=Refinement.WAITING if waits else Refinement.NONE,
            )
            await write_metrics(connection, session_id, metrics)
            return False

        if await self._database.transact(finish):
            await self._database.scrub()

    async def discard(
        self, session_id: str, *, actor: str = "client", origin: str | None = None, still_open: bool = False
    ) -> None:
        """Destroy a session because who recorded it does not want it, as long as nobody else has it.

        actor: whose wish it is; origin: where it comes from.
        still_open: whether it may be open: only who writes to it knows that nothing more will come.

        Raises:
            NoSuchSession: there is none of that id.
            StillOpen: it has not ended.
            AlreadySent: something of it is at the centre, or may be.
            StoreUnavailable: it is still there.
        """

        async def work(connection: AsyncConnection) -> None:
            record = await _find(connection, session_id)
            over = (
                record is None or record.state is not SessionState.OPEN or record.transcription in spool.OVER
            )
            if not over and not still_open:
                raise StillOpen(session_id)
            if over and await outbox.was_sent(connection, session_id):
                raise AlreadySent
            if not await destroy(connection, session_id, actor=actor, origin=origin, why="discarded"):
                raise NoSuchSession
            await remember(connection, DISCARDED + session_id, moment_text(datetime.now(UTC)))

        await self._database.transact(work)
        await self._database.scrub()

    async def refined(self, session_id: str, lines: Sequence[Line], model: str) -> bool:
        """Take over the lines of the second hearing as the final ones, and let the delivery go, in one transaction.

        model: the model that heard them.

        Returns:
            Whether they were taken: not if they hold no word, or if the session is gone, waits no more, or is
            on its way already.

        Raises:
            StoreUnavailable: it still waits.
        """
        return await self._database.transact(
            lambda connection: refining.take(connection, session_id, lines, model)
        )

    async def not_refined(self, session_id: str, why: Literal[Refinement.FAILED, Refinement.SKIPPED]) -> bool:
        """Leave the live lines as the final ones, and let the delivery go, in one transaction.

        Returns:
            Whether the session was still waiting.

        Raises:
            StoreUnavailable: it still waits.
        """
        return await self._database.transact(lambda connection: refining.give_up(connection, session_id, why))

    async def recover(self) -> list[str]:
        """End the sessions a crash left open, as ``interrupted``; to be called before any is created.

        Those whose audio is kept to be transcribed later stay open, and wait.

        Figures that lines and gaps can tell are counted afresh from them.  Ephemeral ones are destroyed.
        What waited for a second hearing is delivered as it is.  In a file put back from a backup what is interrupted
        here may have gone on, and been delivered, after the backup was made: it is parked.  A session whose words do
        not open is ended without them.  What ended before there was an outbox is put into it.

        Returns:
            The ids of those that are interrupted now, oldest first.

        Raises:
            StoreUnavailable: none of them was ended.
        """
        destroyed: list[str] = []

        async def end_all(connection: AsyncConnection) -> list[str]:
            waiting = await connection.execute(
                select(tables.sessions.c.session_id).where(
                    tables.sessions.c.refinement == Refinement.WAITING,
                    tables.sessions.c.state != SessionState.OPEN,
                )
            )
            for (session_id,) in waiting.all():
                with suppress(SealBroken):  # whoever delivers it will say so
                    await refining.give_up(connection, session_id, Refinement.SKIPPED)
            left_open = await connection.execute(
                listing.sessions()
                .where(tables.sessions.c.state == SessionState.OPEN)
                .order_by(*listing.ORDER)
            )
            ended: list[str] = []
            restored = await fact(connection, RESTORED) == "yes"
            for record in [session_of(row) for row in left_open.mappings()]:
                if record.ephemeral:
                    await destroy(connection, record.session_id)
                    destroyed.append(record.session_id)
                elif await spool.recover(connection, record):
                    continue
                else:
                    await end_crashed(connection, record, now=datetime.now(UTC), holds=self._holds)
                    if restored:
                        await outbox.park(connection, record.session_id, reason=PERHAPS_DELIVERED)
                    ended.append(record.session_id)
            if restored:
                await remember(connection, RESTORED, "no")
            await owe(connection, now=datetime.now(UTC), review=self._holds.review)
            return ended

        ended = await self._database.transact(end_all)
        if destroyed:
            await self._database.scrub()
        return ended

    async def reopen(self, session_id: str) -> SessionRecord | None:
        """Open a session again that a crash cut off, and take its delivery back, in one transaction.

        Returns:
            The open session with its lines and figures so far; ``None`` if there is none of that id, it ended
            in another way, or its delivery has begun.

        Raises:
            StoreUnavailable: nothing was changed.
        """

        async def open_again(connection: AsyncConnection) -> SessionRecord | None:
            record = await _find(connection, session_id)
            if record is None:
                return None
            if not (await spool.reopen(connection, record) or await reopen(connection, record)):
                return None
            return await _find(connection, session_id)

        return await self._database.transact(open_again)

    async def recorded_end(self, session_id: str) -> int:
        """Samples: where the audio ends that is kept of a session; 0 if none is.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: spool.reached(connection, session_id))

    async def get(self, session_id: str) -> SessionRecord | None:
        """The session of that id, if there is one.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: _find(connection, session_id))

    async def text(self, session_id: str) -> str:
        """The whole text: the final one, or of the lines so far; empty if there is no such session.

        Raises:
            StoreUnavailable: the file cannot be read.
        """

        async def read(connection: AsyncConnection) -> str:
            final = await read_text(connection, session_id)
            if final is not None:
                return final
            return full_text(line.text for line in await read_lines(connection, session_id))

        return await self._database.query(read)

    async def list_sessions(
        self,
        limit: int,
        *,
        before: str | None = None,
        after: str | None = None,
        wanted: Wanted = ALL,
    ) -> list[SessionRecord]:
        """A page of sessions, newest first.

        limit: at most so many.
        before, after: a ``cursor``; the page of sessions next older, or next newer, than that one.

        Raises:
            BadCursor: ``before`` or ``after`` is not one that ``cursor`` gave.
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(
            lambda connection: listing.page(connection, wanted, limit, before, after)
        )

    async def count(self, wanted: Wanted = ALL) -> int:
        """How many sessions there are.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(lambda connection: listing.count(connection, wanted))


async def _find(connection: AsyncConnection, session_id: str) -> SessionRecord | None:
    found = await connection.execute(listing.sessions().where(tables.sessions.c.session_id == session_id))
    row = found.mappings().one_or_none()
    return None if row is None else session_of(row)


async def _words(
    connection: AsyncConnection, session_id: str, column: Column[bytes | None]
) -> RowMapping | None:
    """One sealed column of a session, with the session's id."""
    found = await connection.execute(
        select(tables.sessions.c.session_id, column).where(tables.sessions.c.session_id == session_id)
    )
    return found.mappings().one_or_none()
