"""What the pods of a stage need, as its kind tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fabula_api.base import value_at, value_of
from fabula_api.entries import Entry
from fabula_api.fine_tune_blocks import Template
from fabula_api.fine_tune_run import Topology
from fabula_api.recipes import Stage
from fabula_api.shared_spec import ModelSource, Resources
from fabula_operator.render.launch import Device
from fabula_operator.render.pod import GPU


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one stage, for one entry of a list where it runs for each of them."""

    shards: int
    """Pods of the child: shards of a Job, nodes of a group."""
    device: Device
    gpus: int
    """Of each pod."""
    resources: Resources
    model: ModelSource | None = None
    """What its pods train or answer with, and so load."""
    queue: str | None = None
    """Kueue's LocalQueue."""
    template: Template = field(default_factory=Template)
    """What the run changes in its pods."""
    topology: Topology | None = None
    """How the ranks of a group lie."""
    vllm: bool = False
    """Whether its pods answer with vLLM."""


def needs_of(stage: Stage, spec: Any, entry: Entry | None = None) -> Needs:
    """What follows from the recipe's word on the stage alone."""
    resources = value_at(spec, stage.resources) if stage.resources else Resources()
    shards = value_of(spec, stage.shards, entry) if stage.shards else 1
    device, gpus = _device(stage, spec, resources)
    return Needs(shards, device, gpus, resources)


def _device(stage: Stage, spec: Any, resources: Resources) -> tuple[Device, int]:
    if stage.remote_when is not None and value_at(spec, stage.remote_when[0]) in stage.remote_when[1]:
        return "cpu", 0
    named = stage.device if stage.device in ("cpu", "cuda") else value_at(spec, stage.device)
    if named != "cuda":
        return "cpu", 0
    asked = resources.limits.get(GPU)
    return "cuda", int(asked) if asked else 1
