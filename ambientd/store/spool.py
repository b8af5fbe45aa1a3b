"""Audio that is kept until the box has time to transcribe it, and destroyed with the transaction that stores its text.

    Rule 1  Audio is stored in pieces of some seconds, each sealed with its session's data key and bound to its place,
            each in a transaction of its own: what was appended survives everything.
    Rule 2  The session stays open until its text is stored.  So nobody takes it for finished, delivers it, or lets it
            go by its age.
    Rule 3  Its text, its end, its delivery and the destruction of its audio, and of its client's own prompt and names,
            are one transaction.
    Rule 4  What cannot be opened is kept, and said; only a person destroys it.

The pieces are rows and not files, so that what holds for words holds for them: the same key, the same log, the same
overwriting of what is deleted.  No backup holds them: see ``copies``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import RowMapping, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.audio import seconds
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, Manner, SessionRecord, SessionState, Transcription
from ambientd.core.transcript import Gap, Line
from ambientd.store import listing, tables
from ambientd.store.database import Database
from ambientd.store.endings import SCRUB_DUE, Holds, end
from ambientd.store.facts import remember
from ambientd.store.lines import add_line, write_metrics
from ambientd.store.refusals import SealBroken, SessionNotOpen
from ambientd.store.rows import (
    details_of,
    gap_row,
    manner_of,
    manner_row,
    moment,
    moment_text,
    session_of,
)
from ambientd.store.vault import Place, seal_of

_row, _piece = tables.recordings.c, tables.audio_chunks.c

KEPT: Final = (Transcription.RECORDING, Transcription.WAITING, Transcription.RUNNING, Transcription.FAILED)
"""Where there is audio."""

OVER: Final = (Transcription.WAITING, Transcription.RUNNING, Transcription.FAILED)
"""Where nobody records any more, although the session is open."""


@dataclass(frozen=True, slots=True)
class Stock:
    """How much audio is kept."""

    waiting: int = 0
    """Sessions to be transcribed, or being transcribed."""
    failed: int = 0
    samples: int = 0
    """Of all, those being recorded and those that failed included."""
    oldest: datetime | None = None
    """When the oldest that waits began; aware, UTC."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of audio as it was recorded."""

    start: int
    """Samples since the session began."""
    pcm: bytes
    """Signed 16-bit, 16 kHz, mono."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A session whose turn it is to be transcribed."""

    record: SessionRecord
    pieces: tuple[int, ...]
    """Numbers of the pieces, in order."""
    end: int
    """Samples: where the audio ends."""
    withdrawn: bool
    """Whether the patient has taken consent back: then nobody may hear it."""


