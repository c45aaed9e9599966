"""What a run reads from outside: other runs' artifacts and models. Which they are, and which of them need a look first.

The operator makes stage keys of their digests. It cannot read stores or the Hub: where a spec names only a place, the
stage `resolve` finds the digest out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fabula_api.arms import engine_of
from fabula_api.base import camel, value_at
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.judges import HumanVerdicts
from fabula_api.once import once
from fabula_api.recipes import Kind, ReadModel, recipes
from fabula_api.shared_spec import ArtifactSource, ModelSource
from fabula_api.specs import Spec, kind_of

COMMIT = "commit:"
"""Begins the digest of a model on the Hub: the commit of its repository, which names all its files' contents."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class External:
    """One artifact or model that a run reads and does not make."""

    name: str
    """Lineage name: `dataset`, `model`, `imageModel`, `clipModel`; in an EvalRun `adapter/<arm>` and `model/<arm>`."""
    input: str
    """Name under which a stage declares it: the same without the arm."""
    field: str
    """The spec field that names it, as a person writes it."""
    source: ArtifactSource | ModelSource | HumanVerdicts
    made_by: Kind | None = None
    """Kind of run that makes such artifacts; None for a model."""
    arm: str | None = None

    @property
    def ref(self) -> str | None:
        """Name of the run that makes it, where the spec names one."""
        return self.source.ref if isinstance(self.source, ArtifactSource) else None

    @property
    def model(self) -> ModelSource | None:
        """The source, where it is a model."""
        return self.source if isinstance(self.source, ModelSource) else None

    @property
    def digest(self) -> str | None:
        """Digest of its content, where the spec gives it: as such, or as the commit of a Hub repository."""
        if self.source.digest is not None:
            return self.source.digest
        revision = self.model.revision if self.model is not None else None
        return COMMIT + revision if revision and _COMMIT.fullmatch(revision) else None

    @property
    def unresolved(self) -> bool:
        """Whether the spec says only where it is."""
        return self.ref is None and self.digest is None


@once(512)
def externals(spec: Spec) -> tuple[External, ...]:
    """What a spec reads from outside, as far as its digest can be told before: all but a foreign trainer's model."""
    return (*_of_the_kind(spec), *_of_the_recipe(spec))


def _of_the_kind(spec: Spec) -> tuple[External, ...]:
    if isinstance(spec, FineTuneRunSpec):
        dataset = External("dataset", "dataset", "dataset", spec.dataset, "DatasetBuild")
        # A foreign trainer may know models that nobody else does.
        return (dataset,) if spec.template.foreign else (dataset, External("model", "model", "model", spec.model))
    if not isinstance(spec, EvalRunSpec):
        return ()
    inputs = []
    if spec.samples.ref is not None:
        inputs.append(External("samples", "samples", "samples", ArtifactSource(ref=spec.samples.ref), "DatasetBuild"))
    for arm in spec.arms:
        field = f"arms[{arm.name}]"
        if engine_of(arm, spec.engine) != "openai":  # of a served model only the name is known
            inputs.append(External(f"model/{arm.name}", "model", f"{field}.model", arm.model, arm=arm.name))
        if arm.adapter:
            name = f"adapter/{arm.name}"
            inputs.append(External(name, "adapter", f"{field}.adapter", arm.adapter, "FineTuneRun", arm.name))
    if "clip-score" in spec.metrics:
        inputs.append(External("clipModel", "clipModel", "clipModel", spec.clip_model))
    if spec.human_verdicts is not None:
        inputs.append(External("humanVerdicts", "humanVerdicts", "humanVerdicts", spec.human_verdicts))
    if spec.embedding_model and "coherence" in spec.metrics:
        inputs.append(External("embeddingModel", "embeddingModel", "embeddingModel", spec.embedding_model))
    if spec.training_set and "training-overlap" in spec.metrics:
        inputs.append(External("trainingSet", "trainingSet", "trainingSet", spec.training_set, "DatasetBuild"))
    return tuple(inputs)


def _of_the_recipe(spec: Spec) -> tuple[External, ...]:
    recipe = recipes().get(spec.recipe)
    if recipe is None or (isinstance(spec, DatasetBuildSpec) and spec.dry_run):
        return ()
    return tuple(_external(spec, read) for read in recipe.models.get(kind_of(spec), ()) if _is_read(spec, read))


def _is_read(spec: Spec, read: ReadModel) -> bool:
    return read.when is None or value_at(spec, read.when[0]) in read.when[1]


def _external(spec: Spec, read: ReadModel) -> External:
    source = value_at(spec, read.field)
    if not isinstance(source, ArtifactSource | ModelSource):
        raise TypeError(f"recipe {spec.recipe}: {read.field} is neither a ModelSource nor an ArtifactSource")
    return External(read.name, read.name, camel(read.field), source, read.made_by)


def unresolved(spec: Spec) -> tuple[External, ...]:
    """Those of which a spec says only where they are."""
    return tuple(external for external in externals(spec) if external.unresolved)
