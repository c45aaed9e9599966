"""The committed sample set, as the stages after `select` read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fabula_api.rubrics import Rubric
from fabula_api.uri import path_problem
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store

LINES = "samples.jsonl"
"""The part with one record a line."""
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$"
"""An id names files and ledger entries."""


def _below(path: str) -> str:
    """Raises ValueError for a path that could lead out of the artifact."""
    if problem := path_problem(path):
        raise ValueError(f"{path!r} points outside the artifact: {problem}")
    return path


PartPath = Annotated[str, AfterValidator(_below)]
"""Of a file below the artifact's folder, so that the set can be moved."""


class EvaluationSample(BaseModel):
    """One line of `samples.jsonl`: what every arm is asked about. A recipe's own model may hold more."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    images: list[PartPath] = []
    """Pictures that the model is shown, in order."""
    prompt: str | None = None
    """What is asked of this one alone, where samples differ in it; a run's own prompt goes before it."""
    reference: str = ""
    """What a person said to it, where there is such a text. Metrics may read it; no arm sees it."""

    def asked_by(self, rubric: Rubric, answers: Sequence[str]) -> Rubric | None:
        """What a judge with this rubric is asked of these answers, as they are stored: the rubric itself, or one of the
        same marks in other words; None where the judge is not asked."""
        return rubric


S = TypeVar("S", bound=EvaluationSample)


def read_sample_set(store: Store, model: type[S]) -> list[S]:
    """The samples, in order. Raises InputInvalid when nothing is committed there or a line is no sample."""
    require_manifest(store, "sample-set")
    samples = []
    # By line feeds alone: a text may hold other marks that Python splits lines at.
    for number, line in enumerate(store.read(LINES).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            samples.append(model.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = f"{store.uri}/{LINES} line {number}"
            raise InputInvalid(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return samples
