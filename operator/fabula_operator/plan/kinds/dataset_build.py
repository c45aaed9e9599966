"""DatasetBuild: items by outcome, the bill, samples by split, what was left undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from fabula_api.bills import StageBill
from fabula_api.counts import SAMPLES, Counted, is_item
from fabula_api.dataset_build import DatasetBuildSpec, DatasetBuildStatus
from fabula_api.recipes import recipes
from fabula_api.status import ArtifactStatus, Tally
from fabula_api.summary import DatasetSummary, EstimateSummary
from fabula_operator.plan.kinds.billing import billed, counts_of
from fabula_operator.plan.kinds.kind import Plain
from fabula_operator.plan.money.unpriced import unpriced
from fabula_operator.plan.stages.results import summary_of
from fabula_operator.plan.stages.view import StageView, result_view


class DatasetBuildKind(Plain[DatasetBuildSpec, DatasetBuildStatus]):
    """See `RunKind`."""

    def dry_run(self, spec: DatasetBuildSpec) -> bool:
        """Where the spec says so."""
        return spec.dry_run

    def fold(
        self,
        status: DatasetBuildStatus,
        spec: DatasetBuildSpec,
        views: Sequence[StageView],
        prices: Mapping[str, float],
    ) -> DatasetBuildStatus:
        """With items, bill and artifact."""
        return _folded(status, views, frozenset(unpriced(spec)))

    def outcome(self, status: DatasetBuildStatus) -> str:
        """How many samples, or what a dry run expects."""
        estimated = status.stages and status.stages[-1].name in estimating()
        if estimated and (expected := status.estimate) is not None:
            usd = "dollars not known" if expected.usd is None else f"${expected.usd:,.2f}"
            return f"dry run: {expected.calls:,} calls, {usd}, {expected.minutes:,.0f} minutes"
        return f"{status.samples} samples" if status.samples is not None else "dataset committed"

    def artifact(self, status: DatasetBuildStatus) -> ArtifactStatus | None:
        """The dataset."""
        return status.artifact

    def bills(self, status: DatasetBuildStatus) -> Sequence[StageBill]:
        """Of the stages that call a provider."""
        return status.bills

    def samples(self, status: DatasetBuildStatus) -> tuple[int | None, int | None]:
        """Of the dataset, and of its training split."""
        return status.samples, status.samples_by_split.get("train")

    def left(self, status: DatasetBuildStatus) -> Sequence[tuple[str, str]]:
        """What budget or target ended before it was begun."""
        return [
            (tally.reason or "", f"{tally.reason}: {tally.count} left in {tally.kind}")
            for tally in status.items
            if tally.outcome == "left"
        ]


def _folded(
    status: DatasetBuildStatus, views: Sequence[StageView], unpriced_stages: frozenset[str]
) -> DatasetBuildStatus:
    tallies = {Counted(tally.kind, tally.outcome, tally.reason): tally.count for tally in status.items}
    figures = dict(status.figures)
    no_items = frozenset[str]().union(*(view.stage.only_in_figures for view in views))
    for view in views:
        counts = counts_of(view)
        if view.result is not None:
            # These counts are whole, and what failed or was left before may be done by now.
            counted = {view.stage.name, *(key.partition("/")[0] for key in counts)}
            tallies = {entry: count for entry, count in tallies.items() if entry.kind not in counted}
        figures |= _figures(view, counts)
        for key, value in counts.items():
            entry = Counted.parse(key)
            if entry is not None and is_item(key) and key not in no_items:
                # Until every shard has been heard of again after a restart, a sum may be too small.
                final = view.result is not None
                tallies[entry] = int(value) if final else max(int(value), tallies.get(entry, 0))
    update: dict[str, Any] = {
        "items": [
            Tally(kind=kind, outcome=name, reason=reason, count=count)
            for (kind, name, reason), count in sorted(
                tallies.items(), key=lambda item: [part or "" for part in item[0]]
            )
        ][:64],
        **billed(status, views, unpriced_stages),
    }
    last = views[-1]
    update["figures"] = figures
    if last.stage.estimates:  # what a former build made stays
        if last.result is not None:
            update["estimate"] = summary_of(EstimateSummary, last.result).estimate
        return status.replace(**update)
    last = result_view(views)
    if last.result is not None:
        summary = summary_of(DatasetSummary, last.result)
        update["samples_by_split"] = summary.samples_by_split
        update["samples"] = int(last.result.counts.get(SAMPLES, 0))
    update["artifact"] = last.status.artifact if last.status.state == "Succeeded" else None
    return status.replace(**update)


@cache
def estimating() -> frozenset[str]:
    """Names of the stages that only say what a run would take."""
    runs = (stages for recipe in recipes().values() for stages in recipe.dry_run.values())
    return frozenset(stage.name for stages in runs for stage in stages if stage.estimates)


def _figures(view: StageView, counts: Mapping[str, float]) -> dict[str, float]:
    """The stage's figures, as far as its counts have them."""
    figures = {}
    for figure in view.stage.figures:
        below = 1.0 if figure.per is None else counts.get(figure.per, 0.0)
        if figure.count in counts and below:
            figures[figure.name] = round(counts[figure.count] / below, 4)
    return figures