class Spool:
    """All audio that is kept."""

    def __init__(self, database: Database, holds: Holds | None = None) -> None:
        """``holds``: how long deliveries wait for what may still change their text."""
        self._database = database
        self._holds = holds or Holds()

    async def begin(self, session_id: str) -> None:
        """From now on the audio of an open session is kept; also of one that goes on after a crash.

        Raises:
            StoreUnavailable: nothing was stored.
        """

        async def work(connection: AsyncConnection) -> None:
            kept = await connection.scalar(
                select(func.coalesce(func.sum(_piece.samples), 0)).where(_piece.session_id == session_id)
            )
            await connection.execute(
                insert(tables.recordings)
                .prefix_with("OR REPLACE")
                .values(session_id=session_id, status=Transcription.RECORDING, samples=kept)
            )

        await self._database.transact(work)

    async def append(self, session_id: str, piece: Piece, metrics: SessionMetrics) -> int:
        """Store the next piece of audio; returns when it is on the disk, with the samples kept of all sessions.

        metrics: the session's figures with this piece counted in.

        Raises:
            SessionNotOpen: the session is not being recorded.
            StoreUnavailable: nothing was stored.
        """
        count = len(piece.pcm) // 2

        async def work(connection: AsyncConnection) -> int:
            counted = await connection.execute(
                update(tables.recordings)
                .where(_row.session_id == session_id, _row.status == Transcription.RECORDING)
                .values(samples=_row.samples + count)
            )
            if counted.rowcount != 1:
                raise SessionNotOpen(session_id)
            last = await connection.scalar(
                select(func.max(_piece.chunk_index)).where(_piece.session_id == session_id)
            )
            index = 0 if last is None else last + 1
            seal = await seal_of(connection, session_id)
            await connection.execute(
                insert(tables.audio_chunks).values(
                    session_id=session_id,
                    chunk_index=index,
                    start_sample=piece.start,
                    samples=count,
                    pcm=seal.close_bytes(piece.pcm, _place(session_id, index, piece.start)),
                )
            )
            await write_metrics(connection, session_id, metrics)
            return await _samples(connection)

        return await self._database.transact(work)

    async def note(self, session_id: str, manner: Manner, *, language: str) -> None:
        """Store how it is to be heard; what ``manner`` leaves out stays as it was, also from before a crash.

        Raises:
            SealBroken: what was noted before does not open; it is left as it is.
            SessionNotOpen: it is not being recorded.
            StoreUnavailable: nothing was changed.
        """

        async def work(connection: AsyncConnection) -> None:
            of_it = _row.session_id == session_id
            found = await connection.execute(
                select(_row.session_id, _row.manner).where(of_it, _row.status == Transcription.RECORDING)
            )
            row = found.mappings().one_or_none()
            if row is None:
                raise SessionNotOpen(session_id)
            seal = await seal_of(connection, session_id)
            noted = manner_of(seal, row).amended(manner)
            await connection.execute(
                update(tables.recordings).where(of_it).values(manner_row(seal, session_id, noted))
            )
            await _speak(connection, session_id, language)

        await self._database.transact(work)

    async def manner(self, session_id: str) -> Manner:
        """How it is to be heard.

        Raises:
            SealBroken: it does not open.
            StoreUnavailable: the file cannot be read.
        """

        async def work(connection: AsyncConnection) -> Manner:
            found = await connection.execute(
                select(_row.session_id, _row.manner).where(_row.session_id == session_id)
            )
            row = found.mappings().one_or_none()
            return Manner() if row is None else manner_of(await seal_of(connection, session_id), row)

        return await self._database.query(work)

    async def close(
        self,
        session_id: str,
        *,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
        language: str,
        monotonic_end: float | None = None,
    ) -> None:
        """The recording has ended: its audio waits to be transcribed.

        language: in which it is to be heard.

        Raises:
            SessionNotOpen: it is not being recorded.
            StoreUnavailable: it is still being recorded.
        """

        async def work(connection: AsyncConnection) -> None:
            ended = await connection.execute(
                update(tables.recordings)
                .where(_row.session_id == session_id, _row.status == Transcription.RECORDING)
                .values(
                    status=Transcription.WAITING,
                    end_reason=reason,
                    ended_at=moment_text(ended_at),
                    monotonic_end=monotonic_end,
                )
            )
            if ended.rowcount != 1:
                raise SessionNotOpen(session_id)
            await _speak(connection, session_id, language)
            await write_metrics(connection, session_id, metrics)

        await self._database.transact(work)

    async def next(self) -> Kept | None:
        """The session that has waited longest, marked as running; ``None`` if none waits.

        Raises:
            StoreUnavailable: none was marked.
        """

        async def work(connection: AsyncConnection) -> Kept | None:
            found = await connection.execute(
                listing.sessions()
                .where(
                    tables.sessions.c.session_id.in_(
                        # One that is running is left over: whoever asks is the only one who hears.
                        select(_row.session_id).where(
                            _row.status.in_((Transcription.WAITING, Transcription.RUNNING))
                        )
                    )
                )
                .order_by(*listing.ORDER)
                .limit(1)
            )
            row = found.mappings().one_or_none()
            if row is None:
                return None
            record = session_of(row)
            await _mark(connection, record.session_id, Transcription.RUNNING)
            pieces = await connection.execute(
                select(_piece.chunk_index, (_piece.start_sample + _piece.samples).label("end"))
                .where(_piece.session_id == record.session_id)
                .order_by(_piece.chunk_index)
            )
            known = pieces.all()
            return Kept(
                record,
                tuple(each.chunk_index for each in known),
                known[-1].end if known else 0,
                await _withdrawn(connection, record.session_id),
            )

        return await self._database.transact(work)

    async def read(self, session_id: str, index: int) -> Piece | None:
        """One piece of audio; ``None`` if it has been destroyed.

        Raises:
            SealBroken: it does not open.
            StoreUnavailable: the file cannot be read.
        """

        async def work(connection: AsyncConnection) -> Piece | None:
            found = await connection.execute(
                select(_piece.start_sample, _piece.pcm).where(
                    _piece.session_id == session_id, _piece.chunk_index == index
                )
            )
            row = found.one_or_none()
            if row is None:
                return None
            seal = await seal_of(connection, session_id)
            start = row.start_sample
            return Piece(start, seal.open_bytes(row.pcm, _place(session_id, index, start)))

        return await self._database.query(work)

    async def complete(
        self,
        session_id: str,
        *,
        lines: Sequence[Line],
        gaps: Sequence[Gap],
        metrics: SessionMetrics,
        language: str,
    ) -> bool:
        """Store the text, end the session, let its delivery go and destroy its audio, in one transaction.

        lines: to be numbered on from those the session has.  metrics: the figures with all of it counted in.

        Returns:
            Whether there still was such a session; it may have been destroyed meanwhile.

        Raises:
            StoreUnavailable: nothing was changed; the audio is there.
        """

        async def work(connection: AsyncConnection) -> bool:
            found = await connection.execute(
                select(tables.recordings, tables.sessions.c.total_chunks)
                .join_from(tables.recordings, tables.sessions)
                .where(_row.session_id == session_id, _row.status == Transcription.RUNNING)
            )
            row = found.mappings().one_or_none()
            if row is None:
                return False
            for number, line in enumerate(lines, row[tables.sessions.c.total_chunks]):
                await add_line(connection, session_id, replace(line, index=number))
            for gap in gaps:
                await connection.execute(insert(tables.gaps).values(gap_row(session_id, gap)))
            await self._end(connection, row, metrics, language)
            await _destroy(connection, session_id)
            return True

        done = await self._database.transact(work)
        if done:
            await self._database.scrub()
        return done

    async def _end(
        self, connection: AsyncConnection, row: RowMapping, metrics: SessionMetrics, language: str
    ) -> None:
        reason = EndReason(row[_row.end_reason])
        cut_off = reason in {EndReason.CRASH, EndReason.ERROR}
        session_id = row[_row.session_id]
        await end(
            connection,
            session_id,
            state=SessionState.INTERRUPTED if cut_off else SessionState.ENDED,
            reason=reason,
            ended_at=moment(row[_row.ended_at]),
            now=datetime.now(UTC),
            review=self._holds.review,
            language=language,
            monotonic_end=row[_row.monotonic_end],
        )
        await write_metrics(connection, session_id, metrics)

    async def fail(self, session_id: str, fault: str) -> None:
        """Leave a session to a person, its audio with it.

        fault: why, in words of ours.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        await self._database.transact(
            lambda connection: _mark(connection, session_id, Transcription.FAILED, fault=fault)
        )

    async def put_back(self, session_id: str) -> None:
        """Let a session that was begun wait again.

        Raises:
            StoreUnavailable: nothing was changed; the next start does it.
        """
        await self._database.transact(lambda connection: _mark(connection, session_id, Transcription.WAITING))

    async def stock(self) -> Stock:
        """How much is kept.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._database.query(_stock)


