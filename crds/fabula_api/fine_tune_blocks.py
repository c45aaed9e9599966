"""Blocks of a FineTuneRun beside the training itself: what is checked before it, and watched during it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fabula_api.base import SpecModel, StatusModel, Text


class Preflight(SpecModel):
    """The estimate of memory and hours that is made before a GPU is taken."""

    policy: Literal["enforce", "warn", "off"] = "enforce"
    """`enforce` refuses a run whose weights and state alone are more than a GPU holds; `warn` says so and starts it."""
    billion_parameters: float | None = Field(None, gt=0, le=100_000)
    """Parameters of the base model in billions, where Fabula does not know the model by its name."""


class Estimate(StatusModel):
    """What one rank is expected to need. An estimate: it is made from sizes, not from a trial."""

    least_gib: float | None = None
    """GiB of weights and training state alone; a GPU with less cannot do it."""
    memory_gib: float | None = None
    """GiB at the peak of a sample of `maxLength` tokens."""
    available_gib: float | None = None
    """GiB that `topology.product` has; absent when it is not given or not known."""
    hours: float | None = None
    """Hours of training at 30 % of the product's peak; absent while samples, product or model are not known."""
    note: Text | None = None
    """What the figures rest on, or why there are none."""
