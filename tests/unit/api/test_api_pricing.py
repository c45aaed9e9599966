"""Prices: which one a model gets, and what a call costs."""

from __future__ import annotations

import pytest

from fabula_api.pricing import Price, price_of


@pytest.mark.parametrize(
    ("model", "tokens_in", "tokens_out", "usd"),
    [
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, 0, 3.0),
        ("anthropic.claude-sonnet-4-20250514-v1:0", 0, 1_000_000, 15.0),
        ("arn:aws:bedrock:us-west-2:1:inference-profile/us.anthropic.claude-haiku-4-5-v1:0", 500_000, 100_000, 1.1),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, 1_000_000, 19.8),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, 0, 3.3),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", 1_000_000, 0, 3.0),
        ("global.anthropic.claude-opus-4-5-20251101-v1:0", 1_000_000, 0, 5.0),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", 1_000_000, 0, 15.0),
    ],
)
def test_a_model_goes_by_its_name_and_its_profile(model: str, tokens_in: int, tokens_out: int, usd: float) -> None:
    price = price_of(model)
    assert price is not None and price.tokens_usd(tokens_in, tokens_out) == pytest.approx(usd)


def test_a_builds_own_price_wins_and_an_unknown_model_has_none() -> None:
    own = Price(input_per_million=1)
    model = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert price_of(model, {model: own}) == own
    assert price_of("amazon.nova-pro-v1:0") is None
    assert price_of("arn:aws:bedrock:us-west-2:1:application-inference-profile/a1b2c3") is None


def test_claude_draws_five_tokens_of_quota_for_each_token_written() -> None:
    price = price_of("anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert price is not None and price.output_quota_weight == 5
