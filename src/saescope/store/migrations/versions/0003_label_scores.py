"""Scores of labels, what each label was made from, and which label a person chose to be shown."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("labels", sa.Column("prompt", sa.Text, nullable=True))
    op.add_column("labels", sa.Column("samples", sa.JSON, nullable=True))
    op.add_column("labels", sa.Column("request", sa.Text, nullable=True))
    op.create_table(
        "scores",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("label_id", _ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("low", sa.Double, nullable=True),
        sa.Column("high", sa.Double, nullable=True),
        sa.Column("chance", sa.Double, nullable=True),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("judge", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name="fk_scores_label_id", ondelete="CASCADE"),
    )
    op.create_index("ix_scores_label_id_name_id", "scores", ["label_id", "name", "id"])
    op.create_table(
        "label_choices",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("extraction_id", sa.Text, nullable=False),
        sa.Column("feature", sa.BigInteger, nullable=False),
        sa.Column("label_id", _ID, nullable=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["extraction_id"], ["extractions.id"], name="fk_label_choices_extraction_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name="fk_label_choices_label_id", ondelete="CASCADE"),
    )
    op.create_index("ix_label_choices_extraction_id_feature_id", "label_choices", ["extraction_id", "feature", "id"])
