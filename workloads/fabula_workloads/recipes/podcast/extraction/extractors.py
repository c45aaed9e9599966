"""Which extractor a build asks for, with what it needs: for Bedrock a client, a quota, a budget and books."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.quota import Rates
from fabula_workloads.bedrock.refusals import Refusals
from fabula_workloads.bedrock.usage import Usage, UsageRecord
from fabula_workloads.recipes.podcast.extraction.excerpts import Extractor
from fabula_workloads.recipes.podcast.extraction.rules import RulesExtractor
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Extracting:
    """An extractor, how many episodes it takes at once, and what its calls cost; None where nothing is paid for."""

    extractor: Extractor
    concurrency: int = 1
    usage: Usage | None = None
    refusals: Refusals | None = None
    """What the provider refused; None where there is none."""


def open_extractor(
    context: StageContext,
    spec: PodcastBuildSpec,
    pending: Set[str],
    again: Set[str],
    finished: Iterable[UsageRecord],
    clock: Clock | None = None,
) -> Extracting:
    """The extractor that the spec asks for. `pending` are the episodes to do, `again`
    those of them that failed before, `finished` the usage of those done."""
    asked = spec.podcast.extraction
    if asked.words.min > asked.words.max:
        raise ConfigInvalid(f"podcast.extraction.words.min {asked.words.min} is above max {asked.words.max}")
    if asked.provider == "bedrock":
        return _bedrock(context, spec, pending, again, finished, clock)
    return Extracting(
        RulesExtractor(
            min_words=asked.words.min,
            max_words=asked.words.max,
            max_excerpts=asked.max_excerpts,
            scenes_per_excerpt=spec.podcast.images.per_sample,
        )
    )


def _bedrock(
    context: StageContext,
    spec: PodcastBuildSpec,
    pending: Set[str],
    again: Set[str],
    finished: Iterable[UsageRecord],
    clock: Clock | None,
) -> Extracting:
    from fabula_workloads.bedrock.client import BedrockClient  # boto3 only where it is used
    from fabula_workloads.bedrock.shard import known_price, open_caller
    from fabula_workloads.recipes.podcast.extraction.bedrock_extractor import BedrockExtractor, episode_of_call

    asked = spec.podcast.extraction
    price = known_price(asked.model, spec.prices, spec.budget.usd)
    client = BedrockClient(
        region=asked.region,
        endpoint_url=asked.endpoint_url,
        concurrency=asked.concurrency,
        max_tokens=asked.max_tokens,
        field="podcast.extraction",
    )
    caller = open_caller(
        context,
        rates=Rates(asked.quota.requests_per_minute, asked.quota.tokens_per_minute),
        budget_usd=spec.extraction_usd,
        is_own=lambda call: episode_of_call(call) in pending,
        finished=finished,
        asked=f"podcast.extraction.model {asked.model}, podcast.extraction.maxTokens, podcast.extraction.region "
        f"{asked.region} and what the account may use there",
        max_tokens=asked.max_tokens,
        clock=clock,
    )
    return Extracting(
        BedrockExtractor(spec, client, caller, price, again), asked.concurrency, caller.usage, caller.refusals
    )
