"""The tables as they are today; ``migrations/`` brings a file of any earlier day to here.

Times of day are UTC text of fixed width (``2026-01-15T10:00:00.000000Z``): it sorts as it reads, a person
with the ``sqlite3`` shell can read it, and it is what goes over the wire.  A REAL epoch would save 20 bytes a
session and lose all three.  Times within a session are integer samples at 16 kHz.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
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
    Column("box_id", Text),
    Column("room", Text),
    Column("quantisation", Text),
    Column("monotonic_end", Float),
    Column("ephemeral", Integer, nullable=False, server_default=text("0")),
    Column("refinement", Text, nullable=False, server_default=text("'none'")),
    # The sealed columns last: SQLite reads a row from its front, and a list of sessions stops before the long one.
    # JSON: encounter, patient reference, consent.
    Column("details", LargeBinary),
    Column("full_text", LargeBinary),
    CheckConstraint("state IN ('open', 'ended', 'interrupted')", name="state"),
    CheckConstraint("refinement IN ('none', 'waiting', 'done', 'failed', 'skipped')", name="refinement"),
    CheckConstraint(
        "(state = 'open') = (ended_at IS NULL) AND (state = 'open') = (end_reason IS NULL)", name="ended"
    ),
    Index("ix_realtime_sessions_connected_at", "connected_at", "session_id"),
)


def _of_session(*, key: bool = True) -> Column[str]:
    """Of which session a row is, with which it goes.  ``key``: whether that names the row, or helps to."""
    session = ForeignKey(sessions.c.session_id, ondelete="CASCADE")
    return Column("session_id", Text, session, primary_key=key, nullable=False)


chunks = Table(
    "realtime_transcript_chunks",
    metadata,
    _of_session(),
    Column("chunk_index", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("start_sample", Integer, nullable=False),
    Column("end_sample", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("language", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("processing_ms", Float, nullable=False),
    # Sealed: text and segments.
    Column("words", LargeBinary, nullable=False),
    # One tree instead of a table and an index: half the pages to write, so to sync, for each line.
    sqlite_with_rowid=False,
)

refined_chunks = Table(
    "realtime_refined_chunks",
    metadata,
    # The same lines after a second, slower hearing; the live ones stay beside them.
    *(
        Column(column.name, column.type, nullable=column.nullable)
        for column in chunks.c
        if column.name not in {"session_id", "chunk_index"}
    ),
    _of_session(),
    Column("chunk_index", Integer, primary_key=True, nullable=False, autoincrement=False),
    sqlite_with_rowid=False,
)

gaps = Table(
    "realtime_gaps",
    metadata,
    Column("gap_id", Integer, primary_key=True),
    _of_session(key=False),
    Column("start_sample", Integer, nullable=False),
    Column("end_sample", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_realtime_gaps_session_id", "session_id"),
)

metrics = Table(
    "realtime_session_metrics",
    metadata,
    _of_session(),
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

box_keys = Table(
    "box_keys",
    metadata,
    # Which keys have sealed this file; never the keys themselves.
    Column("key_id", Text, primary_key=True),
    Column("created_at", Text, nullable=False),
    Column("retired_at", Text),
    # A known phrase sealed with the key: a wrong key is refused at the start and not at the first line.
    Column("proof", LargeBinary, nullable=False),
)

session_keys = Table(
    "session_keys",
    metadata,
    # Each session's words have a key of their own, wrapped by the box's: destroying this row destroys the words.
    _of_session(),
    Column("key_id", Text, ForeignKey(box_keys.c.key_id), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)

facts = Table(
    "box_facts",
    metadata,
    # What the box remembers of itself between two runs: its id, whether sync is paused, when it last worked.
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

uploads = Table(
    "conversation_uploads",
    metadata,
    Column("id", Text, primary_key=True),
    _of_session(key=False),
    Column("status", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    # Until when the row waits for the refined text, or for a client that may come back.
    Column("held_until", Text),
    # Sealed SHA-256 of the text to be sent, and its length in bytes of UTF-8.
    Column("digest", LargeBinary),
    Column("size", Integer),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Answers 500 in a row: what is always refused so is a matter for a person.
    Column("server_errors", Integer, nullable=False, server_default=text("0")),
    Column("attempted_at", Text),
    Column("next_attempt_at", Text),
    Column("last_error", Text),
    Column("delivered_at", Text),
    Column("answers", Text, nullable=False, server_default=text("'none'")),
    Column("answers_at", Text),
    CheckConstraint(
        "status IN ('held', 'pending', 'in_flight', 'delivered', 'parked')",
        name="status",
    ),
    CheckConstraint("answers IN ('none', 'waiting', 'done', 'failed')", name="answers"),
    Index("ux_conversation_uploads_session_id", "session_id", unique=True),
    Index("ix_conversation_uploads_status", "status", "next_attempt_at"),
)

parts = Table(
    "upload_parts",
    metadata,
    # What is sent in one call: the whole text, or a numbered part of a long one.
    Column("id", Text, ForeignKey(uploads.c.id, ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempted_at", Text),
    Column("upload_id", Text),
    Column("task_id", Text),
    CheckConstraint("status IN ('pending', 'in_flight', 'delivered')", name="status"),
)

answers = Table(
    "answers",
    metadata,
    _of_session(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("part", Integer, nullable=False),
    Column("received_at", Text, nullable=False),
    # Sealed JSON: question, category, answer, confidence, the passage it came from.
    Column("answer", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

owners = Table(
    "session_owners",
    metadata,
    # Beside the sessions and not in them: most belong to the box itself and have no row here.
    _of_session(),
    Column("owner", Text, nullable=False),
    Index("ix_session_owners_owner", "owner"),
    sqlite_with_rowid=False,
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # The name as it is compared: two that look alike are one.
    Column("folded", Text, nullable=False),
    Column("role", Text, nullable=False),
    # Salt, cost and scrypt of the password.
    Column("password", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("revoked_at", Text),
    Index("ux_accounts_folded", "folded", unique=True, sqlite_where=text("revoked_at IS NULL")),
)

devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # SHA-256 of the token of a program; a paired browser has a log-in instead.
    Column("token", LargeBinary),
    # Salt, cost and scrypt of the PIN that unlocks a browser.
    Column("pin", Text),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("revoked_at", Text),
    Column("added_by", Text, nullable=False),
    Index("ux_devices_token", "token", unique=True),
)

logins = Table(
    "logins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token", LargeBinary, nullable=False),
    # Of an account, of a device, or of an emergency, which has no row anywhere else.
    Column("principal", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("locked", Integer, nullable=False, server_default=text("0")),
    Index("ux_logins_token", "token", unique=True),
)

pairings = Table(
    "pairings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    # Shown on both screens, to be compared; it opens nothing.
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("device_id", Text, ForeignKey(devices.c.id)),
    CheckConstraint("status IN ('waiting', 'approved', 'refused')", name="status"),
)

reviews = Table(
    "reviews",
    metadata,
    # No time: nothing is sent before a person has read it.  With one: when that was.
    _of_session(),
    Column("reviewed_at", Text),
    sqlite_with_rowid=False,
)

corrections = Table(
    "corrections",
    metadata,
    # What a person changed, revision by revision; the lines as heard stay in their own tables.
    _of_session(),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    # Sealed JSON: the texts of all lines that differ from those heard.
    Column("words", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

recordings = Table(
    "recordings",
    metadata,
    # A session whose audio is kept to be transcribed later; the session itself is open until its text is stored.
    _of_session(),
    Column("status", Text, nullable=False),
    # How much audio is kept.
    Column("samples", Integer, nullable=False, server_default=text("0")),
    # How and when the recording ended: what the session gets once its text is there.
    Column("end_reason", Text),
    Column("ended_at", Text),
    Column("monotonic_end", Float),
    # Why it cannot be transcribed, in words of ours.
    Column("fault", Text),
    # Sealed JSON: the client's own prompt and names, for whoever transcribes it.  Not in the session's details: those
    # are shown and delivered, while this is of use to nobody once the audio is gone, and goes with it.
    Column("manner", LargeBinary),
    CheckConstraint("status IN ('recording', 'waiting', 'running', 'failed', 'done')", name="status"),
    sqlite_with_rowid=False,
)

audio_chunks = Table(
    "audio_chunks",
    metadata,
    _of_session(),
    Column("chunk_index", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("start_sample", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    # Sealed: 16-bit PCM.  With a rowid: a row of 64 kB does not belong inside the tree that finds it.
    Column("pcm", LargeBinary, nullable=False),
)

audit = Table(
    "audit_log",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text),
    Column("origin", Text),
    Column("outcome", Text, nullable=False),
    # Each hash covers the one before it, so that a row changed or taken out breaks the chain.
    Column("hash", LargeBinary, nullable=False),
)

AUDIT_TRIGGERS = (
    (
        "CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log"
        " BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END"
    ),
    # INSERT OR REPLACE would otherwise delete without the trigger for deletes.
    (
        "CREATE TRIGGER audit_log_grows_at_its_end BEFORE INSERT ON audit_log"
        " WHEN NEW.number <= (SELECT max(number) FROM audit_log)"
        " BEGIN SELECT RAISE(ABORT, 'the audit grows at its end'); END"
    ),
    # The cast reads the number that the anchor begins with.
    (
        "CREATE TRIGGER audit_log_is_not_deleted BEFORE DELETE ON audit_log"
        " WHEN OLD.number > coalesce("
        "(SELECT CAST(value AS INTEGER) FROM box_facts WHERE name = 'audit_anchor'), 0)"
        " BEGIN SELECT RAISE(ABORT, 'the audit is purged from its front'); END"
    ),
)
for _trigger in AUDIT_TRIGGERS:
    event.listen(audit, "after_create", DDL(_trigger))  # type: ignore[no-untyped-call]
