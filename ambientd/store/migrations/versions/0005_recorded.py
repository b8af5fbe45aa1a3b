"""Audio that is kept, sealed, until the box has time to transcribe it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recordings",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("samples", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("end_reason", sa.Text()),
        sa.Column("ended_at", sa.Text()),
        sa.Column("monotonic_end", sa.Float()),
        sa.Column("fault", sa.Text()),
        sa.PrimaryKeyConstraint("session_id", name="pk_recordings"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name="fk_recordings_session_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("status IN ('recording', 'waiting', 'running', 'failed', 'done')", name="status"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audio_chunks",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("start_sample", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("pcm", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "chunk_index", name="pk_audio_chunks"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name="fk_audio_chunks_session_id",
            ondelete="CASCADE",
        ),
    )
