"""The committed sample set, as the stages after `select` read it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fabula_api.uri import path_problem
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store


def _below(path: str) -> str:
    """Raises ValueError for a path that could lead out of the artifact."""
    if problem := path_problem(path):
        raise ValueError(f"{path!r} points outside the artifact: {problem}")
    return path


class Sample(BaseModel):
    """One line of `samples.jsonl`. Image paths are below the artifact's folder, so that it can be moved."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$")]
    images: Annotated[list[Annotated[str, AfterValidator(_below)]], Field(min_length=1)]
    story: str = ""


def read_sample_set(store: Store) -> list[Sample]:
    """The samples, in order. Raises InputInvalid when nothing is committed there or a line is no sample."""
    require_manifest(store, "sample-set")
    samples = []
    # By line feeds alone: a story may hold other marks that Python splits lines at.
    for number, line in enumerate(store.read("samples.jsonl").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            samples.append(Sample.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = f"{store.uri}/samples.jsonl line {number}"
            raise InputInvalid(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return samples
