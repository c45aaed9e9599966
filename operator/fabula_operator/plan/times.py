"""Times and durations as the API and people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time, or None."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None


@lru_cache(maxsize=64)
def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as the API writes times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration_text(seconds: float) -> str:
    """`2m10s`, `1h05m`, `40s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
