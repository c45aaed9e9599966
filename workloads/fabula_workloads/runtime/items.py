"""The items of a sharded stage, one after another: each outcome is kept before the next item is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.ledger import own_items
from fabula_workloads.runtime.outcomes import KeptT, Outcomes


def each_once(
    context: StageContext,
    ledger: Outcomes[KeptT],
    items: Iterable[str],
    make: Callable[[str], KeptT],
    counts_of: Callable[[KeptT], Iterable[tuple[str, int]]],
) -> StageResult:
    """Work through this shard's part of the items: what the ledger has is taken from there, so a restart makes nothing
    twice. `counts_of` says what an outcome counts as. Raises TryAgain between two items where the stage should stop."""
    mine = own_items(list(items), context.shard, context.config.shards)
    finished = ledger.ids().intersection(mine)
    counts: Counter[str] = Counter()

    def add(outcome: KeptT) -> None:
        for name, count in counts_of(outcome):
            counts[name] += count

    for _, outcome in ledger.items(finished):
        add(outcome)
    if finished:
        # All at once: the time left is reckoned from what this run makes.
        context.reporter.update(done=len(finished), total=len(mine), counts=dict(counts))
    for done, item in enumerate((item for item in mine if item not in finished), len(finished) + 1):
        context.check_stop()
        outcome = make(item)
        ledger.put(item, outcome)
        add(outcome)
        context.reporter.update(done=done, total=len(mine), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})
