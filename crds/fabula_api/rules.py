"""CEL rules of the CRDs, beside the models they guard.

Two sorts: what must hold between fields of one block, and what must not change once a run depends on it. A run that is
still waiting, or has failed, may be edited: that is how a mistake is mended.
"""

from __future__ import annotations

import json
from typing import TypedDict

from pydantic import BaseModel

from fabula_api.dataset_build import Images
from fabula_api.fine_tune_run import Lora
from fabula_api.recipes import Kind


class Rule(TypedDict, total=False):
    """One entry of `x-kubernetes-validations`."""

    rule: str
    message: str
    fieldPath: str
    reason: str


def _untouched(model: type[BaseModel], path: str, *fields: str) -> str:
    """The CEL expression that says that fields (all of them where none is named) have their defaults."""
    defaults = model().model_dump(mode="json", by_alias=True)
    return " && ".join(f"{path}.{name} == {json.dumps(defaults[name])}" for name in fields or defaults)


BLOCKS: dict[str, tuple[Rule, ...]] = {
    "ModelSource": (
        {"rule": "has(self.name) != has(self.uri)", "message": "give exactly one of name and uri"},
        {"rule": "!has(self.revision) || has(self.name)", "message": "revision goes with name"},
        {"rule": "!has(self.digest) || has(self.uri)", "message": "digest goes with uri; a name has a revision"},
    ),
    "ArtifactSource": (
        {"rule": "has(self.ref) != has(self.uri)", "message": "give exactly one of ref and uri"},
        {"rule": "!has(self.digest) || has(self.uri)", "message": "digest goes with uri; a run's is known"},
    ),
    "PixelWindow": (
        {"rule": "self.minPixels <= self.maxPixels", "message": "minPixels must not be greater than maxPixels"},
    ),
    "WordRange": ({"rule": "self.min <= self.max", "message": "min must not be greater than max"},),
    "Images": (
        {
            "rule": "!has(self.require) || self.require <= self.perSample",
            "message": "require must not be greater than perSample",
            "fieldPath": ".require",
        },
        {
            "rule": "self.provider != 'bedrock' || self.aspectRatio != '4:3'",
            "message": "bedrock draws no 4:3; use 16:9 or 1:1",
            "fieldPath": ".aspectRatio",
        },
        {
            "rule": "self.provider != 'bedrock' || "
            f"({_untouched(Images, 'self', 'width', 'steps', 'guidanceScale', 'batchSize')})",
            "message": "width, steps, guidanceScale and batchSize are for diffusers; leave them out with bedrock",
        },
    ),
    "Template": ({"rule": "size(self.args) == 0 || size(self.command) > 0", "message": "args goes with command"},),
    "Topology": (
        {
            "rule": "!(has(self.requiredDomain) && has(self.preferredDomain))",
            "message": "give requiredDomain or preferredDomain, not both",
        },
    ),
    "Training": (
        {
            "rule": "self.recomputeEvery == 1 || self.gradientCheckpointing",
            "message": "recomputeEvery goes with gradientCheckpointing",
            "fieldPath": ".recomputeEvery",
        },
    ),
    "DeepSpeed": (
        {
            "rule": "self.offload != 'all' || self.stage == 3",
            "message": "only stage 3 can move weights to CPU memory; use offload optimizer, or stage 3",
            "fieldPath": ".offload",
        },
    ),
    "FineTuneRunSpec": (
        {
            "rule": "self.training.kernels == 'torch' || self.topology.device == 'cuda'",
            "message": "liger's kernels run on GPUs only; use torch with topology.device cpu",
            "fieldPath": ".training.kernels",
        },
        {
            "rule": f"self.training.method != 'full' || ({_untouched(Lora, 'self.lora')})",
            "message": "lora is for training.method lora; leave it out with full",
            "fieldPath": ".lora",
        },
    ),
    "Gate": ({"rule": "has(self.min) || has(self.max)", "message": "a gate needs min, max or both"},),
    "EvalRunSpec": (
        {
            "rule": "!has(self.baseline) || self.arms.exists(a, a.name == self.baseline)",
            "message": "baseline must name one of the arms",
            "fieldPath": ".baseline",
        },
        {
            "rule": "self.gates.all(g, self.arms.exists(a, a.name == g.arm))",
            "message": "each gate's arm must name one of the arms",
            "fieldPath": ".gates",
        },
        {
            "rule": "self.gates.all(g, !has(g.versus) || self.arms.exists(a, a.name == g.versus))",
            "message": "each gate's versus must name one of the arms",
            "fieldPath": ".gates",
        },
        {
            "rule": "self.gates.all(g, self.metrics.exists(m, m == g.metric))",
            "message": "each gate's metric must be one of metrics",
            "fieldPath": ".gates",
        },
    ),
}
"""Rules by the name of the model they belong to."""

FIXED: dict[Kind, tuple[str, ...]] = {
    "DatasetBuild": ("recipe", "source", "extraction.provider", "extraction.model", "extraction.words", "output"),
    "FineTuneRun": ("recipe", "dataset", "model", "lora", "training", "pixels", "deepspeed", "topology", "output"),
    "EvalRun": ("recipe", "samples", "arms", "baseline", "prompt", "pixels", "generation", "shards", "output"),
}
"""Spec fields that cannot change while a run is running, or after it succeeded."""

_OPTIONAL = {"prompt", "baseline", "extraction.model"}
_FREE = "!has(oldSelf.status) || !has(oldSelf.status.state) || !(oldSelf.status.state in ['Running', 'Suspended', 'Succeeded'])"  # noqa: E501


def fixed_rules(kind: Kind) -> list[Rule]:
    """Transition rules for the root of a kind: one for each fixed field, so that the message names it."""
    rules: list[Rule] = []
    for field in FIXED[kind]:
        new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
        same = f"{new} == {old}"
        if field in _OPTIONAL:
            same = f"has({new}) == has({old}) && (!has({new}) || {same})"
        rules.append(
            {
                "rule": f"{_FREE} || ({same})",
                "message": f"{field} cannot change once the run has started; make a new {kind}",
                "fieldPath": f".spec.{field}",
                "reason": "FieldValueForbidden",
            }
        )
    return rules
