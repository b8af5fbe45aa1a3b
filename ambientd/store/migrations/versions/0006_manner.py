"""How a recording is to be transcribed: its client's own prompt and names, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table(
        "recordings", recreate="always", table_kwargs={"sqlite_with_rowid": False}
    ) as table:
        table.add_column(sa.Column("manner", sa.LargeBinary()))
