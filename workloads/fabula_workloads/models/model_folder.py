"""Where a model's files are: a folder of the artifact store, or a Hugging Face Hub repository, downloaded once.

What is there is held to the digest that the run was given, so that all its pods see one model, or say that it changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fabula_api.shared_spec import ModelSource
from fabula_workloads.models.hub import from_hub, models_folder
from fabula_workloads.runtime.artifact import read_manifest
from fabula_workloads.runtime.content import content_digest, require_content
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store


def model_folder(context: StageContext, source: ModelSource, field: str, given: str = "model") -> Path:
    """Local folder of a model; `field` is the spec field that an error names, such as `model`, and `given` the input
    under which the stage was given its digest.

    Raises InputInvalid (InputChanged) where the folder holds something else.
    """
    digest = context.given(given)
    if source.uri is None:
        return Path(from_hub(source, field, models_folder(context.cache), digest))
    try:
        store = open_store(context.resolve(source.uri))
        if (manifest := read_manifest(store)) is not None:
            require_content(store.uri, manifest.digest, digest)
            return context.fetch_artifact(store, manifest)
        if digest is not None:
            require_content(store.uri, content_digest(store.uri, context.cache, context.check_stop), digest)
        return context.local(source.uri)
    except NotFound as error:
        raise _no_folder(field, error) from error


def model_config(context: StageContext, source: ModelSource, field: str) -> bytes:
    """A model's config.json. Nothing else of the model is downloaded."""
    if source.uri is None:
        cache, digest = models_folder(context.cache), context.given("model")
        return Path(from_hub(source, field, cache, digest, "config.json")).read_bytes()
    try:
        return open_store(context.resolve(source.uri)).read("config.json")
    except NotFound as error:
        raise _no_folder(field, error) from error


def model_config_digest(context: StageContext, source: ModelSource, field: str) -> str:
    """`sha256:<hex>` of a model's config.json."""
    return "sha256:" + hashlib.sha256(model_config(context, source, field)).hexdigest()


def model_label(source: ModelSource) -> str:
    """The model for people and for provenance: its name with revision, or the last part of its folder's URI."""
    if source.name is not None:
        return f"{source.name}@{source.revision}" if source.revision else source.name
    return (source.uri or "").rstrip("/").rpartition("/")[2]


def _no_folder(field: str, error: NotFound) -> InputInvalid:
    return InputInvalid(f"{field}.uri: there is no model folder at {error.uri}")
