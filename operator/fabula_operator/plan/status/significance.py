"""Whether a status change is news or only progress: progress is written at most once in some seconds for each run."""

from __future__ import annotations

from typing import Any

from fabula_api.status import RunStatus

_FIGURES = (
    "progress", "metrics", "checkpoint", "gpuHours", "items", "tokens", "calls", "bills", "costUsd", "figures",
    "shards", "arms",
    "estimate",
)  # fmt: skip
_STAGE_FIGURES = ("done", "total", "failed", "eta")
_ATTEMPT_FIGURES = ("lastStep", "committedStep", "committedAt")


def only_progress(old: RunStatus, new: RunStatus) -> bool:
    """True when the two differ in figures alone, so that the write may wait."""
    return _news(old) == _news(new)


def _news(status: RunStatus) -> dict[str, Any]:
    wire: dict[str, Any] = {key: value for key, value in status.to_wire().items() if key not in _FIGURES}
    for name, figures in (("stages", _STAGE_FIGURES), ("attempts", _ATTEMPT_FIGURES)):
        wire[name] = [
            {key: value for key, value in entry.items() if key not in figures} for entry in wire.get(name) or ()
        ]
    return wire
