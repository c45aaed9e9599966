"""Code that a recipe brings to an evaluation: what is wrong with it is told by its name, and trying again is no use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

from fabula_api.metrics import Metric, ProfileName
from fabula_api.named_function import named_function
from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.runtime.failures import ConfigInvalid, WorkerError
from fabula_workloads.runtime.termination import describe

# What says why in other terms, or may pass.
_ELSEWHERE = (WorkerError, UnfitPicture, OSError, MemoryError)


@contextmanager
def brought(what: str) -> Iterator[None]:
    """Around such code. Raises ConfigInvalid with what it is called and where in it an exception came up."""
    try:
        yield
    except _ELSEWHERE:
        raise
    except Exception as error:
        raise ConfigInvalid(f"{what} cannot be used: it raised {describe(error)}. Mend it, and run again") from error


def label(metric: Metric, profile: ProfileName) -> str:
    """A metric with its function, as an error names it."""
    return f"metric {metric.name} ({metric.definitions[profile].function}, profile {profile})"


def function_of(metric: Metric, profile: ProfileName) -> Any:
    """The metric's function under a profile; only now are its libraries loaded. Raises ConfigInvalid where there is
    none."""
    with brought(label(metric, profile)):
        return named_function(metric.definitions[profile].function)


def figure(value: Any, metric: Metric, profile: ProfileName) -> float | None:
    """What a metric gave for an answer. Raises ConfigInvalid for what is no figure: a mean of it would be none."""
    if value is None:
        return None
    if isinstance(value, Real) and math.isfinite(value):  # numpy's are numbers too
        return value if isinstance(value, int | float) else float(value)
    raise ConfigInvalid(
        f"{label(metric, profile)} gives {value!r} for an answer, which is no figure; it has to give a finite number, "
        "or None where the answer has none"
    )
