"""Rows to records and back.

Invariant: every column that holds words (``words``, ``full_text``, ``details``, ``manner``, ``answer``) is written and
read in this module and in no other, through a ``Seal``, so that what guards them at rest has one door to guard.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, Table, case, func, select

from ambientd.core.answers import Answer
from ambientd.core.correction import Correction
from ambientd.core.delivery import AnswersStatus, Part, PartStatus, Upload, UploadStatus
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import (
    BOX,
    Consent,
    Details,
    EndReason,
    Manner,
    Progress,
    Refinement,
    SessionRecord,
    SessionState,
    Transcription,
)
from ambientd.core.transcript import Gap, Line
from ambientd.store import tables
from ambientd.store.packing import pack, unpacked
from ambientd.store.vault import Place, Seal

METRICS = tuple(column for column in tables.metrics.c if column.name != "session_id")
DELIVERY = (
    select(tables.uploads.c.status)
    .where(tables.uploads.c.session_id == tables.sessions.c.session_id)
    .scalar_subquery()
    .correlate(tables.sessions)
    .label("delivery")
)
"""Where the delivery of a session stands: a column of any query of sessions."""
OWNER = func.coalesce(
    select(tables.owners.c.owner)
    .where(tables.owners.c.session_id == tables.sessions.c.session_id)
    .scalar_subquery()
    .correlate(tables.sessions),
    BOX,
).label("owner")
"""Whose a session is: a column of any query of sessions."""
_upload, _session, _review = tables.uploads.c, tables.sessions.c, tables.reviews.c
UNREAD = (
    select(_review.session_id)
    .where(_review.session_id == _upload.session_id, _review.reviewed_at.is_(None))
    .correlate(tables.uploads)
    .exists()
)
"""Whether a delivery waits until somebody has read its text."""
UPLOAD = (*tables.uploads.c, UNREAD.label("unread"))
"""All there is to know of a delivery but its parts."""
_recorded = tables.recordings.c
TRANSCRIPTION = (
    select(_recorded.status)
    .where(_recorded.session_id == _session.session_id)
    .scalar_subquery()
    .correlate(tables.sessions)
    .label("transcription")
)
"""Where a session stands whose audio is kept to be transcribed later: another such column."""
_RECORDED_SAMPLES = (
    select(_recorded.samples)
    .where(_recorded.session_id == _session.session_id)
    .scalar_subquery()
    .correlate(tables.sessions)
    .label("recorded_samples")
)
_OPEN = _session.state == SessionState.OPEN
PROGRESS = case(
    (
        _OPEN & TRANSCRIPTION.element.in_([Transcription.WAITING, Transcription.RUNNING]),
        Progress.UNHEARD.value,
    ),
    (_OPEN & (TRANSCRIPTION.element == Transcription.FAILED), Progress.ATTENTION.value),
    (_OPEN, Progress.RECORDING.value),
    else_=func.coalesce(
        select(
            case(
                (_upload.status == UploadStatus.PARKED, Progress.ATTENTION.value),
                (_upload.answers == AnswersStatus.FAILED, Progress.ATTENTION.value),
                (_upload.answers == AnswersStatus.DONE, Progress.ANSWERED.value),
                (_upload.status == UploadStatus.DELIVERED, Progress.DELIVERED.value),
                (UNREAD, Progress.REVIEW.value),
                else_=Progress.WAITING.value,
            )
        )
        .where(_upload.session_id == _session.session_id)
        .scalar_subquery()
        .correlate(tables.sessions),
        Progress.RECORDED.value,
    ),
).label("progress")
"""How far a session has come: another such column."""
_REVIEWED = (
    select(_review.reviewed_at)
    .where(_review.session_id == _session.session_id)
    .scalar_subquery()
    .correlate(tables.sessions)
    .label("reviewed_at")
)
_REVISION = (
    select(func.coalesce(func.max(tables.corrections.c.revision), 0))
    .where(tables.corrections.c.session_id == _session.session_id)
    .scalar_subquery()
    .correlate(tables.sessions)
    .label("revision")
)
SESSION = (
    *(column for column in tables.sessions.c if column.name not in {"full_text", "total_chunks", "details"}),
    *METRICS,
    DELIVERY,
    OWNER,
    PROGRESS,
    _REVIEWED,
    _REVISION,
    TRANSCRIPTION,
    _RECORDED_SAMPLES,
)
"""All there is to know of a session but its words: a list of sessions reads none."""


def moment_text(moment: datetime) -> str:
    """An aware time of day as fixed-width UTC text."""
    if moment.tzinfo is None:
        raise ValueError("a time of day without a time zone cannot be put in order")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The aware time of day that ``moment_text`` wrote."""
    return datetime.fromisoformat(text)


