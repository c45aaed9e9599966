"""Reading runs for the terminal: one plain line for what a run is doing, one table for how an evaluation ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabula_api.base import GROUP, VERSION
from fabula_api.recipes import API_KINDS, Kind
from fabula_cli.cluster import connect
from fabula_kube.blocking import Client
from fabula_kube.errors import ApiError
from fabula_kube.resource import Resource

RESOURCES = {kind: Resource(GROUP, VERSION, kind, one.plural) for kind, one in API_KINDS.items()}


@dataclass(frozen=True, slots=True)
class Run:
    """One custom resource as the terminal shows it."""

    kind: Kind
    name: str
    status: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.status.get("state") or "Pending")

    @property
    def finished(self) -> bool:
        return any(
            condition.get("type") == "Finished" and condition.get("status") == "True"
            for condition in self.status.get("conditions", ())
        )

    def line(self) -> str:
        """State, progress, loss or score, and time left: what changed since the last look shows here."""
        progress = self.status.get("progress") or {}
        cells = [f"{self.kind}/{self.name}", self.state]
        if self.state == "Succeeded":
            cells.append(self.artifact() or "")
        elif self.state == "Failed" or (self.state == "Pending" and not progress.get("summary")):
            cells.append(str(self.status.get("reason") or ""))
        else:
            cells.append(str(progress.get("summary") or self.status.get("reason") or ""))
        metrics = self.status.get("metrics") or {}
        if isinstance(metrics, dict) and metrics.get("loss") is not None:
            cells.append(f"loss {metrics['loss']:.3f}")
        if score := self.status.get("score"):
            cells.append(str(score))
        if (eta := progress.get("eta")) and not self.finished:
            cells.append(f"{eta} left")
        return "  ".join(cell for cell in cells if cell)

    def artifact(self) -> str | None:
        """URI of what the run made."""
        for field in ("artifact", "adapter", "model", "report"):
            if found := self.status.get(field):
                return str(found.get("uri"))
        return None

    def failure(self) -> list[str]:
        """Why it failed, with the last lines of the log."""
        digest = self.status.get("failure") or {}
        head = f"{self.kind}/{self.name} failed: {digest.get('reason') or self.status.get('reason')}"
        where = [f"{key} {digest[key]}" for key in ("stage", "shard", "rank", "exitCode", "exception") if key in digest]
        if where:
            head += f" ({', '.join(where)})"
        lines = [head]
        if message := digest.get("message"):
            lines.append(f"  {message}")
        return lines + [f"  | {line}" for line in digest.get("logTail", ())]


def read(client: Client, kind: Kind, name: str, namespace: str) -> Run | None:
    """The run, or None when there is no such object."""
    try:
        found = client.get(RESOURCES[kind], namespace, name)
    except ApiError as error:
        if error.not_found:
            return None
        raise
    return Run(kind, name, dict(found.get("status") or {}))


def read_all(kubeconfig: Path) -> list[Run]:
    """Every run of every kind in all namespaces."""
    client = connect(kubeconfig)
    return [
        Run(kind, f"{item['metadata']['namespace']}/{item['metadata']['name']}", dict(item.get("status") or {}))
        for kind, resource in RESOURCES.items()
        for item in client.list(resource, None)
    ]


def score_table(run: Run) -> list[list[str]]:
    """Rows of the arms' table: a header, then one row for each metric, `-` where there is no figure."""
    arms = run.status.get("arms") or []
    header = ["metric", *(str(arm["name"]) for arm in arms)]
    names: list[str] = []
    for arm in arms:
        names += [metric["name"] for metric in arm.get("metrics", ()) if metric["name"] not in names]
    rows = [header, ["answers", *(str(arm.get("done", 0)) for arm in arms)]]
    rows.append(["unparseable", *(str(arm.get("unparseable", 0)) for arm in arms)])
    labels = {m["name"]: m["label"] for arm in arms for m in arm.get("metrics", ()) if m.get("label")}
    for name in names:
        row = [f"{name} ({labels[name]})" if name in labels else name]
        for arm in arms:
            figures = {metric["name"]: metric for metric in arm.get("metrics", ())}.get(name, {})
            mean, low, high = (figures.get(key) for key in ("mean", "low", "high"))
            interval = f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else ""
            row.append("-" if mean is None else f"{mean:.4g}{interval}")
        rows.append(row)
    return rows
