"""Datasets, models, SAEs, extractions and labels."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str, **options: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})  # type: ignore[arg-type]


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON, nullable=False)


def _link(table: str, name: str, target: str, **options: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], [f"{target}.id"], name=f"fk_{table}_{name}", **options)  # type: ignore[arg-type]


def upgrade() -> None:
    op.create_table(
        "datasets",
        _text("id"),
        _text("name"),
        _text("source"),
        _text("text_field", nullable=True),
        _text("fingerprint"),
        _number("documents"),
        _number("blank_documents"),
        _number("characters"),
        _text("created"),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("name", name="uq_datasets_name"),
    )
    op.create_table(
        "models",
        _text("id"),
        _text("name"),
        _text("source"),
        _text("path", nullable=True),
        _text("dtype"),
        _text("quantize"),
        _text("family"),
        _number("layers"),
        _number("d_model"),
        _number("context"),
        _number("vocabulary"),
        _text("fingerprint"),
        _text("tokenizer_fingerprint"),
        _json("hookpoints"),
        _text("created"),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
    )
    op.create_table(
        "saes",
        _text("id"),
        _text("name"),
        _text("kind"),
        _number("d_in"),
        _number("d_sae"),
        _text("model_id"),
        _text("hookpoint"),
        _text("source"),
        _text("fingerprint"),
        _json("metrics"),
        _text("created"),
        sa.PrimaryKeyConstraint("id", name="pk_saes"),
        sa.UniqueConstraint("name", name="uq_saes_name"),
        _link("saes", "model_id", "models"),
    )
    op.create_index("ix_saes_model_id", "saes", ["model_id"])
    op.create_table(
        "extractions",
        _text("id"),
        _text("name"),
        _text("sae_id"),
        _text("model_id"),
        _text("dataset_id"),
        _text("hookpoint"),
        _number("samples"),
        _number("tokens"),
        _number("features"),
        _number("context"),
        _number("top_k"),
        _json("spec"),
        _json("provenance"),
        _text("created"),
        sa.PrimaryKeyConstraint("id", name="pk_extractions"),
        sa.UniqueConstraint("name", name="uq_extractions_name"),
        _link("extractions", "sae_id", "saes"),
        _link("extractions", "model_id", "models"),
        _link("extractions", "dataset_id", "datasets"),
    )
    for column in ("sae_id", "model_id", "dataset_id"):
        op.create_index(f"ix_extractions_{column}", "extractions", [column])
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        _text("extraction_id"),
        _number("feature"),
        _text("text"),
        _text("source"),
        _text("model", nullable=True),
        sa.Column("clarity", sa.Double, nullable=True),
        _json("detail"),
        _text("created"),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        _link("labels", "extraction_id", "extractions", ondelete="CASCADE"),
    )
    op.create_index("ix_labels_extraction_id_feature_id", "labels", ["extraction_id", "feature", "id"])
