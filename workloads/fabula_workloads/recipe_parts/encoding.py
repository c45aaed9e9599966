"""What turns samples into what a model reads."""

from __future__ import annotations

from typing import Any, Protocol

from fabula_workloads.models.family import Encoded


class SampleEncoder(Protocol):
    """Encodes samples of one dataset folder. A sample is of the recipe's own model."""

    def length(self, sample: Any) -> int:
        """Tokens of the encoded sample, without the work of encoding it. Raises InputInvalid for one that is none."""

    def check(self, sample: Any) -> None:
        """Look at everything that the sample is made of. Raises InputInvalid for what is damaged or missing."""

    def encode(self, sample: Any) -> Encoded:
        """Tensors of one sample."""
