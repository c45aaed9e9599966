"""Stage keys and folders: what decides a stage's output, and where that output lies.

Two runs with the same key would compute the same thing, so a finished artifact under that key is taken instead.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from fabula_api.artifact import digest_of
from fabula_api.base import EACH, value_at, value_of
from fabula_api.entries import Entry
from fabula_api.named_function import named_function
from fabula_api.once import once
from fabula_api.recipes import Stage
from fabula_api.uri import resolve_uri
from fabula_api.worker import Spec, StageInput
from fabula_operator.render.launch import RunIdentity

# How many GPUs compute an answer does not change it, so moving an arm to other hardware reuses what is there. A digest
# that a spec gives is among the stage's inputs, as one that was found out would be.
_UNDECISIVE = frozenset({"gpusPerShard", "digest"})
_LATER = frozenset({"ref", "engine", "endpointUrl", "keyVariable", "concurrency", "precision"})
"""Fields that samples, arms and updates did not always have: where one is not said, the key is what it was without it.
"""


@once(512)
def _part(spec: Spec, path: str, root: str) -> Any:
    """A field of a spec as it goes into a key."""
    return _plain(value_at(spec, path), root)


def _read(stage: Stage, spec: Spec, entry: Entry | None, root: str) -> dict[str, Any]:
    """The fields that a stage reads, as they go into its key."""
    of_entry = {path: _plain(value_of(spec, path, entry), root) for path in stage.reads if path.startswith(EACH)}
    return {path: _part(spec, path, root) for path in stage.reads if not path.startswith(EACH)} | of_entry


def _plain(value: Any, root: str) -> Any:
    """As JSON, with every place in its one spelling."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {
            key: resolve_uri(item, root) if key == "uri" and isinstance(item, str) else _plain(item, root)
            for key, item in value.items()
            if key not in _UNDECISIVE and not (item is None and key in _LATER)
        }
    if isinstance(value, list | tuple):
        return [_plain(item, root) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of one run, for one entry where it runs for each of a list: all that decides what comes of it."""

    stage: Stage
    spec: Spec
    entry: Entry | None
    """The arm or judge."""
    inputs: tuple[StageInput, ...]
    root: str
    """URI below which places without a scheme lie."""

    @property
    def entry_name(self) -> str | None:
        """Of the arm or judge, as a folder and a child have it."""
        return self.entry.name if self.entry is not None else None


def stage_key(work: Work) -> str:
    """`sha256:<hex>` of everything that decides the stage's output, and how much of it there is."""
    stage, spec, root = work.stage, work.spec, work.root
    return digest_of(
        {
            "recipe": spec.recipe,
            "stage": stage.name,
            "version": stage.version,
            "spec": _read(stage, spec, work.entry, root) | _bounds(stage, spec, root),
            "arm": None if work.entry is None else _decisive(work, work.entry),
            "inputs": {stage_input.name: stage_input.digest for stage_input in work.inputs},
        }
    )


def _decisive(work: Work, entry: Entry) -> Any:
    """What of an entry decides the output of a stage that runs for it."""
    if work.stage.entry_key is not None:
        return _plain(named_function(work.stage.entry_key)(work.spec, entry), work.root)
    # Where model and adapter lie, and who made them, does not matter; their digests are among the inputs.
    named = {stage_input.name for stage_input in work.inputs}
    return {key: value for key, value in _plain(entry, work.root).items() if key not in {"adapter", "model"} & named}


def _bounds(stage: Stage, spec: Spec, root: str) -> dict[str, Any]:
    """The fields that bound how far the stage goes, where they do: without any, its key is what it would be anyway."""
    values = {path: value_at(spec, path) for path in stage.extent}
    return {
        path: _plain(value, root)
        for path, value in values.items()
        if value and not (isinstance(value, BaseModel) and value == type(value)())
    }


def place_key(work: Work, bounded: Set[str]) -> str:
    """The key that names the stage's folder: as `stage_key`, but whatever only bounds how far stages go is left out.

    `bounded` are the inputs that such a stage made; the last part of their folder says what is in it.
    """
    if not work.stage.extent:
        return stage_key(work)
    places = tuple(
        stage_input.replace(digest=stage_input.uri.rpartition("/")[2]) if stage_input.name in bounded else stage_input
        for stage_input in work.inputs
    )
    return stage_key(replace(work, stage=replace(work.stage, extent=()), inputs=places))


def base_folder(output: str | None, namespace: str, root: str) -> str:
    """The folder below which a run's stages have theirs: the one that `output.uri` names, else its namespace's."""
    return resolve_uri(output or namespace, root)


def stage_folder(run: RunIdentity, spec: Spec, root: str, stage: str, arm: str | None, key: str) -> str:
    """Folder of a stage's output: `{base}/{stage}[-{arm}]/{first 16 of the key}`."""
    base = base_folder(spec.output.uri, run.namespace, root)
    name = f"{stage}-{arm}" if arm else stage
    return f"{base}/{run.kind.lower()}/{name}/{key.removeprefix('sha256:')[:16]}"
