"""What the launcher tells its ranks, as one JSON file in the scratch folder that they share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.specs import parse_spec

JOB_VARIABLE = "FABULA_TRAINING_JOB"
"""Environment variable with the path of the job file."""


def _of_its_recipe(given: Any) -> Any:
    return parse_spec("FineTuneRun", given) if isinstance(given, Mapping) else given


class TrainingJob(BaseModel):
    """Everything a rank needs. Paths are local to the pod."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: Annotated[SerializeAsAny[FineTuneRunSpec], BeforeValidator(_of_its_recipe)]
    """With the block of its recipe."""
    dataset: Path
    """Folder of the dataset artifact."""
    model: Path
    """Folder of the base model."""
    base_name: str
    """What the adapter names as its base: the Hub name or URI, not a local path."""
    inputs: dict[str, Path] = {}
    """Folders of what the recipe reads beside these, by input."""
    deepspeed: dict[str, Any]
    work: Path
    """Scratch folder of this attempt on this node."""
    resume: Path | None = None
    """Downloaded checkpoint to go on from."""

    @property
    def stop_file(self) -> Path:
        """Its existence asks the ranks to save at the next step boundary and end. A file, because torchrun gives its
        workers a fixed time after a signal, whatever the pod's grace period is."""
        return self.work / "stop"

    @property
    def events_file(self) -> Path:
        return self.work / "events.jsonl"

    @property
    def saved(self) -> Path:
        """Where Trainer and DeepSpeed write checkpoints before they are committed."""
        return self.work / "saved"

    @property
    def final(self) -> Path:
        """Where the finished adapter is written."""
        return self.work / "final"

    def failure_file(self, rank: int) -> Path:
        return self.work / f"failure-{rank}.json"

    def log_file(self, rank: int) -> Path:
        return self.work / "logs" / f"rank-{rank}.log"

    def write(self) -> Path:
        """Store it in the scratch folder; returns the file's path."""
        path = self.work / "job.json"
        path.write_text(self.model_dump_json(by_alias=True))
        return path

    @classmethod
    def from_environment(cls) -> TrainingJob:
        return cls.model_validate_json(Path(os.environ[JOB_VARIABLE]).read_text())
