"""Everything that can be refused before a rank is started: inputs, model, DeepSpeed config; and where to resume."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fabula_api.artifact import Manifest
from fabula_api.details import BaseModelDetails, CheckpointDetails, DatasetDetails, SamplerState
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import details_of
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.store import Store
from fabula_workloads.training.launcher import deepspeed_config
from fabula_workloads.training.launcher.further_inputs import further_inputs, further_lineage
from fabula_workloads.training.launcher.group import Node
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.model_files import hidden_size_of, widest_target
from fabula_workloads.training.samples.dataset import check_samples
from fabula_workloads.training.saving.checkpoints import Checkpoints
from fabula_workloads.training.trains import training_of

_log = logging.getLogger("fabula.train")
_HISTORY_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training run that is ready to start."""

    job: TrainingJob
    node: Node
    checkpoints: Checkpoints
    dataset: Manifest
    base_digest: str
    """Of the base model's config.json."""
    lineage: list[Lineage]
    resumed_from: int | None
    """Step of the checkpoint that the run goes on from."""

    def checkpoint_details(self, step: int, local: Path) -> CheckpointDetails:
        """What a checkpoint's manifest tells beside its files."""
        spec = self.job.spec
        state = json.loads((local / "trainer_state.json").read_text()) if self.node.rank == 0 else {}
        losses = [(entry["step"], entry["loss"]) for entry in state.get("log_history", ()) if "loss" in entry]
        return CheckpointDetails(
            world_size=spec.topology.nodes * spec.topology.gpus_per_node,
            global_batch_size=spec.global_batch_size,
            sampler=SamplerState(seed=spec.training.seed, epoch=state.get("epoch"), step=step),
            base=self.base(),
            method=spec.training.method,
            quantization=spec.lora.quantization,
            losses=losses[:: max(1, -(-len(losses) // _HISTORY_LIMIT))],
        )

    def base(self) -> BaseModelDetails:
        """The base model as an adapter names it."""
        model = self.job.spec.model
        return BaseModelDetails(digest=self.base_digest, name=model.name, uri=model.uri, revision=model.revision)


def prepare(context: StageContext, spec: FineTuneRunSpec, fetch_model: Callable[[], Path]) -> Prepared:
    """Check and gather what the ranks need; `fetch_model` gives the base model's local folder, once all else is found
    to be in order: downloading it may take long.

    Raises ConfigInvalid or InputInvalid for what cannot work.
    """
    node = Node.from_environment(spec.topology, os.environ)
    store, dataset = _dataset(context, spec)
    uri = context.config.input("dataset").uri
    folder = context.fetch_artifact(store, dataset, but_pictures=True)
    check_samples(folder, spec, uri)
    if spec.training.bad_samples == "stop":
        context.fetch_artifact(store, dataset)
    model = fetch_model()
    base_name = spec.model.uri or spec.model.name or model.name
    parts = training_of(spec.recipe)
    files = parts.read_model(model, base_name)
    base_digest = files.digest
    inputs = further_inputs(context, spec)
    parts.check(spec, files, base_name, dataset, inputs)
    config = deepspeed_config.render(spec, hidden_size_of(files.config), widest_target(spec.lora, files))
    if problems := deepspeed_config.problems(config, spec):
        raise ConfigInvalid("; ".join(problems))
    checkpoints = Checkpoints(
        context.store.child("checkpoints"), context.config.attempt, context.config.run.uid, node.rank
    )
    checkpoints.enter()
    work = _work_folder(context, node)
    resumed_from, resume = None, None
    if newest := checkpoints.newest():
        resumed_from, manifest = newest
        if problem := _other_run(manifest, spec, base_digest):
            raise InputInvalid(
                f"output.uri: the checkpoint {checkpoints.uri(resumed_from)} {problem}; give the run another output.uri"
            )
        resume = checkpoints.fetch(resumed_from, manifest, work / "resume" / f"checkpoint-{resumed_from}")
        _log.info("going on from the checkpoint of step %d (attempt %d)", resumed_from, manifest.attempt)
    job = TrainingJob(
        spec=spec,
        dataset=folder,
        model=model,
        base_name=base_name,
        deepspeed=config,
        work=work,
        resume=resume,
        inputs=inputs,
    )
    lineage = [
        Lineage(name="dataset", uri=context.resolve(uri), digest=dataset.digest),
        Lineage(
            name="model",
            uri=context.resolve(spec.model.uri) if spec.model.uri else base_name,
            digest=context.given("model") or base_digest,
        ),
        *further_lineage(context, spec),
    ]
    return Prepared(job, node, checkpoints, dataset, base_digest, lineage, resumed_from)


def _other_run(checkpoint: Manifest, spec: FineTuneRunSpec, base_digest: str) -> str | None:
    """Why this run cannot go on from a checkpoint in its folder. The ranks may differ, base and batch may not."""
    told = details_of(checkpoint, CheckpointDetails, f"output.uri: the checkpoint {checkpoint.digest[:19]}")
    if told.base.digest != base_digest:
        return f"is of a base model whose config.json is {told.base.digest}, but the run's is {base_digest}"
    batch = told.global_batch_size
    if batch not in (None, spec.global_batch_size):
        return f"was made with {batch} samples an optimizer step, but the run's are {spec.global_batch_size}"
    for field, theirs, ours in (
        ("method", told.method, spec.training.method),
        ("quantization", told.quantization, spec.lora.quantization),
    ):
        if theirs != ours:
            return f"was made with {field} {theirs}, but the run's is {ours}"
    return None


def _dataset(context: StageContext, spec: FineTuneRunSpec) -> tuple[Store, Manifest]:
    store, manifest = context.open_artifact("dataset", "dataset")
    recipe = details_of(manifest, DatasetDetails, f"dataset: {store.uri}").recipe
    if recipe != spec.recipe:
        raise InputInvalid(
            f"dataset: {store.uri} is a dataset of recipe {recipe!r}, but the run's recipe is {spec.recipe!r}; set "
            "recipe to it, or train on a dataset of the run's own"
        )
    return store, manifest


def _work_folder(context: StageContext, node: Node) -> Path:
    """A fresh scratch folder. Those of the run's launchers that were killed are removed; their process id tells."""
    config = context.config
    prefix = f"train-{config.run.uid}-{config.key[-16:]}-{node.rank}-"
    for other in context.cache.glob(f"{prefix}*"):
        if not Path(f"/proc/{other.name.removeprefix(prefix)}").exists():
            shutil.rmtree(other, ignore_errors=True)
    work = context.cache / f"{prefix}{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("saved", "final", "logs"):
        (work / folder).mkdir(parents=True)
    return work
