"""The columns of `kubectl get`."""

from __future__ import annotations

from typing import Any

from fabula_api.recipes import Kind, recipes

Column = dict[str, Any]


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, about: str = "") -> Column:
    column: Column = {"name": name, "type": kind, "jsonPath": path}
    if about:
        column["description"] = about
    if wide:
        column["priority"] = 1
    return column


_STATE = _column("State", ".status.state", about="Pending, Running, Suspended, Succeeded or Failed")
_PROGRESS = _column("Progress", ".status.progress.summary", about="Stage and how far it is")
_ETA = _column("ETA", ".status.progress.eta", about="Time left")
_REASON = _column(
    "Reason", ".status.reason", wide=True, about="What it waits for, why it failed, or why it stopped early"
)
_MESSAGE = _column(
    "Message",
    '.status.conditions[?(@.type=="Running")].message',
    wide=True,
    about="What it waits for, what it does, or why it failed, in a sentence",
)
_AGE = _column("Age", ".metadata.creationTimestamp", "date")

COLUMNS: dict[Kind, list[Column]] = {
    "DatasetBuild": [
        _STATE, _PROGRESS, _ETA,
        _column("Samples", ".status.samples", "integer", about="Samples in the artifact"),
        _AGE, _REASON,
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars spent"),
        _column("Artifact", ".status.artifact.uri", wide=True, about="Folder of the dataset"),
        _MESSAGE,
    ],
    "FineTuneRun": [
        _STATE, _PROGRESS, _ETA,
        _column("Loss", ".status.metrics.loss", "number", about="Training loss of the last step"),
        _AGE, _REASON,
        _column("Checkpoint", ".status.checkpoint.step", "integer", wide=True, about="Step of the last committed one"),
        _column("Tokens/s/GPU", ".status.metrics.tokensPerSecondPerGpu", "number", wide=True),
        _column("GPU-Hours", ".status.gpuHours.used", "number", wide=True),
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars for the GPU hours"),
        _column("Adapter", ".status.adapter.uri", wide=True, about="Folder of the adapter"),
        _column("Model", ".status.model.uri", wide=True, about="Folder of a model trained in full"),
        _MESSAGE,
    ],
    "EvalRun": [
        _STATE, _PROGRESS, _ETA,
        _column("Score", ".status.score", about="The headline metric of each arm"),
        _column("Gates", '.status.conditions[?(@.type=="GatesPassed")].status', about="Whether all gates passed"),
        _AGE, _REASON,
        _column("Win Rate", ".status.judges[0].pairs[0].winRate", "number", wide=True,
                about="Share of samples that the first judge gives to the first arm against the baseline"),
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars that judges have cost"),
        _column("Report", ".status.report.uri", wide=True, about="Folder with report.html"),
        _MESSAGE,
    ],
}  # fmt: skip


def columns(kind: Kind) -> list[Column]:
    """The columns of `kubectl get`: every run's, and those that the installed recipes add."""
    added: dict[tuple[str, str], Column] = {}
    for recipe in recipes().values():
        for one in recipe.columns.get(kind, ()):
            # What two recipes show alike stands once: a run of either fills it.
            added.setdefault(
                (one.name, one.path), _column(one.name, one.path, one.type, wide=one.wide, about=one.about)
            )
    return [*COLUMNS[kind], *added.values()]
