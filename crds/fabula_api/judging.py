"""What follows from a spec's judges: their rubrics, the pairs and calls planned, what those would cost, how a budget is
divided, and the names of their figures in gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from fabula_api.eval_run import EvalRunSpec
from fabula_api.judges import Judge
from fabula_api.pricing import price_of
from fabula_api.recipes import recipes
from fabula_api.rubrics import RUBRICS, Rubric

WIN_RATE, CONTROLLED = "judge", "judge-controlled"
"""Before a slash and a judge's name, its figures in gates: the win rate, and the one at equal lengths."""
ORDERS = 2
PROBES_OF_PAIRS, PROBES_OF_POINTS = 4, 2
"""Calls for each probed sample: two kinds of damage in both orders; an answer, and the same damaged."""
_PROMPT_TOKENS, _ANSWER_TOKENS, _PICTURES, _PICTURE_TOKENS, _REPLY_TOKENS = 700, 1_400, 5, 1_100, 350
"""What a call takes in an estimate: answers of 1,000 words, five pictures, a reply with a reason."""


def rubrics_of(spec: EvalRunSpec) -> dict[str, Rubric]:
    """All rubrics that a judge of the run may name: everybody's, its recipe's, its own; a later one goes first."""
    recipe = recipes().get(spec.recipe)
    brought = recipe.rubrics if recipe is not None else ()
    return RUBRICS | {rubric.name: rubric for rubric in brought} | {rubric.name: rubric for rubric in spec.rubrics}


def rubric_of(spec: EvalRunSpec, judge: Judge) -> Rubric:
    """What the judge is asked. Raises KeyError where there is no such rubric, as an accepted spec never does."""
    return rubrics_of(spec)[judge.rubric]


def asked_of_judge(spec: EvalRunSpec, judge: Judge) -> dict[str, object]:
    """What a judge is asked by, for the key of its stage. A recipe's rubric is code: where its words change, so do the
    verdicts."""
    return {"rubric": rubric_of(spec, judge)}


def pairs_of(spec: EvalRunSpec, judge: Judge) -> list[tuple[str, str]]:
    """(arm, versus) of every comparison, in the order of the arms; under a scale each arm's points imply them."""
    names = [arm.name for arm in spec.arms]
    baseline = spec.baseline or names[0]
    if judge.pairs == "baseline":
        return [(name, baseline) for name in names if name != baseline]
    # The baseline is what others are held against, wherever it stands.
    return [(second, first) if first == baseline else (first, second) for first, second in combinations(names, 2)]


def judged_arms(spec: EvalRunSpec, judge: Judge) -> list[str]:
    """The arms whose answers the judge reads."""
    if rubric_of(spec, judge).scale is not None:
        return [arm.name for arm in spec.arms]
    among = {name for pair in pairs_of(spec, judge) for name in pair}
    return [arm.name for arm in spec.arms if arm.name in among]


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """What a judge would take, before anything is known of the answers."""

    judge: str
    calls: int
    usd: float | None
    """None where the model's price is not known."""


def plan_of(spec: EvalRunSpec, judge: Judge) -> JudgePlan:
    """Calls that the judge will be asked for when every answer is there, and their likely cost."""
    scaled = rubric_of(spec, judge).scale is not None
    questions = len(spec.arms) if scaled else len(pairs_of(spec, judge)) * ORDERS
    probed = min(judge.probes, spec.samples.count)
    times = questions * len(spec.generation.seeds) + rubric_of(spec, judge).of_references
    calls = times * spec.samples.count * judge.tries
    if questions:
        calls += probed * (PROBES_OF_POINTS if scaled else PROBES_OF_PAIRS)
    each = _usd_of_call(spec, judge)
    return JudgePlan(judge.name, calls, None if each is None else round(calls * each, 2))


def _usd_of_call(spec: EvalRunSpec, judge: Judge) -> float | None:
    price, rubric = price_of(judge.model, spec.prices), rubric_of(spec, judge)
    if price is None:
        return None
    shown = 1 if rubric.scale is not None else 2
    pictures = _PICTURES * _PICTURE_TOKENS if rubric.pictures else 0
    answer = min(_ANSWER_TOKENS, spec.generation.max_new_tokens)
    return price.tokens_usd(_PROMPT_TOKENS + shown * answer + pictures, _REPLY_TOKENS)


def judge_usd(spec: EvalRunSpec, judge: Judge) -> float | None:
    """The judge's part of `budget.usd`, by what each is expected to cost, so that a budget which is too small ends all
    of them at the same part of their work; None without a budget."""
    if spec.budget.usd is None:
        return None
    plans = {judge.name: plan_of(spec, judge).usd or 0.0 for judge in spec.judges}
    whole = sum(plans.values())
    return spec.budget.usd * (plans[judge.name] / whole if whole else 1 / len(plans))


def planned_words(spec: EvalRunSpec) -> str | None:
    """Calls and dollars that the judges plan, for people; None without judges."""
    if not spec.judges:
        return None
    plans = [plan_of(spec, judge) for judge in spec.judges]
    each = ", ".join(f"{plan.judge} {plan.calls:,} calls, {_dollars(plan.usd)}" for plan in plans)
    if len(plans) == 1:
        return f"judges: {each}"
    known = [plan.usd for plan in plans if plan.usd is not None]
    whole = _dollars(sum(known) if len(known) == len(plans) else None)
    return f"judges: {each}; in all {sum(plan.calls for plan in plans):,} calls, {whole}"


def _dollars(usd: float | None) -> str:
    return "dollars not known" if usd is None else f"about ${usd:,.2f}"


def gate_figure(metric: str | None) -> tuple[str, str] | None:
    """(figure, judge) that a gate bounds; None for a gate on a metric."""
    figure, slash, judge = (metric or "").partition("/")
    return (figure, judge) if slash and figure in (WIN_RATE, CONTROLLED) else None


def figure_title(metric: str) -> str:
    """A judge's figure for people."""
    figure, _, judge = metric.partition("/")
    return f"Win rate{' at equal lengths' if figure == CONTROLLED else ''} by judge {judge}"


def problem_of(spec: EvalRunSpec) -> str | None:
    """What is wrong between judges and the rest of the spec, as a sentence that begins with the field."""
    names = [judge.name for judge in spec.judges]
    if len(set(names)) < len(names):
        return "spec.judges: two judges have the same name"
    known = rubrics_of(spec)
    for position, judge in enumerate(spec.judges):
        if judge.rubric not in known:
            return (
                f"spec.judges[{position}].rubric: there is no rubric {judge.rubric}; the recipe {spec.recipe} has "
                f"{', '.join(known)}, and spec.rubrics may bring more"
            )
        if len(spec.arms) < 2 and known[judge.rubric].scale is None:
            return (
                f"spec.judges[{position}]: rubric {judge.rubric} compares two answers, and there is one arm; add an "
                "arm, or name a rubric with a scale"
            )
    for position, gate in enumerate(spec.gates):
        if (asked := gate_figure(gate.metric)) is not None and asked[1] not in names:
            return (
                f"spec.gates[{position}].metric: there is no judge {asked[1]}; "
                f"{'the judges are ' + ', '.join(names) if names else 'the run has none'}"
            )
    if spec.human_verdicts is not None and not spec.judges:
        return "spec.humanVerdicts: there is no judge to hold against what people said"
    return None
