"""What an API server answers where it refuses, as an exception."""

from __future__ import annotations

from collections.abc import Mapping

import orjson


class ApiError(Exception):
    """An answer of the API server that is no success."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again, where it said so."""

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def conflict(self) -> bool:
        return self.code == 409

    @property
    def gone(self) -> bool:
        """The resourceVersion is too old: list again."""
        return self.code == 410 or self.reason in ("Expired", "Gone")

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


def error_of(code: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an answer is, in the server's own words where it has some."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    status = status if isinstance(status, dict) else {}
    delay = headers.get("Retry-After", "")
    return ApiError(
        code,
        str(status.get("reason") or "Unknown"),
        str(status.get("message") or body[:300].decode("utf-8", "replace")),
        float(delay) if delay.isdigit() else None,
    )
