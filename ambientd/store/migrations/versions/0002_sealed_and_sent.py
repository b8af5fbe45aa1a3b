"""Words sealed; keys, refined lines, deliveries, answers and the audit; what a session says of itself."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from ambientd.store.vault import Place, Seal, Vault

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _keys()
    seals = _seals()
    _sessions(seals)
    _lines("realtime_refined_chunks")
    _lines("sealed_chunks", "realtime_transcript_chunks")
    _seal_lines(seals)
    _deliveries()
    _audit()


def _seals() -> Mapping[str, Seal]:
    """A data key for each session there is."""
    vault: Vault = context.config.attributes["vault"]
    connection = op.get_bind()
    connection.execute(
        sa.text("INSERT INTO box_keys (key_id, created_at, proof) VALUES (:key_id, :created_at, :proof)"),
        {
            "key_id": vault.key_id,
            "created_at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "proof": vault.proof(),
        },
    )
    seals = {}
    for session_id in connection.scalars(sa.text("SELECT session_id FROM realtime_sessions")).all():
        key, row = vault.new_key(session_id)
        connection.execute(
            sa.text(
                "INSERT INTO session_keys (session_id, key_id, wrapped) VALUES (:session_id, :key_id, :wrapped)"
            ),
            row,
        )
        seals[session_id] = Seal(session_id, key)
    return seals


def _sessions(seals: Mapping[str, Seal]) -> None:
    op.create_table(
        "sealed_sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("end_reason", sa.Text()),
        sa.Column("connected_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text()),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sample_rate", sa.Integer(), nullable=False),
        sa.Column("boot_id", sa.Text()),
        sa.Column("monotonic_start", sa.Float()),
        sa.Column("total_chunks", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("transcript_length", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("box_id", sa.Text()),
        sa.Column("room", sa.Text()),
        sa.Column("quantisation", sa.Text()),
        sa.Column("monotonic_end", sa.Float()),
        sa.Column("ephemeral", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("refinement", sa.Text(), nullable=False, server_default=sa.text("'none'")),
        sa.Column("details", sa.LargeBinary()),
        sa.Column("full_text", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("session_id", name="pk_realtime_sessions"),
        sa.CheckConstraint(
            "state IN ('open', 'ended', 'interrupted')", name=op.f("ck_realtime_sessions_state")
        ),
        sa.CheckConstraint(
            "refinement IN ('none', 'waiting', 'done', 'failed', 'skipped')",
            name=op.f("ck_realtime_sessions_refinement"),
        ),
        sa.CheckConstraint(
            "(state = 'open') = (ended_at IS NULL) AND (state = 'open') = (end_reason IS NULL)",
            name=op.f("ck_realtime_sessions_ended"),
        ),
    )
    kept = (
        "session_id, state, end_reason, connected_at, ended_at, client, language, model, sample_rate, boot_id, "
        "monotonic_start, total_chunks, transcript_length"
    )
    op.execute(f"INSERT INTO sealed_sessions ({kept}) SELECT {kept} FROM realtime_sessions")  # noqa: S608 - constants
    connection = op.get_bind()
    # By id, one after the other: all texts of a year would not fit the memory.
    for session_id, seal in seals.items():
        text = connection.scalar(
            sa.text("SELECT full_text FROM realtime_sessions WHERE session_id = :id"), {"id": session_id}
        )
        if text is not None:
            connection.execute(
                sa.text("UPDATE sealed_sessions SET full_text = :sealed WHERE session_id = :id"),
                {
                    "id": session_id,
                    "sealed": seal.close(text, Place("realtime_sessions", "full_text", session_id)),
                },
            )
    op.drop_table("realtime_sessions")
    op.rename_table("sealed_sessions", "realtime_sessions")
    op.create_index(
        op.f("ix_realtime_sessions_connected_at"), "realtime_sessions", ["connected_at", "session_id"]
    )


def _lines(table: str, named: str = "") -> None:
    named = named or table
    op.create_table(
        table,
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("start_sample", sa.Integer(), nullable=False),
        sa.Column("end_sample", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("processing_ms", sa.Float(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "chunk_index", name=f"pk_{named}"),
        _to_session(named),
        sqlite_with_rowid=False,
    )


def _seal_lines(seals: Mapping[str, Seal]) -> None:
    connection = op.get_bind()
    kept = "session_id, chunk_index, start_sample, end_sample, confidence, language, model, processing_ms"
    for session_id, seal in seals.items():
        rows: list[dict[str, Any]] = []
        for row in connection.execute(
            sa.text("SELECT * FROM realtime_transcript_chunks WHERE session_id = :id"), {"id": session_id}
        ).mappings():
            place = Place("realtime_transcript_chunks", "words", f"{session_id}/{row['chunk_index']}")
            rows.append({**row, "words": seal.close(f"{row['segments']}\n{row['text']}", place)})
        if rows:
            values = ", ".join(f":{name}" for name in [*kept.split(", "), "words"])
            connection.execute(
                sa.text(f"INSERT INTO sealed_chunks ({kept}, words) VALUES ({values})"),  # noqa: S608 - constants
                rows,
            )
    op.drop_table("realtime_transcript_chunks")
    op.rename_table("sealed_chunks", "realtime_transcript_chunks")


def _keys() -> None:
    op.create_table(
        "box_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("retired_at", sa.Text()),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_box_keys"),
    )
    op.create_table(
        "session_keys",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_session_keys"),
        _to_session("session_keys"),
        sa.ForeignKeyConstraint(["key_id"], ["box_keys.key_id"], name=op.f("fk_session_keys_key_id")),
    )
    op.create_table(
        "box_facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_box_facts"),
    )


def _deliveries() -> None:
    op.create_table(
        "conversation_uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("held_until", sa.Text()),
        sa.Column("digest", sa.LargeBinary()),
        sa.Column("size", sa.Integer()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("server_errors", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("attempted_at", sa.Text()),
        sa.Column("next_attempt_at", sa.Text()),
        sa.Column("last_error", sa.Text()),
        sa.Column("delivered_at", sa.Text()),
        sa.Column("answers", sa.Text(), nullable=False, server_default=sa.text("'none'")),
        sa.Column("answers_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_uploads"),
        _to_session("conversation_uploads"),
        sa.CheckConstraint(
            "status IN ('held', 'pending', 'in_flight', 'delivered', 'parked')",
            name=op.f("ck_conversation_uploads_status"),
        ),
        sa.CheckConstraint(
            "answers IN ('none', 'waiting', 'done', 'failed')", name=op.f("ck_conversation_uploads_answers")
        ),
    )
    op.create_index(
        op.f("ux_conversation_uploads_session_id"), "conversation_uploads", ["session_id"], unique=True
    )
    op.create_index(
        op.f("ix_conversation_uploads_status"), "conversation_uploads", ["status", "next_attempt_at"]
    )
    op.create_table(
        "upload_parts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempted_at", sa.Text()),
        sa.Column("upload_id", sa.Text()),
        sa.Column("task_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", "part", name="pk_upload_parts"),
        sa.ForeignKeyConstraint(
            ["id"], ["conversation_uploads.id"], name=op.f("fk_upload_parts_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'in_flight', 'delivered')", name=op.f("ck_upload_parts_status")
        ),
    )
    op.create_table(
        "answers",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.Text(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "number", name="pk_answers"),
        _to_session("answers"),
        sqlite_with_rowid=False,
    )


def _audit() -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text()),
        sa.Column("origin", sa.Text()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_log"),
    )
    # A later revision that rebuilds the table must make them again.
    op.execute(
        "CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log"
        " BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_log_grows_at_its_end BEFORE INSERT ON audit_log"
        " WHEN NEW.number <= (SELECT max(number) FROM audit_log)"
        " BEGIN SELECT RAISE(ABORT, 'the audit grows at its end'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_log_is_not_deleted BEFORE DELETE ON audit_log"
        " WHEN OLD.number > coalesce("
        "(SELECT CAST(value AS INTEGER) FROM box_facts WHERE name = 'audit_anchor'), 0)"
        " BEGIN SELECT RAISE(ABORT, 'the audit is purged from its front'); END"
    )


def _to_session(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["session_id"],
        ["realtime_sessions.session_id"],
        name=op.f(f"fk_{table}_session_id"),
        ondelete="CASCADE",
    )
