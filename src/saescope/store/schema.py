"""The catalogue's tables, and the revision they stand for.

A change here goes with a new file in `migrations/versions/` and a new `REVISION`.
"""

import sqlalchemy as sa

REVISION = "0006"
"""The newest migration: what an up-to-date catalogue says of itself. Numbers, so that they compare."""

VERSION_TABLE = "saescope_version"
LOCK_KEY = 0x5AE5C09E
"""PostgreSQL advisory lock held while migrating."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON, nullable=False)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True)


def _name() -> sa.Column[str]:
    return sa.Column("name", sa.Text, nullable=False, unique=True)


def _link(name: str, target: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{target}.id"), nullable=False, index=True)


datasets = sa.Table(
    "datasets",
    metadata,
    _id(),
    _name(),
    _text("source"),
    _text("text_field", nullable=True),
    _text("fingerprint"),
    _number("documents"),
    _number("blank_documents"),
    _number("characters"),
    _text("created"),
)

models = sa.Table(
    "models",
    metadata,
    _id(),
    _name(),
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
)

saes = sa.Table(
    "saes",
    metadata,
    _id(),
    _name(),
    _text("kind"),
    _number("d_in"),
    _number("d_sae"),
    _link("model_id", "models"),
    _text("hookpoint"),
    _text("source"),
    _text("fingerprint"),
    _json("metrics"),
    _text("created"),
)

extractions = sa.Table(
    "extractions",
    metadata,
    _id(),
    _name(),
    _link("sae_id", "saes"),
    _link("model_id", "models"),
    _link("dataset_id", "datasets"),
    _text("hookpoint"),
    _number("samples"),
    _number("tokens"),
    _number("features"),
    _number("context"),
    _number("top_k"),
    _json("spec"),
    _json("provenance"),
    _text("created"),
)

# SQLite counts up only in a column declared INTEGER.
_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _counter() -> sa.Column[int]:
    return sa.Column("id", _COUNTER, primary_key=True, autoincrement=True)


labels = sa.Table(
    "labels",
    metadata,
    _counter(),
    sa.Column("extraction_id", sa.Text, sa.ForeignKey("extractions.id", ondelete="CASCADE"), nullable=False),
    _number("feature"),
    _text("text"),
    _text("source"),
    _text("model", nullable=True),
    sa.Column("clarity", sa.Double, nullable=True),
    _json("detail"),
    _text("created"),
    _text("prompt", nullable=True),
    sa.Column("samples", sa.JSON, nullable=True),
    _text("request", nullable=True),
    sa.Index(None, "extraction_id", "feature", "id"),
)

scores = sa.Table(
    "scores",
    metadata,
    _counter(),
    sa.Column("label_id", _COUNTER, sa.ForeignKey("labels.id", ondelete="CASCADE"), nullable=False),
    _text("name"),
    sa.Column("value", sa.Double, nullable=True),
    _number("n"),
    sa.Column("low", sa.Double, nullable=True),
    sa.Column("high", sa.Double, nullable=True),
    sa.Column("chance", sa.Double, nullable=True),
    _number("failed"),
    _text("judge"),
    _text("interval"),
    sa.Index(None, "label_id", "name", "id"),
)

label_choices = sa.Table(
    "label_choices",
    metadata,
    _counter(),
    sa.Column("extraction_id", sa.Text, sa.ForeignKey("extractions.id", ondelete="CASCADE"), nullable=False),
    _number("feature"),
    sa.Column("label_id", _COUNTER, sa.ForeignKey("labels.id", ondelete="CASCADE"), nullable=True),
    _text("created"),
    sa.Index(None, "extraction_id", "feature", "id"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    _id(),
    _text("verb"),
    _text("name"),
    _json("spec"),
    _text("lane"),
    _text("state"),
    _number("attempt"),
    _number("stalls"),
    _text("owner", nullable=True),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("cancel", sa.Boolean, nullable=False),
    _json("made"),
    sa.Column("progress", sa.JSON, nullable=True),
    sa.Column("result", sa.JSON, nullable=True),
    sa.Column("error", sa.JSON, nullable=True),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("started", sa.Double, nullable=True),
    sa.Column("ended", sa.Double, nullable=True),
    sa.Column("heartbeat", sa.Double, nullable=True),
    sa.Index(None, "lane", "state", "created"),
)

job_lines = sa.Table(
    "job_lines",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    _text("text"),
    sa.Index(None, "job_id", "id"),
)

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("extraction_id", sa.Text, sa.ForeignKey("extractions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("feature", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("starred", sa.Boolean, nullable=False),
    _text("note", nullable=True),
    _text("note_saved", nullable=True),
    sa.Column("changed", sa.Double, nullable=False),
    sa.Index(None, "changed"),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)

llm_endpoints = sa.Table(
    "llm_endpoints",
    metadata,
    _id(),
    _name(),
    _text("url"),
    _text("model"),
    _text("key"),
    sa.Column("price_in", sa.Double, nullable=True),
    sa.Column("price_out", sa.Double, nullable=True),
    _text("created"),
)

llm_calls = sa.Table(
    "llm_calls",
    metadata,
    _id(),
    _text("key"),
    _text("scope"),
    _text("url"),
    _text("model"),
    _text("state"),
    sa.Column("status", sa.BigInteger, nullable=True),
    _number("charged_calls"),
    _number("charged_in"),
    _number("charged_out"),
    _number("charged_nano"),
    _number("worst_in"),
    sa.Column("seconds", sa.Double, nullable=True),
    _text("reason", nullable=True),
    _text("raw", nullable=True),
    sa.Index(None, "scope"),
)

llm_answers = sa.Table(
    "llm_answers",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    _text("text"),
    _text("call_id"),
)

label_errors = sa.Table(
    "label_errors",
    metadata,
    _counter(),
    sa.Column("extraction_id", sa.Text, sa.ForeignKey("extractions.id", ondelete="CASCADE"), nullable=False),
    _number("feature"),
    _text("source"),
    _text("model", nullable=True),
    _text("reason"),
    _text("raw", nullable=True),
    _text("request"),
    _text("created"),
    sa.Index(None, "extraction_id", "request"),
)
