"""Jobs and what they say."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "jobs",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("id", "verb", "name", "lane", "state")),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("spec", sa.JSON, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("attempt", "stalls")),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("made", sa.JSON, nullable=False),
        *(sa.Column(name, sa.JSON, nullable=True) for name in ("progress", "result", "error")),
        sa.Column("created", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double, nullable=True) for name in ("started", "ended", "heartbeat")),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_lane_state_created", "jobs", ["lane", "state", "created"])
    op.create_table(
        "job_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_lines"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_lines_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_job_lines_job_id_id", "job_lines", ["job_id", "id"])
