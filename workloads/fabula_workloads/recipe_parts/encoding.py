"""What turns samples into what a model reads."""

from __future__ import annotations

from typing import Any, Protocol

from fabula_workloads.models.family import Encoded


class SampleTooLong(Exception):
    """A sample that is longer than the recipe allows, whatever `training.maxLength` says. The message says by what."""


class SampleEncoder(Protocol):
    """Encodes samples of one dataset folder. A sample is of the recipe's own model."""

    def length(self, sample: Any) -> int:
        """Tokens of the encoded sample, without the work of encoding it. Raises InputInvalid for one that is none,
        and SampleTooLong."""

    def check(self, sample: Any) -> None:
        """Look at everything that the sample is made of. Raises InputInvalid for what is damaged or missing."""

    def encode(self, sample: Any, epoch: int | None = None) -> Encoded:
        """Tensors of one sample. What is drawn at random in training follows from the seed, the sample and the epoch,
        so that a run that goes on draws the same; without an epoch, nothing is drawn."""
