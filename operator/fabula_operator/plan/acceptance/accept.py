"""Whether a run can be carried out at all: the spec parses, the recipe exists, no field contradicts another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from fabula_api import judging
from fabula_api.base import camel, value_at
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.once import once
from fabula_api.recipes import (
    API_KINDS,
    Kind,
    Stage,
    metrics_of,
    recipes,
    sample_format,
    stages_of,
    unoffered,
)
from fabula_api.specs import DEFAULT, Spec, field_at, kind_of, parse_spec
from fabula_api.uri import resolve_uri, uris_of
from fabula_operator.plan.acceptance.confinement import out_of_bounds
from fabula_operator.plan.acceptance.engines import unfit_arm
from fabula_operator.plan.acceptance.preflight import Preflight, preflight
from fabula_operator.plan.acceptance.unfit import unfit
from fabula_operator.plan.money import unpriced
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.render.pod import GPU

_OURS = ("FABULA_", "KUBEFLOW_TRAINER_", "PET_", "MASTER_", "JOB_COMPLETION_INDEX")
_THEIRS = ("WORLD_SIZE", "RANK")
SPECS = 512
"""Specs of which what follows from them is remembered: those of the runs that are looked at right now."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run is refused."""

    reason: str
    message: str
    preflight: Preflight | None = None
    """The estimate, where that is why."""

    @property
    def estimate(self) -> Estimate | None:
        """As a status shows it."""
        return self.preflight.estimate if self.preflight else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid spec and the stages that carry it out."""

    spec: Spec
    stages: tuple[Stage, ...]
    preflight: Preflight | None = None
    """What the run is expected to need."""

    @property
    def estimate(self) -> Estimate | None:
        """As a status shows it."""
        return self.preflight.estimate if self.preflight else None


def accept(seen: Observed) -> Accepted | Refusal:
    """The parsed spec and its stages, or the first thing that is wrong with it."""
    kind = seen.run.identity.kind
    spec = parsed(seen.run.spec, kind)
    if isinstance(spec, Refusal):
        return spec
    stages = stages_of(spec.recipe, kind, is_dry_run(spec))
    if stages is None:
        return Refusal("UnknownRecipe", _unknown(spec.recipe, kind))
    if problem := misplaced(spec, seen.environment.artifact_root):
        return Refusal("InvalidSpec", problem)
    if problem := out_of_bounds(seen, spec):
        return Refusal("OutsideNamespace", problem)
    if refusal := infeasible(seen, spec):
        return refusal
    if problem := unpriced.over_budget(spec):
        return Refusal("PriceUnknown", problem)
    estimate = expected(seen, spec)
    if estimate is not None and estimate.verdict == "does not fit" and _enforced(spec):
        return Refusal("DoesNotFit", estimate.message, estimate)
    if isinstance(spec, FineTuneRunSpec) and (why := unfit(seen, spec)):
        return Refusal(*why, estimate)
    return Accepted(spec, stages, estimate)


@once(SPECS)
def parsed(wire: Mapping[str, Any], kind: Kind) -> Spec | Refusal:
    """The spec on the wire as the model of its recipe."""
    named = wire.get("recipe", DEFAULT)
    if isinstance(named, str) and named not in recipes():
        # First: what else it has, only its recipe could tell.
        return Refusal("UnknownRecipe", _unknown(named, kind))
    try:
        return parse_spec(kind, wire)
    except ValidationError as error:
        return Refusal("InvalidSpec", _in_words(error))


def _unknown(recipe: str, kind: Kind) -> str:
    known = ", ".join(sorted(name for name, found in recipes().items() if kind in found.stages))
    return f"spec.recipe: {recipe} has no {kind} in this installation; it knows {known}"


@once(SPECS)
def misplaced(spec: Spec, root: str) -> str | None:
    """A sentence naming the first field whose URI is no place, or could lead out of the one it seems to name."""
    for field, uri in uris_of(spec):
        try:
            resolve_uri(uri, root)
        except ValueError as error:
            return f"spec.{field}: {error}"
    return None


def is_dry_run(spec: Spec) -> bool:
    """Whether the run only estimates."""
    return isinstance(spec, DatasetBuildSpec) and spec.dry_run


def expected(seen: Observed, spec: Spec) -> Preflight | None:
    """What a training run is expected to need; None for other kinds, and where nothing is estimated."""
    if not isinstance(spec, FineTuneRunSpec):
        return None
    dataset = seen.references.get(("DatasetBuild", spec.dataset.ref)) if spec.dataset.ref else None
    if dataset is None or not dataset.ready:
        return preflight(spec)
    return preflight(spec, dataset.samples if dataset.train_samples is None else dataset.train_samples)


def _enforced(spec: Spec) -> bool:
    return isinstance(spec, FineTuneRunSpec) and spec.preflight.policy == "enforce"


def infeasible(seen: Observed, spec: Spec) -> Refusal | None:
    """What the schema cannot see."""
    if problem := meaningless(spec):
        return Refusal("InvalidSpec", problem)
    if isinstance(spec, EvalRunSpec):
        if problem := _unknown_metric(spec) or judging.problem_of(spec):
            return Refusal("InvalidSpec", problem)
        if problem := unfit_arm(spec):
            return Refusal("InvalidSpec", problem)
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
                return Refusal(
                    "InvalidSpec", f"{field}: there is no arm {name}; the arms are {', '.join(sorted(arms))}"
                )
    if isinstance(spec, FineTuneRunSpec) and (taken := _reserved(spec.template.env)):
        return Refusal("InvalidSpec", f"spec.template.env: {taken} is set by the operator; leave it out")
    return _gpus(spec) if isinstance(spec, FineTuneRunSpec) else None


def meaningless(spec: Spec) -> str | None:
    """A sentence naming the first field that says nothing under the run's recipe, or a layout that it cannot read."""
    recipe, kind = recipes()[spec.recipe], kind_of(spec)
    for path in recipe.unused.get(kind, ()):
        field = field_at(API_KINDS[kind].spec, path)
        if field is not None and value_at(spec, path) != field.get_default(call_default_factory=True):
            return f"spec.{camel(path)}: it says nothing under recipe {spec.recipe}; leave it out"
    formats = [one.name for one in recipe.sample_formats]
    if isinstance(spec, EvalRunSpec) and sample_format(spec) not in formats:
        return (
            f"spec.samples.format: the recipe {spec.recipe} reads no {spec.samples.format}; it reads "
            f"{' or '.join(formats)}"
        )
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


def _gpus(spec: FineTuneRunSpec) -> Refusal | None:
    """GPUs that `resources` names beside the topology, which counts them."""
    wanted = spec.topology.gpus_per_node if spec.topology.device == "cuda" else 0
    for block in ("limits", "requests"):
        named = getattr(spec.resources, block).get(GPU)
        if named is not None and named != str(wanted):
            return Refusal(
                "InvalidSpec",
                f"spec.resources.{block}: {GPU} is {named}, but spec.topology takes {wanted} in each pod; leave it "
                "out, or change topology.gpusPerNode or topology.device",
            )
    return None


def _reserved(names: Iterable[str]) -> str | None:
    """The first name that the operator or the training operator sets itself."""
    return next((name for name in sorted(names) if name.startswith(_OURS) or name in _THEIRS), None)


def _in_words(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)
    first = found[0]
    path = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"spec.{path}: {first['msg']}{more}"
