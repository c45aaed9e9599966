"""What providers charge, as data: dollars a token and a picture, by model, with a build's own prices on top.

List prices of AWS Bedrock's on-demand tier; `spec.prices` overrides them, since contracts and prices change.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from fabula_api.base import SpecModel

_MILLION = 1_000_000


class Budget(SpecModel):
    usd: float | None = Field(None, gt=0)
    """Stop before the providers' bill passes this many dollars."""


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


# Looked up in November 2026. Claude: the vendor's price list (platform.claude.com, "Pricing"), which Bedrock charges
# for global inference profiles; from 4.5 on, others cost a tenth more (Bedrock's user guide, "Global cross-Region
# inference"). Quota weight: Bedrock's user guide, "How tokens are counted". Stable Diffusion 3.5 Large: as public price
# trackers give it for Bedrock, whose own page has no figure in its text; compare it with your bill.
PRICES: dict[str, Price] = {
    "anthropic.claude-sonnet-4": _claude(3, 15),
    "anthropic.claude-sonnet-4-5": _claude(3, 15),
    "anthropic.claude-sonnet-4-6": _claude(3, 15),
    "anthropic.claude-3-7-sonnet": _claude(3, 15),
    "anthropic.claude-haiku-4-5": _claude(1, 5),
    "anthropic.claude-opus-4": _claude(15, 75),
    "anthropic.claude-opus-4-5": _claude(5, 25),
    "anthropic.claude-opus-4-6": _claude(5, 25),
    "stability.sd3-5-large": Price(per_image=0.08),
}
"""List prices in dollars, by the start of a model's id; of Claude from 4.5 on for global inference."""
_DEARER_IN_A_REGION = ("-4-5", "-4-6")
_REGIONAL_FACTOR = 1.1


def price_of(model: str, overrides: Mapping[str, Price] | None = None) -> Price | None:
    """The price of a model; None when nobody named one.

    A build's own price goes by the model's whole id. The table goes by the longest start that fits, after the region
    prefix of an inference profile (`global.`, `us.`, ...) or the path of an ARN; a region's profile may cost more.
    """
    if overrides and model in overrides:
        return overrides[model]
    plain = model.rpartition("/")[2]
    fitting = [start for start in PRICES if plain.startswith(start) or plain.partition(".")[2].startswith(start)]
    if not fitting:
        return None
    start = max(fitting, key=len)
    price = PRICES[start]
    if not start.endswith(_DEARER_IN_A_REGION) or plain.startswith("global."):
        return price
    return price.replace(
        input_per_million=round(price.input_per_million * _REGIONAL_FACTOR, 6),
        output_per_million=round(price.output_per_million * _REGIONAL_FACTOR, 6),
    )
