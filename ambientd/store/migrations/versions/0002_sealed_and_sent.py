"""Keys, refined lines, deliveries and their answers, the audit, and what a session says of itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _sessions()
    _refined_chunks()
    _keys()
    _deliveries()
    _audit()


def _sessions() -> None:
    with op.batch_alter_table("realtime_sessions") as table:
        table.add_column(sa.Column("box_id", sa.Text()))
        table.add_column(sa.Column("room", sa.Text()))
        table.add_column(sa.Column("quantisation", sa.Text()))
        table.add_column(sa.Column("monotonic_end", sa.Float()))
        table.add_column(sa.Column("ephemeral", sa.Integer(), nullable=False, server_default=sa.text("0")))
        table.add_column(sa.Column("refinement", sa.Text(), nullable=False, server_default=sa.text("'none'")))
        table.add_column(sa.Column("details", sa.LargeBinary()))
        table.create_check_constraint(
            op.f("ck_realtime_sessions_refinement"),
            "refinement IN ('none', 'waiting', 'done', 'failed', 'skipped')",
        )


def _refined_chunks() -> None:
    op.create_table(
        "realtime_refined_chunks",
        sa.Column("start_sample", sa.Integer(), nullable=False),
        sa.Column("end_sample", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("processing_ms", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "chunk_index", name="pk_realtime_refined_chunks"),
        _to_session("realtime_refined_chunks"),
        sqlite_with_rowid=False,
    )


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
