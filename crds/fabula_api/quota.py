"""What a provider's account allows, as a spec declares it."""

from __future__ import annotations

from pydantic import Field

from fabula_api.base import Name, SpecModel


class RequestQuota(SpecModel):
    requests_per_minute: int | None = Field(None, ge=1)
    """Requests a minute that the provider's account allows for the model."""
    group: Name | None = None
    """Builds with the same group share one quota."""

    @property
    def tokens_allowed(self) -> int | None:
        """Tokens a minute; None where the provider counts requests alone, or nothing is said."""
        return None


class Quota(RequestQuota):
    tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens a minute that the provider's account allows for the model."""

    @property
    def tokens_allowed(self) -> int | None:
        return self.tokens_per_minute
