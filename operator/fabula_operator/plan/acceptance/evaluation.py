"""Whether an evaluation is one that can be carried out: its metrics, judges, arms and gates."""

from __future__ import annotations

from difflib import get_close_matches

from fabula_api import judging
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import metrics_of, recipes, sample_format, unoffered
from fabula_operator.plan.acceptance.engines import unfit_arm
from fabula_operator.plan.acceptance.refusal import Refusal


def infeasible_evaluation(spec: EvalRunSpec) -> Refusal | None:
    """The first field that the schema cannot judge, and what would do."""
    problem = _unread_layout(spec) or _unknown_metric(spec) or judging.problem_of(spec) or unfit_arm(spec)
    return Refusal("InvalidSpec", problem) if problem else _arms(spec)


def _unread_layout(spec: EvalRunSpec) -> str | None:
    formats = [sample_format.name for sample_format in recipes()[spec.recipe].sample_formats]
    if sample_format(spec) in formats:
        return None
    return (
        f"spec.samples.format: the recipe {spec.recipe} reads no {spec.samples.format}; it reads {' or '.join(formats)}"
    )


def _arms(spec: EvalRunSpec) -> Refusal | None:
    arms = {arm.name for arm in spec.arms}
    if len(arms) < len(spec.arms):
        return Refusal("InvalidSpec", "spec.arms: two arms have the same name")
    named = {"spec.baseline": spec.baseline} if spec.baseline else {}
    for position, gate in enumerate(spec.gates):
        named[f"spec.gates[{position}].arm"] = gate.arm
        if gate.versus:
            named[f"spec.gates[{position}].versus"] = gate.versus
    for field, name in named.items():
        if name not in arms:
            return Refusal("InvalidSpec", f"{field}: there is no arm {name}; the arms are {', '.join(sorted(arms))}")
    return None


def _unknown_metric(spec: EvalRunSpec) -> str | None:
    """The first metric that no recipe of this name has; the CRD cannot know those that recipes bring."""
    known = metrics_of(spec.recipe)
    for position, name in enumerate(spec.metrics):
        if name not in known:
            where = f"spec.metrics[{position}]: "
            if reads := unoffered(name, spec.recipe):
                return f"{where}{name} reads {reads}, which evaluations of the recipe {spec.recipe} do not have"
            like = get_close_matches(name, known, n=1)
            return f"{where}there is no metric {name}; " + (
                f"did you mean {like[0]}?" if like else f"the recipe {spec.recipe} has {', '.join(known)}"
            )
    for position, gate in enumerate(spec.gates):
        if gate.metric not in spec.metrics and judging.gate_figure(gate.metric) is None:
            return (
                f"spec.gates[{position}].metric: {gate.metric} is not computed; the run has {', '.join(spec.metrics)}"
            )
    return None
