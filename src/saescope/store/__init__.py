"""The only room that speaks SQL, and the only one that reads and writes the Parquet of extractions.

Rows become the records of `records.py` on the next line. No torch, no verb.
"""

from .database import Database, open_database
from .sqlite import SqliteStatus, sqlite_status

__all__ = ["Database", "SqliteStatus", "open_database", "sqlite_status"]
