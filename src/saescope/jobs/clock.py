"""Time, as rows keep it."""

from datetime import UTC, datetime


def now() -> str:
    """This moment, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
