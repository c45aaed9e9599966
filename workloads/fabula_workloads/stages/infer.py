"""Stage `infer`: one arm's answers to every sample. The model is loaded once in each shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Set
from contextlib import closing

from fabula_api.arms import Arm
from fabula_api.counts import UNPARSEABLE
from fabula_api.metrics import ProfileName
from fabula_api.status import Lineage
from fabula_workloads.inference.opening import asked_of, open_engine
from fabula_workloads.inference.request import Answer, Engine, Failure, Request, request
from fabula_workloads.inference.work_order import seen_area, work_order
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.shares import Holder, counts_for, share_of
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.work_queue import LEASE_SECONDS, Heart, WorkQueue
from fabula_workloads.samples.sample_set import read_sample_set
from fabula_workloads.stages.answers import AnswerOutcome
from fabula_workloads.stages.origins import keep_origin

LOOK_SECONDS = LEASE_SECONDS / 4
"""How often a shard without work looks whether others still do what they hold."""
OpenEngine = Callable[[StageContext], Engine]


def run(context: StageContext) -> StageResult:
    """Generate answers until none is left."""
    return infer(context, open_engine)


def infer(context: StageContext, open_engine: OpenEngine) -> StageResult:
    """Generate answers that have no outcome yet, taken from what all shards of the arm have to do. The model is opened
    once, and only when there is something to do.

    An answer depends on its sample, its seed and the model alone: not on order, shard count or restarts. (In a batch of
    several, padding may move the last bits of the logits.)
    """
    spec, arm = asked_of(context)
    select, chosen = context.open_artifact("select", "sample-set")
    folder = context.fetch_artifact(select, chosen)
    evaluation = evaluation_of(spec.recipe)
    samples = {sample.id: sample for sample in read_sample_set(select, evaluation.sample)}
    areas = {
        name: seen_area([folder / path for path in sample.images], spec.pixels) for name, sample in samples.items()
    }
    items = {f"{name}-{seed}": (name, seed) for name, seed in work_order(areas, spec.generation.seeds)}
    usual = parts_of(spec.recipe).inference_prompt()
    me = Holder(context.config.run.uid, context.config.shards, context.shard)
    queue = WorkQueue(context.store, list(items), me)
    made = _Made(context, me, share_of(list(items), me), queue.done)

    def work(most: int) -> list[Request]:
        taken = [(samples[items[key][0]], items[key][1]) for key in queue.take(most)]
        return [request(sample, seed, folder, spec.prompt or sample.prompt or usual) for sample, seed in taken]

    engine: Engine | None = None
    with Heart(queue.beat):
        try:
            while (more := queue.more()) is not False:
                context.check_stop()
                if more is None:
                    context.stopping.wait(LOOK_SECONDS)
                    continue
                if engine is None:
                    engine = open_engine(context)
                    keep_origin(context)
                    made.report()  # the time left is reckoned from here on
                with closing(engine.answers(work, context.stopping.is_set)) as answers:
                    for asked, answer in answers:
                        made.add(asked.key, _keep(context.store, evaluation.answers, spec.profiles[0], asked, answer))
                        queue.finished(asked.key, answer.tokens if isinstance(answer, Answer) else 0)
        finally:
            queue.release()
    return StageResult(counts=made.counts(queue.done), lineage=_lineage(context, arm))


class _Made:
    """The outcomes that this shard counts: its own, and those of others that are in its share and nobody else's."""

    def __init__(self, context: StageContext, me: Holder, share: Set[str], done: Set[str]) -> None:
        self._context, self._me, self._share = context, me, share
        self._ledger = Outcomes(context.store, AnswerOutcome)
        finished = self._ledger.items(done)
        self._outcomes = {key: outcome for key, outcome in finished if counts_for(me, share, key, outcome.by)}
        self.report()

    def add(self, key: str, outcome: AnswerOutcome) -> None:
        """Store an outcome for good. One that another shard has stored meanwhile stays, and is the other's."""
        outcome = outcome.replace(by=self._me.place)
        if self._ledger.put_if_absent(key, outcome):
            self._outcomes[key] = outcome
        self.report()

    def counts(self, done: Set[str]) -> dict[str, float]:
        """All of them by outcome, with what other runs have made of this shard's share meanwhile."""
        for key, outcome in self._ledger.items(self._share & done - self._outcomes.keys()):
            if counts_for(self._me, self._share, key, outcome.by):
                self._outcomes[key] = outcome
        return self._tally()

    def _tally(self) -> dict[str, float]:
        names = Counter(outcome.counted_as("answer") for outcome in self._outcomes.values())
        if unreadable := sum(not outcome.readable for outcome in self._outcomes.values()):
            names[UNPARSEABLE] = unreadable
        return {name: float(count) for name, count in sorted(names.items())}

    def report(self) -> None:
        """Tell how far this shard is."""
        failed = sum(not outcome.ok for outcome in self._outcomes.values())
        self._context.reporter.update(
            done=len(self._outcomes), total=len(self._share), failed=failed, counts=self._tally()
        )


def _keep(
    store: Store, form: AnswerForm, profile: ProfileName, request: Request, answer: Answer | Failure
) -> AnswerOutcome:
    """Store the answer as a file; the outcome for the ledger."""
    if isinstance(answer, Failure):
        return AnswerOutcome(outcome="failed", reason=answer.reason)
    transcript = form.as_file(request.sample, answer.text, answer.seconds)
    store.write(f"transcripts/{request.key}.txt", transcript.encode())
    return AnswerOutcome(
        outcome="ok",
        text=answer.text,
        tokens=answer.tokens,
        seconds=round(answer.seconds, 3),
        finish=answer.finish,
        readable=bool(form.read(answer.text, profile).passages),
    )


def _lineage(context: StageContext, arm: Arm) -> list[Lineage]:
    if arm.adapter is None:
        return []
    adapter = context.config.input("adapter")
    return [Lineage(name=f"adapter/{arm.name}", uri=adapter.uri, digest=adapter.digest)]
