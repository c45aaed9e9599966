"""Stage `extract`: one shard's episodes, each with its outcome in the ledger before the shard says it is done."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fabula_api.artifact import Manifest
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.worker import StageCondition
from fabula_workloads.bedrock.budget import BudgetReached
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.refusals import ALL_REFUSED, REQUEST_REFUSED
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode
from fabula_workloads.recipes.podcast.extraction.extractors import Extracting, open_extractor
from fabula_workloads.recipes.podcast.ingest import EPISODES
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, WorkerError
from fabula_workloads.runtime.frontier import Frontier
from fabula_workloads.runtime.in_flight import in_flight
from fabula_workloads.runtime.ledger import Ledger, in_round, is_finished
from fabula_workloads.runtime.store import Store

Figures = Counter[str]


def run(context: StageContext, clock: Clock | None = None) -> StageResult:
    """The `extract` stage. `clock` is the one by which quotas are counted; default: the machine's."""
    spec = context.config.spec
    if not isinstance(spec, PodcastBuildSpec):
        raise ConfigInvalid(f"extract belongs to a DatasetBuild, not to a {context.config.run.kind}")
    return _Shard(context, spec, *context.read_artifact("ingest", "episodes"), Ledger(context.store), clock).work()


@dataclass
class _Shard:
    context: StageContext
    spec: PodcastBuildSpec
    episodes: Store
    ingested: Manifest
    ledger: Ledger
    clock: Clock | None
    tallied: Figures = field(default_factory=Counter)
    total: int = 0
    done: int = 0
    target: Frontier | None = None
    """How far the target needs the episodes; None where there is no target."""
    pending: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    """Those of them that failed in an earlier round of `retryFailed`."""
    cut_short: list[dict[str, Any]] = field(default_factory=list)
    """Outcomes of episodes in whose middle the budget ended."""

    def work(self) -> StageResult:
        """Work through what has no outcome yet; the stage's counts."""
        if (wanted := self.spec.excerpts_wanted()) is not None:
            most, reporter = self.spec.podcast.extraction.max_excerpts, self.context.reporter
            self.target = Frontier(wanted, most, self._ended, self.context.stopping, reporter.update)
        usages = self._take_stock()
        extracting = open_extractor(self.context, self.spec, self.pending, self.again, usages, self.clock)
        self._report(extracting)
        stopped_by = None
        try:
            for _, outcome in in_flight(
                self._to_do(), lambda place: self._one(extracting, *place), extracting.concurrency,
                self.context.stopping,
            ):  # fmt: skip
                if outcome is not None:
                    self._count(outcome)
                    self._report(extracting)
            if extracting.refusals and (failure := extracting.refusals.all_alike()):
                raise failure
        except WorkerError as error:
            if error.reason == ALL_REFUSED:
                self._withdraw()
            raise
        except BudgetReached:
            stopped_by = "BudgetReached"
            for outcome in self.cut_short:
                self.tallied.update(tally(outcome))
        left = self.total - self.done
        if left and stopped_by is None:
            self.context.check_stop()
            stopped_by = "TargetReached"
        counts = self._counts(extracting)
        if left and stopped_by:
            counts[f"extract/left/{stopped_by}"] = float(left)
            message = f"{left} of this shard's {self.total} episodes were left: " + _WHY[stopped_by]
            self.context.reporter.tell(StageCondition(reason=stopped_by, message=message))
            over = self.done if stopped_by == "TargetReached" else self.total
            self.context.reporter.update(done=self.done, total=over, counts=counts)
        return StageResult(uri=self.context.store.uri, counts=counts)

    def _withdraw(self) -> None:
        """Take back what says that an episode's requests were refused: the provider has refused everything."""
        for episode in own_episodes(self.episodes, self.context.shard, self.context.config.shards):
            outcome = self.ledger.get(episode.id)
            if outcome is not None and outcome.get("reason") == REQUEST_REFUSED:
                self.ledger.remove(episode.id)

    def _take_stock(self) -> list[dict[str, Any]]:
        """Count what earlier starts finished, before the first report; what their calls cost."""
        num_episodes = int(self.ingested.counts["episode/ok"])
        self.total = len(range(self.context.shard, num_episodes, self.context.config.shards))
        finished = self.ledger.ids()
        usages = []
        for episode in own_episodes(self.episodes, self.context.shard, self.context.config.shards):
            outcome = self.ledger.get(episode.id) if episode.id in finished else None
            failed = outcome is not None and not is_finished(outcome, self.spec.retry_failed)
            if failed:
                self.again.add(episode.id)
            if outcome is not None and self._is_over(outcome):
                self._count(outcome)
                if self.target is not None:
                    self.target.ended(episode.id, len(outcome["excerpts"]))
                if "usage" in outcome:
                    usages.append(outcome["usage"])
            else:
                self.pending.add(episode.id)
        return usages

    def _to_do(self) -> Iterator[tuple[int, Episode]]:
        """(how many of all episodes stand before it, episode), in order."""
        shard, shards = self.context.shard, self.context.config.shards
        for number, episode in enumerate(own_episodes(self.episodes, shard, shards)):
            if self.target is not None and self.target.enough(episode.id):
                return
            if episode.id in self.pending:
                yield shard + number * shards, episode

    def _one(self, extracting: Extracting, position: int, episode: Episode) -> dict[str, Any] | None:
        """The episode's outcome; None where the target does not need it."""
        if self.target is not None and not self.target.admit(position, episode.id):
            return None
        try:
            extraction = extracting.extractor.extract(episode)
            outcome = in_round(extraction.outcome(episode.podcast), self.spec.retry_failed)
            self.ledger.put(episode.id, outcome)
            if extraction.partial:
                self.cut_short.append(outcome)
                raise BudgetReached
        except BaseException:
            if self.target is not None:
                self.target.close()
            raise
        if self.target is not None:
            self.target.ended(episode.id, len(outcome["excerpts"]))
        return outcome

    def _ended(self, known: frozenset[str]) -> dict[str, int]:
        """Excerpts of the episodes that any shard has ended, but for the known ones."""
        found = self.ledger.items(self.ledger.ids() - known)
        return {episode: len(outcome["excerpts"]) for episode, outcome in found if self._is_over(outcome)}

    def _is_over(self, outcome: dict[str, Any]) -> bool:
        return is_finished(outcome, self.spec.retry_failed) and not outcome.get("partial")

    def _count(self, outcome: dict[str, Any]) -> None:
        self.tallied.update(tally(outcome))
        self.done += 1

    def _counts(self, extracting: Extracting) -> dict[str, float]:
        counts = {name: float(count) for name, count in sorted(self.tallied.items())}
        return counts | (extracting.usage.counts() if extracting.usage else {})

    def _report(self, extracting: Extracting) -> None:
        failed = sum(count for name, count in self.tallied.items() if name.startswith("extract/failed"))
        counts = self._counts(extracting)
        self.context.reporter.update(done=self.done, total=self._likely_total(), failed=failed, counts=counts)

    def _likely_total(self) -> int:
        """How many of its episodes the shard will do: as many as make its part of the target at the pace so far."""
        wanted, found = self.spec.excerpts_wanted(), self.tallied["excerpt/ok"]
        if wanted is None or not found or self.done >= self.total:
            return self.total
        part = math.ceil(self.done * wanted / (found * self.context.config.shards))
        return min(self.total, max(self.done + 1, part))


_WHY = {"BudgetReached": "the next call could pass the budget", "TargetReached": "there are enough excerpts"}


def own_episodes(store: Store, shard: int, shards: int) -> Iterator[Episode]:
    """The shard's episodes. The file is sorted by id, so taking every n-th line is the ledger's rule for shards."""
    with store.open(EPISODES) as lines:
        for number, line in enumerate(lines):
            if number % shards == shard:
                yield Episode.from_json(json.loads(line))


def tally(outcome: dict[str, Any]) -> Figures:
    """Figures of one outcome, as `kind/outcome/Reason`."""
    reason = f"/{outcome['reason']}" if outcome.get("reason") else ""
    name = "partial" if outcome.get("partial") else outcome["outcome"]
    counts = Counter({f"extract/{name}{reason}": 1})
    counts["excerpt/ok"] += len(outcome["excerpts"])
    counts.update({f"excerpt/rejected/{name}": count for name, count in outcome.get("rejected", {}).items()})
    counts.update({f"reply/{name}": count for name, count in outcome.get("replies", {}).items()})
    counts.update({f"verbatim/{name}": count for name, count in outcome.get("verbatim", {}).items()})
    return +counts
