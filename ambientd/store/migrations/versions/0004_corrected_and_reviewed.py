"""What people correct in transcripts, and whether one has read them before they are sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("reviewed_at", sa.Text()),
        sa.PrimaryKeyConstraint("session_id", name="pk_reviews"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["realtime_sessions.session_id"], name="fk_reviews_session_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "corrections",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "revision", name="pk_corrections"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["realtime_sessions.session_id"],
            name="fk_corrections_session_id",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
