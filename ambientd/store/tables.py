"""The tables as they are today; ``migrations/`` brings a file of any earlier day to here.

Times of day are UTC text of fixed width (``2026-01-15T10:00:00.000000Z``): it sorts as it reads, a person
with the ``sqlite3`` shell can read it, and it is what goes over the wire.  A REAL epoch would save 20 bytes a
session and lose all three.  Times within a session are integer samples at 16 kHz.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData(
    # SQLite alters a table by rebuilding it, which needs a name for every constraint.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

sessions = Table(
    "realtime_sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("end_reason", Text),
    Column("connected_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("client", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("sample_rate", Integer, nullable=False),
    Column("boot_id", Text),
    Column("monotonic_start", Float),
    # Kept beside the lines so that one UPDATE both proves that the session is open and that the line is the
    # next one, and so that a list of sessions need not read a word.
    Column("total_chunks", Integer, nullable=False, server_default=text("0")),
    Column("transcript_length", Integer, nullable=False, server_default=text("0")),
    # Last: SQLite reads a row from its front, and a list of sessions stops before the long column.
    Column("full_text", Text),
    CheckConstraint("state IN ('open', 'ended', 'interrupted')", name="state"),
    CheckConstraint(
        "(state = 'open') = (ended_at IS NULL) AND (state = 'open') = (end_reason IS NULL)", name="ended"
    ),
    Index("ix_realtime_sessions_connected_at", "connected_at", "session_id"),
)

chunks = Table(
    "realtime_transcript_chunks",
    metadata,
    Column(
        "session_id",
        Text,
        ForeignKey(sessions.c.session_id, ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    Column("chunk_index", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("start_sample", Integer, nullable=False),
    Column("end_sample", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("language", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("processing_ms", Float, nullable=False),
    Column("text", Text, nullable=False),
    Column("segments", Text, nullable=False),
    # One tree instead of a table and an index: half the pages to write, so to sync, for each line.
    sqlite_with_rowid=False,
)

gaps = Table(
    "realtime_gaps",
    metadata,
    Column("gap_id", Integer, primary_key=True),
    Column("session_id", Text, ForeignKey(sessions.c.session_id, ondelete="CASCADE"), nullable=False),
    Column("start_sample", Integer, nullable=False),
    Column("end_sample", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_realtime_gaps_session_id", "session_id"),
)

metrics = Table(
    "realtime_session_metrics",
    metadata,
    Column(
        "session_id",
        Text,
        ForeignKey(sessions.c.session_id, ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    Column("chunks_processed", Integer, nullable=False),
    Column("processing_ms_total", Float, nullable=False),
    Column("processing_ms_max", Float, nullable=False),
    Column("processing_ms_min", Float, nullable=False),
    Column("confidence_total", Float, nullable=False),
    Column("received_samples", Integer, nullable=False),
    Column("decoded_samples", Integer, nullable=False),
    Column("gap_samples", Integer, nullable=False),
    Column("decode_seconds", Float, nullable=False),
)
