"""Stars, notes and settings."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "marks",
        sa.Column("extraction_id", sa.Text, nullable=False),
        sa.Column("feature", sa.BigInteger, nullable=False),
        sa.Column("starred", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=True),
        sa.Column("note_saved", sa.Text, nullable=True),
        sa.Column("changed", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("extraction_id", "feature", name="pk_marks"),
        sa.ForeignKeyConstraint(
            ["extraction_id"], ["extractions.id"], name="fk_marks_extraction_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_marks_changed", "marks", ["changed"])
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