async def recover(connection: AsyncConnection, record: SessionRecord) -> bool:
    """At the start: have an open session wait that a crash cut off, or whose transcription it cut off.

    One that could not be transcribed is tried again.

    Returns:
        Whether it is one whose audio is kept; any other is for the caller to end.
    """
    if record.transcription not in KEPT:
        return False
    await _mark(connection, record.session_id, Transcription.WAITING)
    if record.transcription is Transcription.RECORDING:
        # Where its audio ends: the last moment it is known to have lived.
        end = await reached(connection, record.session_id)
        ended_at = record.connected_at + timedelta(seconds=seconds(end))
        await connection.execute(
            update(tables.recordings)
            .where(_row.session_id == record.session_id)
            .values(end_reason=EndReason.CRASH, ended_at=moment_text(ended_at))
        )
    return True


async def reopen(connection: AsyncConnection, record: SessionRecord) -> bool:
    """Have a recording go on that a crash cut off; whether it does."""
    ended = and_(_row.status == Transcription.WAITING, _row.end_reason == EndReason.CRASH)
    opened = await connection.execute(
        update(tables.recordings)
        .where(_row.session_id == record.session_id, ended)
        .values(status=Transcription.RECORDING, end_reason=None, ended_at=None)
    )
    return opened.rowcount == 1


