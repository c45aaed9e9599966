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
    return {one.input: _folder(context, one) for one in _further(spec)}


def further_lineage(context: StageContext, spec: FineTuneRunSpec) -> Iterator[Lineage]:
    """The same for the record."""
    for one in _further(spec):
        if isinstance(one.source, ModelSource):
            uri = context.resolve(one.source.uri) if one.source.uri else one.source.name or ""
            yield Lineage(name=one.name, uri=uri, digest=context.given(one.input))
        else:
            uri = context.resolve(context.config.input(one.input).uri)
            yield Lineage(name=one.name, uri=uri, digest=require_manifest(open_store(uri)).digest)


def _further(spec: FineTuneRunSpec) -> Iterator[External]:
    return (one for one in externals(spec) if one.input not in _OF_EVERY_RUN)


def _folder(context: StageContext, one: External) -> Path:
    if isinstance(one.source, ModelSource):
        return model_folder(context, one.source, one.field, one.input)
    store, manifest = context.open_artifact(one.input, *KINDS[one.made_by or "FineTuneRun"])
    return context.fetch_artifact(store, manifest)