def metrics_row(metrics: SessionMetrics) -> dict[str, Any]:
    """Columns of ``realtime_session_metrics``, without the session's id."""
    return asdict(metrics)


def metrics_of(row: RowMapping) -> SessionMetrics:
    """The figures in a row that holds the columns ``METRICS``."""
    return SessionMetrics(**{column.name: row[column] for column in METRICS})


def session_of(row: RowMapping) -> SessionRecord:
    """The session in a row that holds the columns ``SESSION``."""
    ended_at, reason = row[tables.sessions.c.ended_at], row[tables.sessions.c.end_reason]
    return SessionRecord(
        session_id=row[tables.sessions.c.session_id],
        state=SessionState(row[tables.sessions.c.state]),
        connected_at=moment(row[tables.sessions.c.connected_at]),
        ended_at=None if ended_at is None else moment(ended_at),
        reason=None if reason is None else EndReason(reason),
        client=row[tables.sessions.c.client],
        language=row[tables.sessions.c.language],
        model=row[tables.sessions.c.model],
        sample_rate=row[tables.sessions.c.sample_rate],
        boot_id=row[tables.sessions.c.boot_id],
        monotonic_start=row[tables.sessions.c.monotonic_start],
        transcript_length=row[tables.sessions.c.transcript_length],
        metrics=metrics_of(row),
        box_id=row[tables.sessions.c.box_id],
        room=row[tables.sessions.c.room],
        quantisation=row[tables.sessions.c.quantisation],
        ephemeral=bool(row[tables.sessions.c.ephemeral]),
        monotonic_end=row[tables.sessions.c.monotonic_end],
        refinement=Refinement(row[tables.sessions.c.refinement]),
        delivery=None if row["delivery"] is None else UploadStatus(row["delivery"]),
        owner=row["owner"],
        progress=Progress(row["progress"]),
        reviewed_at=_moment_or_none(row["reviewed_at"]),
        revision=row["revision"],
        transcription=None if row["transcription"] is None else Transcription(row["transcription"]),
        recorded_samples=row["recorded_samples"] or 0,
    )


def line_row(seal: Seal, session_id: str, line: Line, table: Table = tables.chunks) -> dict[str, Any]:
    """Columns of ``realtime_transcript_chunks``, or of the ``table`` like it."""
    # The times first: packed, they have no line break.
    words = f"{pack(line)}\n{line.text}"
    return {
        "session_id": session_id,
        "chunk_index": line.index,
        "start_sample": line.start,
        "end_sample": line.end,
        "confidence": line.confidence,
        "language": line.language,
        "model": line.model,
        "processing_ms": line.processing_ms,
        "words": seal.close(words, _line_place(table, session_id, line.index)),
    }


def line_of(seal: Seal, row: RowMapping, table: Table = tables.chunks) -> Line:
    """The line in a row of ``realtime_transcript_chunks``, or of the ``table`` like it.

    Raises:
        SealBroken: its words do not open.
    """
    place = _line_place(table, row["session_id"], row["chunk_index"])
    packed, _, text = seal.open(row["words"], place).partition("\n")
    line = Line(
        index=row["chunk_index"],
        text=text,
        start=row["start_sample"],
        end=row["end_sample"],
        segments=(),
        confidence=row["confidence"],
        language=row["language"],
        model=row["model"],
        processing_ms=row["processing_ms"],
    )
    return unpacked(packed, line)


def _line_place(table: Table, session_id: str, index: int) -> Place:
    return Place(table.name, "words", f"{session_id}/{index}")


def gap_row(session_id: str, gap: Gap) -> dict[str, Any]:
    """Columns of ``realtime_gaps``."""
    return {
        "session_id": session_id,
        "start_sample": gap.start,
        "end_sample": gap.end,
        "reason": gap.reason,
    }


def gap_of(row: RowMapping) -> Gap:
    """The gap in a row of ``realtime_gaps``."""
    return Gap(row["start_sample"], row["end_sample"], row["reason"])


def full_text_row(seal: Seal, session_id: str, text: str) -> dict[str, Any]:
    """The column ``full_text`` of ``realtime_sessions``."""
    return {"full_text": seal.close(text, _session_place("full_text", session_id))}


def full_text_of(seal: Seal, row: RowMapping) -> str | None:
    """The whole text in a row of ``realtime_sessions``; ``None`` while the session is open.

    Raises:
        SealBroken: it does not open.
    """
    if row["full_text"] is None:
        return None
    return seal.open(row["full_text"], _session_place("full_text", row["session_id"]))


