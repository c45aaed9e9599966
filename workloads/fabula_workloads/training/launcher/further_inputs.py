"""What a training reads beside dataset and base model: the artifacts and models that its recipe names in `models`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fabula_api.externals import External, externals
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.shared_spec import ModelSource
from fabula_api.status import Lineage
from fabula_workloads.models.model_folder import model_folder
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.open_store import open_store

KINDS = {"DatasetBuild": ("dataset",), "FineTuneRun": ("adapter", "model")}
"""Kinds of artifacts by the kind of run that makes them."""
_OF_EVERY_RUN = ("dataset", "model")


def further_inputs(context: StageContext, spec: FineTuneRunSpec) -> dict[str, Path]:
    """Local folders of them by input, compared with what the run was given. Raises InputInvalid."""
    return {further.input: _folder(context, further) for further in _further(spec)}


def further_lineage(context: StageContext, spec: FineTuneRunSpec) -> Iterator[Lineage]:
    """The same for the record."""
    for further in _further(spec):
        if isinstance(further.source, ModelSource):
            uri = context.resolve(further.source.uri) if further.source.uri else further.source.name or ""
            yield Lineage(name=further.name, uri=uri, digest=context.given(further.input))
        else:
            uri = context.resolve(context.config.input(further.input).uri)
            yield Lineage(name=further.name, uri=uri, digest=require_manifest(open_store(uri)).digest)


def _further(spec: FineTuneRunSpec) -> Iterator[External]:
    return (external for external in externals(spec) if external.input not in _OF_EVERY_RUN)


def _folder(context: StageContext, further: External) -> Path:
    if isinstance(further.source, ModelSource):
        return model_folder(context, further.source, further.field, further.input)
    store, manifest = context.open_artifact(further.input, *KINDS[further.made_by or "FineTuneRun"])
    return context.fetch_artifact(store, manifest)
