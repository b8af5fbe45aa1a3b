"""Sessions, their lines, gaps and figures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "realtime_sessions",
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
        sa.Column("full_text", sa.Text()),
        sa.PrimaryKeyConstraint("session_id", name="pk_realtime_sessions"),
        sa.CheckConstraint(
            "state IN ('open', 'ended', 'interrupted')", name=op.f("ck_realtime_sessions_state")
        ),
        sa.CheckConstraint(
            "(state = 'open') = (ended_at IS NULL) AND (state = 'open') = (end_reason IS NULL)",
            name=op.f("ck_realtime_sessions_ended"),
        ),
    )
    op.create_index(
        op.f("ix_realtime_sessions_connected_at"), "realtime_sessions", ["connected_at", "session_id"]
    )
    op.create_table(
        "realtime_transcript_chunks",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("start_sample", sa.Integer(), nullable=False),
        sa.Column("end_sample", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("processing_ms", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "chunk_index", name="pk_realtime_transcript_chunks"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name=op.f("fk_realtime_transcript_chunks_session_id"),
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "realtime_gaps",
        sa.Column("gap_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("start_sample", sa.Integer(), nullable=False),
        sa.Column("end_sample", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gap_id", name="pk_realtime_gaps"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name=op.f("fk_realtime_gaps_session_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_realtime_gaps_session_id"), "realtime_gaps", ["session_id"])
    op.create_table(
        "realtime_session_metrics",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunks_processed", sa.Integer(), nullable=False),
        sa.Column("processing_ms_total", sa.Float(), nullable=False),
        sa.Column("processing_ms_max", sa.Float(), nullable=False),
        sa.Column("processing_ms_min", sa.Float(), nullable=False),
        sa.Column("confidence_total", sa.Float(), nullable=False),
        sa.Column("received_samples", sa.Integer(), nullable=False),
        sa.Column("decoded_samples", sa.Integer(), nullable=False),
        sa.Column("gap_samples", sa.Integer(), nullable=False),
        sa.Column("decode_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_realtime_session_metrics"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name=op.f("fk_realtime_session_metrics_session_id"),
            ondelete="CASCADE",
        ),
    )
