"""Ages as kubectl shows them."""

from datetime import UTC, datetime, timedelta

UNKNOWN = "<unknown>"
INVALID = "<invalid>"


def human_duration(span: timedelta) -> str:
    """The span in two units at most: 90s, 3m12s, 45m, 5h3m, 30h, 2d4h, 90d, 3y20d."""
    whole = int(span.total_seconds())
    if whole < -1:
        return INVALID
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _pair(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def parse_time(text: str) -> datetime:
    """An RFC 3339 time with its zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age(text: str | None, now: datetime) -> str:
    """How long ago the RFC 3339 time was; "<unknown>" without one."""
    if not text:
        return UNKNOWN
    try:
        return human_duration(now - parse_time(text))
    except ValueError:
        return INVALID
