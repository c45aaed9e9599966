"""What the judges of an evaluation said, read from their ledgers, as figures."""

from __future__ import annotations

from fabula_api.eval_run import EvalRunSpec
from fabula_api.judges import Judge
from fabula_api.judging import judged_arms, pairs_of, rubric_of
from fabula_workloads.judging.agreement import Item
from fabula_workloads.judging.asking import VerdictOutcome
from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.figures import Judged, JudgeFigures, agreements, judge_figures
from fabula_workloads.judging.people import human_outcomes
from fabula_workloads.judging.questions import Question, questions
from fabula_workloads.metrics.records import Key
from fabula_workloads.runtime.content import content_digest, require_content
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.stages.judge import asked_of
from fabula_workloads.text.words import num_words


def read_judges(context: StageContext, spec: EvalRunSpec) -> Judged:
    """The figures of the run's judges; those of questions that the budget left are missing, and are counted."""
    judges = [_figures(context, spec, judge) for judge in spec.judges]
    return Judged(judges, agreements(judges, _people(context, spec)))


def _figures(context: StageContext, spec: EvalRunSpec, judge: Judge) -> JudgeFigures:
    _, chosen = context.open_artifact("select", "sample-set")
    asked = asked_of(context, spec, judge, chosen)
    every = questions(spec, judge, asked)
    ledger = Outcomes(context.open_input(f"judge/{judge.name}"), VerdictOutcome)
    known = ledger.ids()
    outcomes = dict(ledger.items(question.id for question in every if question.id in known))
    words: dict[Key, int] = {key: num_words(asked.blind(text)) for key, text in asked.answers.items() if text}
    real = [question for question in every if not question.probe]
    usages = [outcome.usage for outcome in outcomes.values()]
    ballots = [
        ballot for question in every if question.id in outcomes for ballot in _ballots(question, outcomes[question.id])
    ]
    return judge_figures(
        judge.name,
        rubric_of(spec, judge),
        ballots if asked.own_questions is None else asked.own_questions.read(ballots),
        pairs_of(spec, judge),
        judged_arms(spec, judge),
        words,
        unread=sum(not outcomes[question.id].ok for question in real if question.id in outcomes),
        left=sum(question.id not in outcomes for question in every),
        usd=sum(usage.usd for usage in usages),
        calls=sum(usage.calls for usage in usages),
    )


def _ballots(question: Question, outcome: VerdictOutcome) -> list[Ballot]:
    return [
        Ballot(
            question.sample, question.seed, kept.shown, kept.marks, kept.attempt, kept.reason, question.probe,
        )
        for kept in outcome.ballots
    ]  # fmt: skip


def _people(context: StageContext, spec: EvalRunSpec) -> dict[Item, str]:
    if spec.human_verdicts is None:
        return {}
    uri = context.resolve(spec.human_verdicts.uri)
    require_content(uri, content_digest(uri, context.cache, context.check_stop), context.given("humanVerdicts"))
    store = open_store(uri)
    files = {entry.path: store.read(entry.path) for entry in store.list() if entry.path.endswith(".csv")}
    pairs = {pair for judge in spec.judges for pair in pairs_of(spec, judge)}
    return human_outcomes(files, sorted(pairs), spec.generation.seeds[0])
