"""What a stage is started with: kind of child, device, GPUs, shards, time to end; and what could not be started."""

from __future__ import annotations

from fabula_api.arms import Arm, engine_of
from fabula_api.artifact import canonical_json
from fabula_api.base import value_at, value_of
from fabula_api.entries import Entry, instance
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec, FineTuneRunStatus
from fabula_api.recipes import Stage
from fabula_api.shared_spec import ModelSource, Resources
from fabula_api.status import FailureDigest
from fabula_api.worker import CONFIG_VARIABLE, Spec, StageInput
from fabula_operator.plan.acceptance.model_facts import model_facts
from fabula_operator.plan.money.paid import last_call_seconds
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.key import stage_folder
from fabula_operator.render.launch import Backend, Device, Launch
from fabula_operator.render.literal import VARIABLE_LIMIT, fits
from fabula_operator.render.pod import GPU, config_text

WEIGHT_BYTES = 2
"""Of a published model, in bf16."""


def choose_backend(seen: Observed, spec: Spec) -> tuple[Backend, str | None] | Waiting:
    """(kind of child, sentence on why); the sentence is None for kinds without groups.

    A started run keeps what it chose, even if the CRD comes or goes meanwhile.
    """
    if not isinstance(spec, FineTuneRunSpec):
        return "Job", None
    status = seen.run.status
    started = status.started_at is not None and status.finished_at is None
    if isinstance(status, FineTuneRunStatus) and status.backend and started:
        return ("PyTorchJob" if status.backend.startswith("PyTorchJob") else "Job"), status.backend
    if spec.backend == "Job":
        return "Job", "Job: spec.backend asks for it"
    if spec.backend == "auto" and spec.topology.nodes > 1:
        # Its workers wait in an init container for a name that is published once the master is ready, give up after
        # three minutes, and are no pods that PodSecurity `restricted` lets in, unless its own flags are set.
        return "Job", "Job: the run has several nodes, which the training operator makes wait for each other's names"
    if seen.environment.pytorch_jobs:
        asked = (
            "spec.backend asks for it" if spec.backend == "PyTorchJob" else "the training operator's CRD is installed"
        )
        return "PyTorchJob", f"PyTorchJob: {asked}"
    if spec.backend == "PyTorchJob":
        return Waiting(
            "WaitingForTrainingOperator",
            "spec.backend is PyTorchJob, but its CRD is not installed; install the training operator or use Job",
        )
    return "Job", "Job: the training operator's CRD is not installed"


def launch_of(
    seen: Observed,
    spec: Spec,
    backend: Backend,
    stage: Stage,
    arm: Entry | None,
    key: str,
    place: str,
    inputs: tuple[StageInput, ...],
) -> Launch:
    """The child that carries out a stage, whose folder's name is `place`."""
    run, root = seen.run, seen.environment.artifact_root
    arm_name = arm.name if arm else None
    resources = value_at(spec, stage.resources) if stage.resources else Resources()
    device, gpus = _device(stage, spec, arm, resources)
    shards = 1
    if stage.shape == "group" and isinstance(spec, FineTuneRunSpec):
        shards = spec.topology.nodes
    elif stage.shards:
        shards = value_of(spec, stage.shards, arm)
    model = _model_of(stage, spec, arm)
    facts = model_facts(model.name or model.uri or "") if model else None
    return Launch(
        run=run.identity,
        generation=run.generation,
        stage=stage.name,
        shape=stage.shape,
        key=key,
        output=stage_folder(run.identity, spec, root, stage.name, arm_name, place),
        spec=spec,
        arm=arm_name,
        backend=backend if stage.shape == "group" else "Job",
        shards=shards,
        inputs=inputs,
        device=device,
        gpus=gpus,
        resources=resources,
        retries=spec.retries,
        model_bytes=WEIGHT_BYTES * facts.parameters if facts else 0,
        model_of_hub=model is not None and model.name is not None,
        queue=spec.queue if isinstance(spec, FineTuneRunSpec) else None,
        grace_seconds=last_call_seconds(spec, instance(stage.name, arm_name)),
    )


def _model_of(stage: Stage, spec: Spec, arm: Entry | None) -> ModelSource | None:
    """The model that the stage's pods fetch: what they train or answer with; None where it lies in a mounted folder."""
    model: ModelSource | None = None
    if isinstance(arm, Arm):
        model = arm.model
    elif stage.shape == "group" and isinstance(spec, FineTuneRunSpec) and not spec.template.foreign:
        model = spec.model
    return model if model is not None and (model.name or (model.uri or "").startswith("s3://")) else None


def _device(stage: Stage, spec: Spec, arm: Entry | None, resources: Resources) -> tuple[Device, int]:
    """Device and number of GPUs of one pod."""
    if isinstance(arm, Arm):
        served = isinstance(spec, EvalRunSpec) and engine_of(arm, spec.engine) == "openai"
        return ("cuda", arm.gpus_per_shard) if arm.gpus_per_shard and not served else ("cpu", 0)
    if stage.remote_when is not None and value_at(spec, stage.remote_when[0]) in stage.remote_when[1]:
        return "cpu", 0
    named = stage.device if stage.device in ("cpu", "cuda") else value_at(spec, stage.device)
    if named != "cuda":
        return "cpu", 0
    if stage.shape == "group" and isinstance(spec, FineTuneRunSpec):
        return "cuda", spec.topology.gpus_per_node
    asked = resources.limits.get(GPU)
    return "cuda", int(asked) if asked else 1


def too_large(launch: Launch, root: str) -> FailureDigest | None:
    """Why no process could be started for the launch; None where one can be."""
    text = config_text(launch, root)
    if fits(text):
        return None
    spec = launch.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    parts = {name: len(canonical_json(part)) for name, part in spec.items()}
    largest = max(parts, key=lambda name: parts[name])
    return FailureDigest(
        reason="ConfigTooLarge",
        message=f"{CONFIG_VARIABLE} of stage {launch.stage} would take {len(text.encode()):,} bytes, and a process can "
        f"be given {VARIABLE_LIMIT:,}; shorten the spec, above all spec.{largest} with {parts[largest]:,} bytes",
        stage=launch.stage,
    )
