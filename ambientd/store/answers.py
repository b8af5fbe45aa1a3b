"""What the centre has answered about each session, here to be read without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.answers import Answer, Question
from ambientd.core.delivery import AnswersStatus, Upload
from ambientd.store import tables
from ambientd.store.database import Database
from ambientd.store.deliveries import FARTHEST
from ambientd.store.facts import fact, remember
from ambientd.store.parcels import find
from ambientd.store.rows import answer_of, answer_row, moment, moment_text
from ambientd.store.vault import seal_of

_upload = tables.uploads.c

QUESTIONS: Final = "central_questions"
"""The fact that holds the questions; they are the clinic's and the centre's, not of any conversation."""


@dataclass(frozen=True, slots=True)
class SessionAnswers:
    """The answers about one session."""

    status: AnswersStatus
    answers: tuple[tuple[int, Answer], ...] = ()
    """Of each part, counted from 0, in the centre's order."""
    received_at: datetime | None = None


class Answers:
    """The answers about all sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime, *, limit: int = 100) -> list[Upload]:
        """Delivered rows whose answers are to be asked for now, those that have waited longest first.

        Raises:
            StoreUnavailable: as every method here.
        """
        when = _upload.answers_at
        wanted = (
            select(_upload.id)
            .where(
                and_(
                    _upload.answers == AnswersStatus.WAITING,
                    or_(when <= moment_text(now), when > moment_text(now + FARTHEST)),
                )
            )
            .order_by(when)
            .limit(limit)
        )

        async def work(connection: AsyncConnection) -> list[Upload]:
            ids = [upload_id for (upload_id,) in (await connection.execute(wanted)).all()]
            found = [await find(connection, upload_id) for upload_id in ids]
            return [upload for upload in found if upload is not None]

        return await self._database.query(work)

    async def keep(self, upload: Upload, answers: Sequence[tuple[int, Answer]], now: datetime) -> None:
        """Store all answers about a session in place of any there, and ask no more; (part, answer) each."""

        async def work(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(tables.uploads)
                .where(_upload.id == upload.id, _upload.answers != AnswersStatus.NONE)
                .values(answers=AnswersStatus.DONE, answers_at=None)
            )
            if changed.rowcount != 1:
                return  # purged meanwhile
            await connection.execute(
                delete(tables.answers).where(tables.answers.c.session_id == upload.session_id)
            )
            seal = await seal_of(connection, upload.session_id)
            for number, (part, answer) in enumerate(answers):
                await connection.execute(
                    insert(tables.answers).values(
                        session_id=upload.session_id,
                        number=number,
                        part=part,
                        received_at=moment_text(now),
                        **answer_row(seal, upload.session_id, number, answer),
                    )
                )

        await self._database.transact(work)

    async def later(self, upload_id: str, until: datetime) -> None:
        """Ask again at ``until``."""
        await self._set(upload_id, AnswersStatus.WAITING, until)

    async def give_up(self, upload_id: str) -> None:
        """Ask no more: there will be none."""
        await self._set(upload_id, AnswersStatus.FAILED, None)

    async def of(self, session_id: str) -> SessionAnswers:
        """The answers about a session."""

        async def work(connection: AsyncConnection) -> SessionAnswers:
            status = await connection.scalar(select(_upload.answers).where(_upload.session_id == session_id))
            found = await connection.execute(
                select(tables.answers)
                .where(tables.answers.c.session_id == session_id)
                .order_by(tables.answers.c.number)
            )
            rows = list(found.mappings())
            known = AnswersStatus(status or AnswersStatus.NONE)
            if not rows:
                return SessionAnswers(known)
            seal = await seal_of(connection, session_id)
            answers = tuple((row["part"], answer_of(seal, row)) for row in rows)
            return SessionAnswers(known, answers, moment(rows[0]["received_at"]))

        return await self._database.query(work)

    async def learn(self, questions: Sequence[Question]) -> None:
        """Keep what the centre asks about every conversation: without it, too, one can tell what has no answer."""
        text = json.dumps([asdict(question) for question in questions])
        await self._database.transact(lambda connection: remember(connection, QUESTIONS, text))

    async def asked(self) -> list[Question]:
        """What the centre asks, as last known."""
        text = await self._database.query(lambda connection: fact(connection, QUESTIONS))
        return [] if text is None else [Question(**fields) for fields in json.loads(text)]

    async def _set(self, upload_id: str, status: AnswersStatus, at: datetime | None) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(tables.uploads)
                .where(_upload.id == upload_id, _upload.answers == AnswersStatus.WAITING)
                .values(answers=status, answers_at=None if at is None else moment_text(at))
            )

        await self._database.transact(work)
