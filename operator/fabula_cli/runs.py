"""Reading runs for the terminal: one plain line for what a run is doing, one table for how an evaluation ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fabula_api.base import GROUP, VERSION
from fabula_api.recipes import API_KINDS, Kind
from fabula_cli.cluster import connect
from fabula_kube.blocking import Client
from fabula_kube.errors import ApiError
from fabula_kube.resource import Resource

RESOURCES = {kind: Resource(GROUP, VERSION, kind, definition.plural) for kind, definition in API_KINDS.items()}


@dataclass(frozen=True, slots=True)
class Run:
    """One custom resource as the terminal shows it."""

    kind: Kind
    name: str
    status: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)
    generation: int = 0

    @property
    def state(self) -> str:
        return str(self.status.get("state") or "Pending")

    @property
    def finished(self) -> bool:
        return self.condition("Finished").get("status") == "True"

    @property
    def over(self) -> bool:
        """Whether it has finished with the spec that it has now: an edited one begins anew."""
        return self.finished and self._looked_at

    @property
    def hopeless(self) -> bool:
        """Whether it has failed, or waits for what somebody has to mend: time alone will not end it."""
        stalled = self.condition("Stalled").get("status") == "True"
        return self._looked_at and (self.state == "Failed" or stalled)

    @property
    def _looked_at(self) -> bool:
        return int(self.status.get("observedGeneration") or 0) >= self.generation

    def condition(self, type_: str) -> dict[str, str]:
        """The condition of that type; empty where there is none."""
        conditions: list[dict[str, str]] = self.status.get("conditions") or []
        return next((condition for condition in conditions if condition.get("type") == type_), {})

    def standing(self) -> str:
        """Why it is not at its end, in a line."""
        told = self.condition("Stalled" if self.condition("Stalled").get("status") == "True" else "Running")
        words = told.get("message") or self.status.get("reason") or "the operator has not looked at it yet"
        return f"{self.kind}/{self.name} is {self.state}: {words}"

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
        for made in ("artifact", "adapter", "model", "report"):
            if artifact := self.status.get(made):
                return str(artifact.get("uri"))
        return None

    def failure(self) -> list[str]:
        """Why it failed, with the last lines of the log; or what keeps it from going on."""
        if self.state != "Failed":
            return [self.standing()]
        digest = self.status.get("failure") or {}
        head = f"{self.kind}/{self.name} failed: {digest.get('reason') or self.status.get('reason')}"
        where = [f"{key} {digest[key]}" for key in ("stage", "shard", "rank", "exitCode", "exception") if key in digest]
        if where:
            head += f" ({', '.join(where)})"
        lines = [head]
        if message := digest.get("message") or self.condition("Failed").get("message"):
            lines.append(f"  {message}")
        return lines + [f"  | {line}" for line in digest.get("logTail", ())]


def read(client: Client, kind: Kind, name: str, namespace: str) -> Run | None:
    """The run, or None when there is no such object."""
    try:
        obj = client.get(RESOURCES[kind], namespace, name)
    except ApiError as error:
        if error.not_found:
            return None
        raise
    status, spec = dict(obj.get("status") or {}), dict(obj.get("spec") or {})
    return Run(kind, name, status, spec, int(obj["metadata"].get("generation") or 0))


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
