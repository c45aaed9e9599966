"""What providers charge, as data: dollars a token and a picture, by model, with a build's own prices on top.

List prices of AWS Bedrock's on-demand tier; `spec.prices` overrides them, since contracts and prices change.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from fabula_api.base import SpecModel

_MILLION = 1_000_000


class Price(SpecModel):
    """What one model costs, and how it draws on the account's quota."""

    input_per_million: float = Field(0, ge=0, le=100_000)
    """Dollars for a million tokens sent."""
    output_per_million: float = Field(0, ge=0, le=100_000)
    """Dollars for a million tokens received."""
    per_image: float = Field(0, ge=0, le=1_000)
    """Dollars a picture."""
    output_quota_weight: float = Field(1, ge=1, le=100)
    """Tokens of the per-minute quota that a received token takes in the end; 5 for Claude from 3.7 on at Bedrock."""

    def tokens_usd(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars for a call with that many tokens."""
        return (tokens_in * self.input_per_million + tokens_out * self.output_per_million) / _MILLION


def _claude(tokens_in: float, tokens_out: float) -> Price:
    return Price(input_per_million=tokens_in, output_per_million=tokens_out, output_quota_weight=5)


PRICES: dict[str, Price] = {
    "anthropic.claude-sonnet-4": _claude(3, 15),
    "anthropic.claude-3-7-sonnet": _claude(3, 15),
    "anthropic.claude-haiku-4": _claude(1, 5),
    "stability.sd3-5-large": Price(per_image=0.08),
}
"""List prices in dollars, by the start of a model's id."""


def price_of(model: str, overrides: Mapping[str, Price] | None = None) -> Price | None:
    """The price of a model; None when nobody named one.

    A build's own price goes by the model's whole id. The table goes by the longest start that fits, after the region
    prefix of an inference profile (`global.`, `us.`, ...) or the path of an ARN.
    """
    if overrides and model in overrides:
        return overrides[model]
    plain = model.rpartition("/")[2]
    fitting = [start for start in PRICES if plain.startswith(start) or plain.partition(".")[2].startswith(start)]
    return PRICES[max(fitting, key=len)] if fitting else None
