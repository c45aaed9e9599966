"""Whether a training is one that can be carried out: what only the operator sets, and what it is expected to need."""

from __future__ import annotations

from collections.abc import Iterable

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_operator.plan.acceptance.preflight import Preflight, preflight
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.acceptance.unfit import unfit
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.render.pod import GPU

_OURS = ("FABULA_", "KUBEFLOW_TRAINER_", "PET_", "MASTER_", "JOB_COMPLETION_INDEX")
_THEIRS = ("WORLD_SIZE", "RANK")


def infeasible_training(spec: FineTuneRunSpec) -> Refusal | None:
    """The first field that the schema cannot judge, and what would do."""
    if taken := _reserved(spec.template.env):
        return Refusal("InvalidSpec", f"spec.template.env: {taken} is set by the operator; leave it out")
    return _gpus(spec)


def expected(seen: Observed, spec: FineTuneRunSpec) -> Preflight | None:
    """What the training is expected to need; None where nothing is estimated."""
    dataset = seen.references.get(("DatasetBuild", spec.dataset.ref)) if spec.dataset.ref else None
    if dataset is None or not dataset.ready:
        return preflight(spec)
    return preflight(spec, dataset.samples if dataset.train_samples is None else dataset.train_samples)


def hopeless(seen: Observed, spec: FineTuneRunSpec, estimate: Preflight | None) -> Refusal | None:
    """Why the training cannot go well, by what it needs and by what is known of its inputs."""
    if estimate is not None and estimate.verdict == "does not fit" and spec.preflight.policy == "enforce":
        return Refusal("DoesNotFit", estimate.message, estimate)
    why = unfit(seen, spec)
    return Refusal(*why, estimate) if why else None


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
