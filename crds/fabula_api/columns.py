"""The columns of `kubectl get`."""

from __future__ import annotations

from functools import partial
from typing import Any

from fabula_api.recipes import Column, Kind, recipes

_shown = partial(Column, wide=False)

_STATE = _shown("State", ".status.state", about="Pending, Running, Suspended, Succeeded or Failed")
_PROGRESS = _shown("Progress", ".status.progress.summary", about="Stage and how far it is")
_ETA = _shown("ETA", ".status.progress.eta", about="Time left")
_REASON = Column("Reason", ".status.reason", about="What it waits for, why it failed, or why it stopped early")
_MESSAGE = Column(
    "Message",
    '.status.conditions[?(@.type=="Running")].message',
    about="What it waits for, what it does, or why it failed, in a sentence",
)
_AGE = _shown("Age", ".metadata.creationTimestamp", "date")

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    "DatasetBuild": (
        _STATE, _PROGRESS, _ETA,
        _shown("Samples", ".status.samples", "integer", about="Samples in the artifact"),
        _AGE, _REASON,
        Column("Cost", ".status.costUsd", "number", about="Dollars spent"),
        Column("Artifact", ".status.artifact.uri", about="Folder of the dataset"),
        _MESSAGE,
    ),
    "FineTuneRun": (
        _STATE, _PROGRESS, _ETA,
        _shown("Loss", ".status.metrics.loss", "number", about="Training loss of the last step"),
        _AGE, _REASON,
        Column("Checkpoint", ".status.checkpoint.step", "integer", about="Step of the last committed one"),
        Column("Tokens/s/GPU", ".status.metrics.tokensPerSecondPerGpu", "number"),
        Column("GPU-Hours", ".status.gpuHours.used", "number"),
        Column("Cost", ".status.costUsd", "number", about="Dollars for the GPU hours"),
        Column("Adapter", ".status.adapter.uri", about="Folder of the adapter"),
        Column("Model", ".status.model.uri", about="Folder of a model trained in full"),
        _MESSAGE,
    ),
    "EvalRun": (
        _STATE, _PROGRESS, _ETA,
        _shown("Score", ".status.score", about="The headline metric of each arm"),
        _shown("Gates", '.status.conditions[?(@.type=="GatesPassed")].status', about="Whether all gates passed"),
        _AGE, _REASON,
        Column("Win Rate", ".status.judges[0].pairs[0].winRate", "number",
                about="Share of samples that the first judge gives to the first arm against the baseline"),
        Column("Cost", ".status.costUsd", "number", about="Dollars that judges have cost"),
        Column("Report", ".status.report.uri", about="Folder with report.html"),
        _MESSAGE,
    ),
}  # fmt: skip


def columns(kind: Kind) -> list[dict[str, Any]]:
    """The columns of `kubectl get`, as a CRD has them: every run's, and those that the installed recipes add."""
    added: dict[tuple[str, str], Column] = {}
    for recipe in recipes().values():
        for column in recipe.columns.get(kind, ()):
            # What two recipes show alike stands once: a run of either fills it.
            added.setdefault((column.name, column.path), column)
    return [_wire(column) for column in (*COLUMNS[kind], *added.values())]


def _wire(column: Column) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.about:
        wire["description"] = column.about
    if column.wide:
        wire["priority"] = 1
    return wire