def details_row(seal: Seal, session_id: str, details: Details) -> dict[str, Any]:
    """The column ``details`` of ``realtime_sessions``."""
    consent = details.consent
    fields: dict[str, Any] = {"encounter": details.encounter, "patient": details.patient}
    if consent is not None:
        withdrawn_at = consent.withdrawn_at
        fields["consent"] = {
            "given_by": consent.given_by,
            "at": moment_text(consent.at),
            "version": consent.version,
            "withdrawn_at": None if withdrawn_at is None else moment_text(withdrawn_at),
        }
    return {"details": seal.close(json.dumps(fields), _session_place("details", session_id))}


def details_of(seal: Seal, row: RowMapping) -> Details:
    """The details in a row of ``realtime_sessions``; empty ones if it holds none.

    Raises:
        SealBroken: they do not open.
    """
    if row["details"] is None:
        return Details()
    fields = json.loads(seal.open(row["details"], _session_place("details", row["session_id"])))
    consent = None
    if "consent" in fields:
        said = fields["consent"]
        withdrawn_at = said["withdrawn_at"]
        consent = Consent(
            said["given_by"],
            moment(said["at"]),
            said["version"],
            None if withdrawn_at is None else moment(withdrawn_at),
        )
    return Details(fields["encounter"], fields["patient"], consent)


def manner_row(seal: Seal, session_id: str, manner: Manner) -> dict[str, Any]:
    """The column ``manner`` of ``recordings``."""
    return {"manner": seal.close(json.dumps(asdict(manner)), _manner_place(session_id))}


def manner_of(seal: Seal, row: RowMapping) -> Manner:
    """The wishes in a row of ``recordings``; empty ones if it holds none.

    Raises:
        SealBroken: they do not open.
    """
    if row["manner"] is None:
        return Manner()
    fields = json.loads(seal.open(row["manner"], _manner_place(row["session_id"])))
    vocabulary = fields["vocabulary"]
    return Manner(fields["prompt"], None if vocabulary is None else tuple(vocabulary))


def _manner_place(session_id: str) -> Place:
    return Place(tables.recordings.name, "manner", session_id)


def _session_place(column: str, session_id: str) -> Place:
    return Place(tables.sessions.name, column, session_id)


def upload_of(row: RowMapping) -> Upload:
    """The delivery in a row of ``conversation_uploads``, without its parts."""
    return Upload(
        id=row["id"],
        session_id=row["session_id"],
        status=UploadStatus(row["status"]),
        created_at=moment(row["created_at"]),
        size=row["size"],
        held_until=_moment_or_none(row["held_until"]),
        attempts=row["attempts"],
        server_errors=row["server_errors"],
        attempted_at=_moment_or_none(row["attempted_at"]),
        next_attempt_at=_moment_or_none(row["next_attempt_at"]),
        last_error=row["last_error"],
        delivered_at=_moment_or_none(row["delivered_at"]),
        answers=AnswersStatus(row["answers"]),
        answers_at=_moment_or_none(row["answers_at"]),
        unread=bool(row["unread"]),
    )


def part_of(row: RowMapping) -> Part:
    """The part in a row of ``upload_parts``."""
    return Part(
        number=row["part"],
        start=row["start"],
        end=row["end"],
        size=row["size"],
        status=PartStatus(row["status"]),
        attempted_at=_moment_or_none(row["attempted_at"]),
        upload_id=row["upload_id"],
        task_id=row["task_id"],
    )


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


def answer_row(seal: Seal, session_id: str, number: int, answer: Answer) -> dict[str, Any]:
    """The column ``answer`` of ``answers``."""
    return {"answer": seal.close(json.dumps(asdict(answer)), _answer_place(session_id, number))}


def answer_of(seal: Seal, row: RowMapping) -> Answer:
    """The answer in a row of ``answers``.

    Raises:
        SealBroken: it does not open.
    """
    return Answer(**json.loads(seal.open(row["answer"], _answer_place(row["session_id"], row["number"]))))


def _answer_place(session_id: str, number: int) -> Place:
    return Place(tables.answers.name, "answer", f"{session_id}/{number}")


def correction_row(seal: Seal, session_id: str, correction: Correction) -> dict[str, Any]:
    """A row of ``corrections``."""
    texts = {str(index): text for index, text in correction.texts.items()}
    return {
        "session_id": session_id,
        "revision": correction.revision,
        "at": moment_text(correction.at),
        "actor": correction.actor,
        "words": seal.close(json.dumps(texts), _correction_place(session_id, correction.revision)),
    }


def correction_of(seal: Seal, row: RowMapping) -> Correction:
    """The correction in a row of ``corrections``.

    Raises:
        SealBroken: it does not open.
    """
    place = _correction_place(row["session_id"], row["revision"])
    texts = json.loads(seal.open(row["words"], place))
    return Correction(
        row["revision"], moment(row["at"]), row["actor"], {int(index): text for index, text in texts.items()}
    )


def _correction_place(session_id: str, revision: int) -> Place:
    return Place(tables.corrections.name, "words", f"{session_id}/{revision}")
