"""Run the migrations inside a transaction that is already open. The one place that imports alembic."""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def config(connection: sa.Connection | None = None) -> Config:
    """alembic's configuration, without any file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection) -> None:
    """Bring the catalogue to the newest revision; the caller commits."""
    logger = logging.getLogger("alembic")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        command.upgrade(config(connection), "head")
    finally:
        logger.setLevel(level)
