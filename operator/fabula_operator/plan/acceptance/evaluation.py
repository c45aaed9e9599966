"""Whether an evaluation is one that can be carried out: its metrics, judges, arms with their engines, and gates."""

from __future__ import annotations

from difflib import get_close_matches

from fabula_api import judging
from fabula_api.arms import Arm, engine_of
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import metrics_of, recipes, sample_format, unoffered
from fabula_operator.plan.acceptance.refusal import Refusal


def infeasible_evaluation(spec: EvalRunSpec) -> Refusal | None:
    """The first field that the schema cannot judge, and what would do."""
    problem = _unread_layout(spec) or _unknown_metric(spec) or judging.problem_of(spec) or _unfit_arm(spec)
    return Refusal("InvalidSpec", problem) if problem else _arms(spec)


def _unread_layout(spec: EvalRunSpec) -> str | None:
    formats = [layout.name for layout in recipes()[spec.recipe].sample_formats]
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


def _unfit_arm(spec: EvalRunSpec) -> str | None:
    """A sentence naming the first field of an arm that does not go with its engine, and what to do."""
    for position, arm in enumerate(spec.arms):
        engine = engine_of(arm, spec.engine)
        if problem := (_served(arm) if engine == "openai" else _loaded(arm, engine, spec.recipe)):
            field, words = problem
            return f"spec.arms[{position}].{field}: {words}"
    return None


def _served(arm: Arm) -> tuple[str, str] | None:
    if arm.endpoint_url is None:
        return "endpointUrl", "engine openai asks a server; give its address, such as https://api.openai.com/v1"
    if not arm.endpoint_url.startswith(("https://", "http://")):
        return "endpointUrl", "a server's address begins with https:// or http://"
    if arm.model.name is None:
        return "model", "engine openai asks for a model by the name that its server knows; give model.name"
    if arm.model.revision is not None:
        return "model.revision", "which revision a server holds is its own; leave it out"
    if arm.adapter is not None:
        return "adapter", "a server loads its adapters itself; leave it out, and give its name there as model.name"
    if arm.quantization is not None:
        return "quantization", "how a server holds its model is its own; leave it out"
    return None


def _loaded(arm: Arm, engine: str, recipe: str) -> tuple[str, str] | None:
    if arm.endpoint_url is not None:
        return "endpointUrl", f"engine {engine} loads the model itself; leave it out, or set engine: openai"
    if engine == "transformers" and arm.gpus_per_shard > 1:
        return "gpusPerShard", "transformers holds a model on one GPU; set engine: vllm, which shares it among several"
    if engine == "vllm" and not recipes()[recipe].in_vllm:
        words = f"{recipe} has an engine of its own, and vllm does not hold what it trains; set engine: transformers"
        return "engine", f"{words}, or openai for a model that a server has"
    if engine == "vllm" and arm.quantization == "nf4":
        return "quantization", "vllm is not asked to hold a base in 4 bits; set engine: transformers for this arm"
    return None
