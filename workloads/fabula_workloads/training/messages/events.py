"""Events from the first rank of a node to its launcher: JSON lines in a file, so that neither ever waits for the other.

The launcher reports them, and commits checkpoints beside the training that goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fabula_workloads.runtime.failures import Crashed
from fabula_workloads.runtime.termination import validation_lines


class _Message(BaseModel):
    # A figure may be none: JSON has no word for that, and Python's has.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Started(_Message):
    """The ranks have met, and know what is to be done."""

    event: Literal["started"] = "started"
    steps: int
    samples: int
    left_out: dict[str, int]
    """Samples that are not trained on, by reason."""
    validation: int
    padding: int
    """Samples an epoch that are seen twice."""
    updates: int
    rows: int


class StepMade(_Message):
    event: Literal["step"] = "step"
    metrics: dict[str, int | float]
    """By the names of FineTuneRun's status.metrics."""


class CheckpointSaved(_Message):
    event: Literal["checkpoint"] = "checkpoint"
    step: int
    path: Path
    """Local folder of the checkpoint, whole."""


class TrainerLog(BaseModel):
    """What is kept of an entry of Trainer's log."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    step: int
    loss: float | None = None
    grad_norm: float | None = None
    learning_rate: float | None = None
    eval_loss: float | None = None
    epoch: float | None = None


class Finished(_Message):
    """Training came to its last step, and what it made is in the job's folder."""

    event: Literal["finished"] = "finished"
    step: int
    history: list[TrainerLog] = []


class Interrupted(_Message):
    """It was told to stop, and saved."""

    event: Literal["interrupted"] = "interrupted"
    step: int


Event: TypeAlias = Started | StepMade | CheckpointSaved | Finished | Interrupted
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class EventWriter:
    """Appends events; a line is written whole before `emit` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def emit(self, event: Event) -> None:
        """Append one event."""
        self._file.write(event.model_dump_json() + "\n")


class EventReader:
    """Reads what was appended since the last look; a line that is not finished yet waits for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def poll(self) -> list[Event]:
        """New events, oldest first. Raises Crashed for a line that is none."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        try:
            return [_EVENT.validate_json(line) for line in whole.splitlines()]
        except ValidationError as error:
            problem = "; ".join(validation_lines(error))
            raise Crashed(f"the ranks told something that is no event: {problem}", "EventUnreadable") from None