async def reached(connection: AsyncConnection, session_id: str) -> int:
    """Samples: where the audio ends that is kept of a session, within a transaction; 0 if none is."""
    end = await connection.scalar(
        select(func.max(_piece.start_sample + _piece.samples)).where(_piece.session_id == session_id)
    )
    return end or 0


async def _destroy(connection: AsyncConnection, session_id: str) -> None:
    await connection.execute(delete(tables.audio_chunks).where(_piece.session_id == session_id))
    await connection.execute(
        update(tables.recordings)
        .where(_row.session_id == session_id)
        .values(status=Transcription.DONE, samples=0, fault=None, manner=None)
    )
    await remember(connection, SCRUB_DUE, "yes")


async def _speak(connection: AsyncConnection, session_id: str, language: str) -> None:
    await connection.execute(
        update(tables.sessions).where(tables.sessions.c.session_id == session_id).values(language=language)
    )


async def _mark(
    connection: AsyncConnection, session_id: str, status: Transcription, *, fault: str | None = None
) -> None:
    await connection.execute(
        update(tables.recordings)
        .where(_row.session_id == session_id, _row.status.in_(KEPT))
        .values(status=status, fault=fault)
    )


async def _samples(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.coalesce(func.sum(_row.samples), 0))) or 0


async def _stock(connection: AsyncConnection) -> Stock:
    found = await connection.execute(select(_row.status, func.count()).group_by(_row.status))
    counts: dict[str, int] = {row[0]: row[1] for row in found.all()}
    waits = (Transcription.WAITING, Transcription.RUNNING)
    oldest = await connection.scalar(
        select(func.min(tables.sessions.c.connected_at))
        .join_from(tables.sessions, tables.recordings)
        .where(_row.status.in_(waits))
    )
    return Stock(
        waiting=sum(counts.get(each, 0) for each in waits),
        failed=counts.get(Transcription.FAILED, 0),
        samples=await _samples(connection),
        oldest=None if oldest is None else moment(oldest),
    )


async def _withdrawn(connection: AsyncConnection, session_id: str) -> bool:
    found = await connection.execute(
        select(tables.sessions.c.session_id, tables.sessions.c.details).where(
            tables.sessions.c.session_id == session_id
        )
    )
    row = found.mappings().one()
    if row[tables.sessions.c.details] is None:
        return False
    try:
        return details_of(await seal_of(connection, session_id), row).withdrawn
    except SealBroken:
        return False  # whoever reads its audio will find out, and say so


def _place(session_id: str, index: int, start: int) -> Place:
    # Where it belongs in time as well: moved audio would give words with wrong times.
    return Place(tables.audio_chunks.name, "pcm", f"{session_id}/{index}/{start}")
