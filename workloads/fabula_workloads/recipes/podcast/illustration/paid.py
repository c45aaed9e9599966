"""Stage `illustrate` with a provider that is paid for each picture: many at once, within quota and budget."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from itertools import takewhile

from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.worker import StageCondition
from fabula_workloads.bedrock.budget import BudgetReached
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.quota import Rates
from fabula_workloads.bedrock.refusals import ALL_REFUSED, Refusals, withdraw
from fabula_workloads.bedrock.shard import known_price, open_caller
from fabula_workloads.bedrock.usage import Usage
from fabula_workloads.painting.bedrock_painter import BedrockPainter, scene_of_call
from fabula_workloads.painting.scene import Scene
from fabula_workloads.recipes.podcast.dataset.candidates import Extracted
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome
from fabula_workloads.recipes.podcast.illustration.outcome import IMAGE, PictureOutcome
from fabula_workloads.recipes.podcast.illustration.pictures import (
    build_of,
    keep,
    scenes_of,
    take_stock,
    wanted_scenes,
)
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import WorkerError
from fabula_workloads.runtime.in_flight import in_flight
from fabula_workloads.runtime.outcomes import Outcomes, ReadOutcomes, in_round

_log = logging.getLogger(__name__)
_WHY = {"BudgetReached": "the next could pass the budget", "TargetReached": "there are enough samples"}


def illustrate_paid(context: StageContext, clock: Clock | None = None) -> StageResult:
    """Draw the scenes of this shard that have no outcome yet; stop where the budget does."""
    spec = build_of(context)
    extracted = ReadOutcomes(Outcomes(context.open_input("extract"), ExtractOutcome), context.cache)
    ledger = Outcomes(context.store, PictureOutcome)
    wanted = wanted_scenes(context, extracted, ledger)
    outcomes, unfinished = take_stock(context, ledger, scenes_of(extracted, spec.podcast.images), wanted)
    pending = wanted.among(unfinished)
    tally, total = Counter(outcome.counted_as(IMAGE) for outcome in outcomes), len(outcomes) + len(pending)
    painter, usage, refusals = _painter(context, spec, unfinished, outcomes, extracted, clock)

    def draw(scene: Scene) -> PictureOutcome | None:
        """The scene's outcome; None where the target does not need it."""
        if not wanted.admit(scene):
            return None
        try:
            outcome = in_round(
                keep(context.store, scene, painter.draw([scene])[0], painter.model), spec.retry_failed
            )  # fmt: skip
            ledger.put(scene.key, outcome)
        except BaseException:
            wanted.close()
            raise
        wanted.ended(scene.key, outcome)
        return outcome

    def counts() -> dict[str, float]:
        return {name: float(count) for name, count in sorted(tally.items())} | usage.counts()

    def report() -> None:
        failed = tally.total() - tally[f"{IMAGE}/ok"]
        context.reporter.update(done=tally.total(), total=total, failed=failed, counts=counts())

    report()  # with what earlier starts spent, by which the operator divides the budget
    stopped_by = "TargetReached"
    try:
        to_do = takewhile(lambda scene: not wanted.enough(scene), pending)
        with closing(in_flight(to_do, draw, spec.podcast.images.concurrency, context.stopping)) as at_work:
            for _, outcome in at_work:
                if outcome is not None:
                    tally[outcome.counted_as(IMAGE)] += 1
                    report()
        if failure := refusals.all_alike():
            raise failure
    except WorkerError as error:
        if error.reason == ALL_REFUSED:
            withdraw(ledger, (scene.key for scene in pending))
        raise
    except BudgetReached:
        stopped_by = "BudgetReached"
    final, left = counts(), total - tally.total()
    if left and stopped_by == "TargetReached":
        context.check_stop()
    if left:
        final[f"illustrate/left/{stopped_by}"] = float(left)
        message = f"{left} of this shard's {total} pictures were left: {_WHY[stopped_by]}"
        context.reporter.tell(StageCondition(reason=stopped_by, message=message))
        context.reporter.update(counts=final)
    _log.info("%d scenes for this shard, %d pending, %d left", total, len(pending), left)
    return StageResult(counts=final)


def _painter(
    context: StageContext,
    spec: PodcastBuildSpec,
    unfinished: list[Scene],
    outcomes: list[PictureOutcome],
    extracted: Extracted,
    clock: Clock | None,
) -> tuple[BedrockPainter, Usage, Refusals]:
    images = spec.podcast.images
    price = known_price(images.bedrock_model, spec.prices, spec.budget.usd)
    keys = {scene.key for scene in unfinished}
    budget = None if spec.budget.usd is None else max(0.0, spec.budget.usd - extraction_cost(extracted))
    caller = open_caller(
        context,
        rates=Rates(images.quota.requests_per_minute),
        budget_usd=budget,
        is_own=lambda call: scene_of_call(call) in keys,
        finished=[outcome.usage for outcome in outcomes if outcome.usage is not None],
        asked=f"podcast.images.bedrockModel {images.bedrock_model}, podcast.images.region {images.region} "
        "and what the account may use there",
        clock=clock,
    )
    client = BedrockClient(
        region=images.region, endpoint_url=images.endpoint_url, concurrency=images.concurrency, field="podcast.images"
    )
    stored = frozenset(entry.path for entry in context.store.list("pictures"))
    painter = BedrockPainter(
        images.bedrock_model, images.aspect_ratio, client, caller, context.store, price, stored
    )  # fmt: skip
    assert caller.refusals is not None
    return painter, caller.usage, caller.refusals


def extraction_cost(extracted: Extracted) -> float:
    """Dollars that the extraction of these scenes took, by its ledger, with what calls without an answer may have."""
    usages = [outcome.usage for _, outcome in extracted if outcome.usage is not None]
    return sum(usage.usd + usage.lost_usd for usage in usages)
