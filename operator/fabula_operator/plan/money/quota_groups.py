"""Quotas that builds of several namespaces share, as the operator's settings declare them.

A name alone shares nothing over namespaces: whoever may create a build could else lower everybody's rate by a figure
of their own. A declared group is one quota of one account, so it names provider, region and models, and has figures.
"""

from __future__ import annotations

from pydantic import Field, TypeAdapter

from fabula_api.base import Name, SpecModel, Text


class QuotaGroup(SpecModel):
    """One quota of a provider's account."""

    name: Name
    """As in `quota.group` of the builds that draw on it."""
    provider: Text = "bedrock"
    """Whose quota it is, as in the builds."""
    account: Text | None = None
    """For people: which account's quota this is."""
    region: Text
    """The provider's region."""
    models: list[Text] = Field(min_length=1, max_length=64)
    """Models, or inference profiles, that one quota covers."""
    namespaces: list[Name] = Field(min_length=1, max_length=1024)
    """Whose builds may draw on it."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Requests that all of them may make in a minute."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens that all of them may take in a minute."""

    def covers(self, namespace: str, group: str | None, provider: str, region: str, model: str) -> bool:
        """Whether such a build's calls are taken from this quota."""
        named = group == self.name and namespace in self.namespaces
        return named and (provider, region) == (self.provider, self.region) and model in self.models


def read_groups(wire: object) -> tuple[QuotaGroup, ...]:
    """The groups of a settings file. Raises ValueError, naming the field."""
    groups = TypeAdapter(tuple[QuotaGroup, ...]).validate_python(wire or ())
    names = [group.name for group in groups]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{twice[0]} is declared twice")
    return groups
