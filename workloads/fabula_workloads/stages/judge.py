"""Stage `judge`: one judge's verdicts on the arms' answers. Each question's outcome is in the ledger before the next is
taken, and each paid reply is kept before anything is made of it, so that a restarted shard pays for nothing twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from fabula_api.artifact import Manifest
from fabula_api.counts import BUDGET_REACHED
from fabula_api.counts import left as left_of
from fabula_api.eval_run import EvalRunSpec
from fabula_api.judges import Judge
from fabula_api.judging import judge_usd, judged_arms, rubric_of
from fabula_api.worker import StageCondition
from fabula_workloads.bedrock.budget import BudgetReached
from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.openai_client import OpenAIClient
from fabula_workloads.bedrock.quota import Rates
from fabula_workloads.bedrock.refusals import ALL_REFUSED, Refusals, withdraw
from fabula_workloads.bedrock.shard import known_price, open_caller
from fabula_workloads.bedrock.usage import Usage
from fabula_workloads.judging.asking import Asker, Bedrock, OpenAI, Provider, VerdictOutcome
from fabula_workloads.judging.questions import Asked, Question, item_of_call, questions
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, WorkerError
from fabula_workloads.runtime.http_settings import server_key
from fabula_workloads.runtime.in_flight import in_flight
from fabula_workloads.runtime.ledger import own_items
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.samples.sample_set import read_sample_set
from fabula_workloads.stages.answers import read_answers

_log = logging.getLogger(__name__)
VERDICT = "verdict"
"""Kind under which questions are counted."""


def run(context: StageContext, clock: Clock | None = None) -> StageResult:
    """Ask this shard's questions that have no outcome yet; stop where the budget does."""
    spec, judge = _spec(context)
    select, chosen = context.open_artifact("select", "sample-set")
    folder = context.fetch_artifact(select, chosen)
    asked = asked_of(context, spec, judge, chosen)
    every = {question.id: question for question in questions(spec, judge, asked)}
    mine = own_items(list(every), context.shard, context.config.shards)
    ledger = Outcomes(context.store, VerdictOutcome)
    known = ledger.ids()
    finished = {key: outcome for key in mine if key in known and (outcome := ledger.get(key)) is not None}
    pending = [every[key] for key in mine if key not in finished]
    asker, usage, refusals = _asker(context, spec, judge, folder, asked.content, pending, finished, clock)
    tally = Counter(outcome.counted_as(VERDICT) for outcome in finished.values())

    def work(question: Question) -> VerdictOutcome:
        outcome = asker.ask(question)
        ledger.put(question.id, outcome)
        return outcome

    def counts() -> dict[str, float]:
        return {name: float(count) for name, count in sorted(tally.items())} | usage.counts()

    def report() -> None:
        failed = tally.total() - tally[f"{VERDICT}/ok"]
        context.reporter.update(done=tally.total(), total=len(mine), failed=failed, counts=counts())

    report()  # with what earlier starts spent, by which the operator divides the budget
    over = False
    try:
        with closing(in_flight(pending, work, judge.concurrency, context.stopping)) as at_work:
            for _, outcome in at_work:
                tally[outcome.counted_as(VERDICT)] += 1
                report()
        if refusals is not None and (failure := refusals.all_alike()):
            raise failure
    except WorkerError as error:
        if error.reason == ALL_REFUSED:
            withdraw(ledger, (question.id for question in pending))
        raise
    except BudgetReached:
        over = True
    left, final = len(mine) - tally.total(), counts()
    if left and not over:
        context.check_stop()
    if left:
        final[left_of("judge", BUDGET_REACHED)] = float(left)
        message = f"{left} of this shard's {len(mine)} questions were left: the next call could pass the budget"
        context.reporter.tell(StageCondition(reason=BUDGET_REACHED, message=message))
        context.reporter.update(counts=final)
    _log.info("%d questions in this shard, %d asked now, %d left", len(mine), len(pending) - left, left)
    return StageResult(counts=final)


def asked_of(context: StageContext, spec: EvalRunSpec, judge: Judge, chosen: Manifest) -> Asked:
    """What a judge's questions are made of: the same for whoever asks and whoever reads the verdicts."""
    select, _ = context.open_artifact("select", "sample-set")
    parts = evaluation_of(spec.recipe)
    samples = read_sample_set(select, parts.sample)
    answers = {
        answer.key: answer.text
        for arm in judged_arms(spec, judge)
        for answer in read_answers(context, spec, arm, samples)
    }
    # A rubric of the run's own takes the place of the recipe's.
    replaced = judge.rubric in {rubric.name for rubric in spec.rubrics}
    own_questions = None if replaced else parts.own_questions.get(judge.rubric)
    content = {part.path: part.sha256 for part in chosen.parts}
    return Asked(samples, answers, parts.answers.blind, content, own_questions)


def _spec(context: StageContext) -> tuple[EvalRunSpec, Judge]:
    spec = context.spec_of(EvalRunSpec)
    judge = next((judge for judge in spec.judges if judge.name == context.config.arm), None)
    if judge is None:
        raise ConfigInvalid(
            f"there is no judge {context.config.arm!r}; there are {[judge.name for judge in spec.judges]}"
        )
    return spec, judge


def _asker(
    context: StageContext,
    spec: EvalRunSpec,
    judge: Judge,
    folder: Path,
    content: Mapping[str, str],
    pending: list[Question],
    finished: Mapping[str, VerdictOutcome],
    clock: Clock | None,
) -> tuple[Asker, Usage, Refusals | None]:
    field, to_do = f"judges[{judge.name}]", {question.id for question in pending}
    price, provider = known_price(judge.model, spec.prices, spec.budget.usd), _provider(judge, field)
    caller = open_caller(
        context,
        rates=Rates(judge.quota.requests_per_minute, judge.quota.tokens_per_minute),
        budget_usd=judge_usd(spec, judge),
        is_own=lambda call: item_of_call(call) in to_do,
        finished=[outcome.usage for outcome in finished.values()],
        asked=f"{field}.model {judge.model}, {field}.maxTokens and what the account may use there",
        provider=provider.called,
        max_tokens=judge.max_tokens,
        clock=clock,
    )
    return Asker(judge, rubric_of(spec, judge), provider, caller, price, folder, content), caller.usage, caller.refusals


def _provider(judge: Judge, field: str) -> Provider:
    if judge.provider == "bedrock":
        client = BedrockClient(
            region=judge.region,
            endpoint_url=judge.endpoint_url,
            concurrency=judge.concurrency,
            max_tokens=judge.max_tokens,
            field=field,
        )
        return Bedrock(judge, client)
    if judge.endpoint_url is None:
        raise ConfigInvalid(f"{field}.endpointUrl: provider openai needs one, such as https://api.openai.com/v1")
    return OpenAI(
        judge,
        OpenAIClient(
            judge.endpoint_url,
            key=server_key(judge.key_variable),
            key_variable=judge.key_variable,
            max_tokens=judge.max_tokens,
            field=field,
        ),
    )
