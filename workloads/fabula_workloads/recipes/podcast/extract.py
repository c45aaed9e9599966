"""Stage `extract`: one shard's episodes, each with its outcome in the ledger before the next is taken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fabula_api.dataset_build import DatasetBuildSpec
from fabula_workloads.recipes.podcast.excerpts import Episode, Extractor
from fabula_workloads.recipes.podcast.ingest import EPISODES
from fabula_workloads.recipes.podcast.rules import RulesExtractor
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.store import Store


def run(context: StageContext) -> StageResult:
    """The `extract` stage."""
    spec = context.config.spec
    if not isinstance(spec, DatasetBuildSpec):
        raise ConfigInvalid(f"extract belongs to a DatasetBuild, not to a {context.config.run.kind}")
    extractor = make_extractor(spec)
    episodes = context.open_input("ingest")
    num_episodes = int(require_manifest(episodes, "episodes").counts["episode/ok"])
    total = len(range(context.shard, num_episodes, context.config.shards))
    ledger = Ledger(context.store)
    finished = ledger.ids()
    counts: Counter[str] = Counter()
    done = 0
    # Two passes over the file, since the first report must say what earlier runs had finished.
    for episode in own_episodes(episodes, context.shard, context.config.shards):
        if episode.id in finished and (outcome := ledger.get(episode.id)) is not None:
            counts.update(tally(outcome))
            done += 1
    context.reporter.update(done=done, total=total, counts=counts)
    for episode in own_episodes(episodes, context.shard, context.config.shards):
        if episode.id in finished:
            continue
        context.check_stop()
        outcome = extractor.extract(episode).outcome(episode.podcast)
        ledger.put(episode.id, outcome)
        counts.update(tally(outcome))
        done += 1
        context.reporter.update(done=done, total=total, counts=counts)
    return StageResult(uri=context.store.uri, counts={name: float(count) for name, count in sorted(counts.items())})


def make_extractor(spec: DatasetBuildSpec) -> Extractor:
    """The extractor that the spec asks for."""
    extraction = spec.extraction
    if extraction.provider != "rules":
        raise ConfigInvalid(
            f"extraction.provider {extraction.provider} is not supported yet; rules needs no model",
            "NotImplemented",
        )
    if extraction.words.min > extraction.words.max:
        raise ConfigInvalid(f"extraction.words.min {extraction.words.min} is above max {extraction.words.max}")
    return RulesExtractor(
        min_words=extraction.words.min,
        max_words=extraction.words.max,
        max_excerpts=extraction.max_excerpts,
        scenes_per_excerpt=spec.images.per_sample,
    )


def own_episodes(store: Store, shard: int, shards: int) -> Iterator[Episode]:
    """The shard's episodes. The file is sorted by id, so taking every n-th line is the ledger's rule for shards."""
    with store.open(EPISODES) as lines:
        for number, line in enumerate(lines):
            if number % shards == shard:
                yield Episode.from_json(json.loads(line))


def tally(outcome: dict[str, Any]) -> Counter[str]:
    """Figures of one outcome, as `kind/outcome/Reason`."""
    reason = f"/{outcome['reason']}" if outcome.get("reason") else ""
    counts = Counter({f"extract/{outcome['outcome']}{reason}": 1})
    counts["excerpt/ok"] += len(outcome["excerpts"])
    counts.update({f"excerpt/rejected/{name}": count for name, count in outcome.get("rejected", {}).items()})
    return +counts
