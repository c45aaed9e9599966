"""Stage `estimate` of a dry run: what a build would ask of its providers, from a sample of its episodes.

Nothing is sent. Calls follow the extractor's own rules for chunks and continuations, tokens the characters of the real
requests; a model is taken to return every excerpt that fits.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from fabula_api.dataset_build import BuildEstimate
from fabula_api.pricing import Price, price_of
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.summary import EstimateSummary
from fabula_workloads.recipes.podcast.dialogue import written
from fabula_workloads.recipes.podcast.extraction.chunks import chunks
from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import converse_request, user_text
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode
from fabula_workloads.recipes.podcast.extraction.request_size import (
    likely_tokens,
    likely_tokens_of,
    likely_tokens_of_an_excerpt,
    most_in_a_reply,
)
from fabula_workloads.recipes.podcast.extraction.rules import RulesExtractor
from fabula_workloads.recipes.podcast.ingest import EPISODES
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.text.words import num_words

SAMPLED_EPISODES = 200
_FIRST_SECONDS, _TOKENS_PER_SECOND, _SECONDS_PER_PICTURE = 3.0, 60.0, 12.0
"""How long providers usually take; they count only where concurrency binds and not the quota."""


@dataclass
class Work:
    """What some episodes take."""

    calls: float = 0
    tokens_in: float = 0
    tokens_out: float = 0
    excerpts: float = 0

    def times(self, factor: float) -> Work:
        """As much of it."""
        return Work(self.calls * factor, self.tokens_in * factor, self.tokens_out * factor, self.excerpts * factor)


def run(context: StageContext) -> StageResult:
    """The `estimate` stage; its result's summary has the estimate."""
    spec = context.spec_of(PodcastBuildSpec)
    episodes, manifest = context.read_artifact("ingest", "episodes")
    num_episodes = int(manifest.counts["episode/ok"])
    step, sampled, work = max(1, math.ceil(num_episodes / SAMPLED_EPISODES)), 0, Work()
    with episodes.open(EPISODES) as lines:
        for number, line in enumerate(lines):
            if number % step == 0:
                context.check_stop()
                add(work, Episode.from_json(json.loads(line)), spec)
                sampled += 1
                context.reporter.update(done=sampled, total=math.ceil(num_episodes / step))
    whole = work.times(num_episodes / sampled) if sampled else work
    return StageResult(summary=EstimateSummary(estimate=estimate(whole, spec, sampled)))


def add(work: Work, episode: Episode, spec: PodcastBuildSpec) -> None:
    """Add what one episode takes."""
    asked, num_scenes = spec.podcast.extraction, spec.podcast.images.per_sample
    words = asked.words
    if len({turn.speaker for turn in episode.turns}) < 2:
        return
    if asked.provider == "rules":
        rules = RulesExtractor(
            min_words=words.min, max_words=words.max, max_excerpts=asked.max_excerpts, scenes_per_excerpt=num_scenes
        )
        work.excerpts += len(rules.extract(episode).excerpts)
        return
    parts, excerpts = chunks(episode.turns), 0
    most, mean_words = most_in_a_reply(asked, num_scenes), (words.min + words.max) / 2
    for number, part in enumerate(parts):
        share = math.ceil((asked.max_excerpts - excerpts) / (len(parts) - number))
        if share <= 0:
            continue
        text = written(part)
        length = num_words(text)
        here = min(share, int(length / mean_words))
        rounds = max(1, math.ceil(here / most))
        request = converse_request(
            user_text(text, words=(words.min, words.max), most=min(most, share), num_scenes=num_scenes),
            num_scenes=num_scenes, max_tokens=asked.max_tokens,
        )  # fmt: skip
        excerpts += here
        work.calls += rounds
        work.tokens_in += rounds * likely_tokens(request)
        tokens_each = likely_tokens_of_an_excerpt(mean_words * likely_tokens_of(text) / max(1, length), num_scenes)
        work.tokens_out += min(rounds * asked.max_tokens, here * tokens_each)
    work.excerpts += excerpts


def estimate(work: Work, spec: PodcastBuildSpec, sampled: int) -> BuildEstimate:
    """The build's figures from what all its episodes take; `target` ends it earlier, `budget` is not looked at."""
    wanted, samples = spec.excerpts_wanted(), work.excerpts
    if wanted is not None and spec.target.samples is not None and work.excerpts:
        work = work.times(min(1.0, wanted / work.excerpts))
        # What is looked for above the target is drawn only for samples whose own pictures are filtered: a few.
        samples = min(work.excerpts, spec.target.samples)
    pictures = samples * spec.podcast.images.per_sample if spec.podcast.images.provider == "bedrock" else 0.0
    text_price, picture_price = price_of(spec.podcast.extraction.model, spec.prices), _picture_price(spec)
    known = (text_price is not None or not work.calls) and (picture_price is not None or not pictures)
    text_price, picture_price = text_price or Price(), picture_price or Price()
    usd = text_price.tokens_usd(math.ceil(work.tokens_in), math.ceil(work.tokens_out))
    minutes = _text_minutes(work, text_price, spec) + _picture_minutes(pictures, spec)
    return BuildEstimate(
        calls=math.ceil(work.calls) + math.ceil(pictures),
        input_tokens=math.ceil(work.tokens_in),
        output_tokens=math.ceil(work.tokens_out),
        usd=round(usd + pictures * picture_price.per_image, 2) if known else None,
        minutes=round(minutes, 1),
        items={"excerpts": math.ceil(work.excerpts)},
        sampled=sampled,
    )


def _picture_price(spec: PodcastBuildSpec) -> Price | None:
    return price_of(spec.podcast.images.bedrock_model, spec.prices)


def _text_minutes(work: Work, price: Price, spec: PodcastBuildSpec) -> float:
    asked, quota = spec.podcast.extraction, spec.podcast.extraction.quota
    seconds = work.calls * _FIRST_SECONDS + work.tokens_out / _TOKENS_PER_SECOND
    bounds = [seconds / 60 / (asked.concurrency * asked.workers)]
    if quota.requests_per_minute:
        bounds.append(work.calls / quota.requests_per_minute)
    if quota.tokens_per_minute:
        bounds.append((work.tokens_in + price.output_quota_weight * work.tokens_out) / quota.tokens_per_minute)
    return max(bounds)


def _picture_minutes(pictures: float, spec: PodcastBuildSpec) -> float:
    images = spec.podcast.images
    bounds = [pictures * _SECONDS_PER_PICTURE / 60 / (images.concurrency * images.workers)]
    if images.quota.requests_per_minute:
        bounds.append(pictures / images.quota.requests_per_minute)
    return max(bounds)
