"""LLM servers, the ledger of calls to them with the answers kept, and features that no label was found for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "llm_endpoints",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("price_in", sa.Double, nullable=True),
        sa.Column("price_out", sa.Double, nullable=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_llm_endpoints"),
        sa.UniqueConstraint("name", name="uq_llm_endpoints_name"),
    )
    op.create_table(
        "llm_calls",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.BigInteger, nullable=True),
        sa.Column("charged_calls", sa.BigInteger, nullable=False),
        sa.Column("charged_in", sa.BigInteger, nullable=False),
        sa.Column("charged_out", sa.BigInteger, nullable=False),
        sa.Column("charged_nano", sa.BigInteger, nullable=False),
        sa.Column("worst_in", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("raw", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_llm_calls"),
    )
    op.create_index("ix_llm_calls_scope", "llm_calls", ["scope"])
    op.create_table(
        "llm_answers",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_llm_answers"),
    )
    op.create_table(
        "label_errors",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("extraction_id", sa.Text, nullable=False),
        sa.Column("feature", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["extraction_id"], ["extractions.id"], name="fk_label_errors_extraction_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_label_errors_extraction_id_request", "label_errors", ["extraction_id", "request"])
