"""Stage `extract`: one shard's episodes, each with its outcome in the ledger before the shard says it is done."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from fabula_api.artifact import Manifest
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.worker import StageCondition
from fabula_workloads.bedrock.budget import BudgetReached
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.refusals import ALL_REFUSED, withdraw
from fabula_workloads.bedrock.usage import UsageRecord
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode
from fabula_workloads.recipes.podcast.extraction.extractors import Extracting, open_extractor
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome, outcome_of
from fabula_workloads.recipes.podcast.ingest import EPISODES
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import WorkerError
from fabula_workloads.runtime.frontier import Frontier
from fabula_workloads.runtime.in_flight import in_flight
from fabula_workloads.runtime.outcomes import Outcomes, in_round
from fabula_workloads.runtime.store import Store

Figures = Counter[str]


def run(context: StageContext, clock: Clock | None = None) -> StageResult:
    """The `extract` stage. `clock` is the one by which quotas are counted; default: the machine's."""
    spec = context.spec_of(PodcastBuildSpec)
    return _Shard(
        context, spec, *context.read_artifact("ingest", "episodes"), Outcomes(context.store, ExtractOutcome), clock
    ).work()


@dataclass
class _Shard:
    context: StageContext
    spec: PodcastBuildSpec
    episodes: Store
    ingested: Manifest
    ledger: Outcomes[ExtractOutcome]
    clock: Clock | None
    tallied: Figures = field(default_factory=Counter)
    total: int = 0
    done: int = 0
    target: Frontier | None = None
    """How far the target needs the episodes; None where there is no target."""
    pending: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    """Those of them that failed in an earlier round of `retryFailed`."""
    cut_short: list[ExtractOutcome] = field(default_factory=list)
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
            at_work = in_flight(
                self._to_do(), lambda place: self._extract(extracting, *place), extracting.concurrency,
                self.context.stopping,
            )  # fmt: skip
            with closing(at_work):
                for _, outcome in at_work:
                    if outcome is not None:
                        self._count(outcome)
                        self._report(extracting)
            if extracting.refusals and (failure := extracting.refusals.all_alike()):
                raise failure
        except WorkerError as error:
            if error.reason == ALL_REFUSED:
                shard, shards = self.context.shard, self.context.config.shards
                withdraw(self.ledger, (episode.id for episode in own_episodes(self.episodes, shard, shards)))
            raise
        except BudgetReached:
            stopped_by = "BudgetReached"
            for outcome in self.cut_short:
                self.tallied.update(outcome.tally())
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

    def _take_stock(self) -> list[UsageRecord]:
        """Count what earlier starts finished, before the first report; what their calls cost."""
        num_episodes = int(self.ingested.counts["episode/ok"])
        self.total = len(range(self.context.shard, num_episodes, self.context.config.shards))
        finished = self.ledger.ids()
        usages = []
        for episode in own_episodes(self.episodes, self.context.shard, self.context.config.shards):
            outcome = self.ledger.get(episode.id) if episode.id in finished else None
            failed = outcome is not None and not outcome.is_finished(self.spec.retry_failed)
            if failed:
                self.again.add(episode.id)
            if outcome is not None and self._is_over(outcome):
                self._count(outcome)
                if self.target is not None:
                    self.target.ended(episode.id, len(outcome.excerpts))
                if outcome.usage is not None:
                    usages.append(outcome.usage)
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

    def _extract(self, extracting: Extracting, position: int, episode: Episode) -> ExtractOutcome | None:
        """The episode's outcome; None where the target does not need it."""
        if self.target is not None and not self.target.admit(position, episode.id):
            return None
        try:
            extraction = extracting.extractor.extract(episode)
            outcome = in_round(outcome_of(extraction, episode.podcast), self.spec.retry_failed)
            self.ledger.put(episode.id, outcome)
            if extraction.partial:
                self.cut_short.append(outcome)
                raise BudgetReached
        except BaseException:
            if self.target is not None:
                self.target.close()
            raise
        if self.target is not None:
            self.target.ended(episode.id, len(outcome.excerpts))
        return outcome

    def _ended(self, known: frozenset[str]) -> dict[str, int]:
        """Excerpts of the episodes that any shard has ended, but for the known ones."""
        outcomes = self.ledger.items(self.ledger.ids() - known)
        return {episode: len(outcome.excerpts) for episode, outcome in outcomes if self._is_over(outcome)}

    def _is_over(self, outcome: ExtractOutcome) -> bool:
        return outcome.is_finished(self.spec.retry_failed) and not outcome.partial

    def _count(self, outcome: ExtractOutcome) -> None:
        self.tallied.update(outcome.tally())
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
        wanted, excerpts = self.spec.excerpts_wanted(), self.tallied["excerpt/ok"]
        if wanted is None or not excerpts or self.done >= self.total:
            return self.total
        part = math.ceil(self.done * wanted / (excerpts * self.context.config.shards))
        return min(self.total, max(self.done + 1, part))


_WHY = {"BudgetReached": "the next call could pass the budget", "TargetReached": "there are enough excerpts"}


def own_episodes(store: Store, shard: int, shards: int) -> Iterator[Episode]:
    """The shard's episodes. The file is sorted by id, so taking every n-th line is the ledger's rule for shards."""
    with store.open(EPISODES) as lines:
        for number, line in enumerate(lines):
            if number % shards == shard:
                yield Episode.from_json(json.loads(line))
