"""The chart's dashboards against a Prometheus: which panels show nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.prometheus import Prometheus

BOARDS = Path(__file__).parents[2] / "charts" / "fabula" / "files" / "dashboards"
OF_PROVIDERS = {"Calls to providers", "Tokens", "Calls turned away", "Time until an answer", "Quota held"}
OF_GPUS = {"Model FLOPs utilisation"}
OF_JUDGES = {"Won before a judge", "Judges trusted"}
OF_MONEY = {"Dollars and budget"}
ELSEWHERE = OF_GPUS | OF_PROVIDERS | OF_JUDGES | OF_MONEY
"""What a demonstration on CPUs, which pays for nothing, cannot show; tests/integration/test_alerts_fire.py does."""
_FOREIGN = re.compile(r"\b(DCGM_FI_|kueue_)")
"""Series of somebody else's exporter."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One query of a panel, as Grafana sends it where everything is chosen."""

    board: str
    title: str
    query: str
    instant: bool


def panels() -> Iterator[Shown]:
    """Every query of the generated dashboards but those of others' exporters."""
    for file in sorted(BOARDS.glob("*.json")):
        board = json.loads(file.read_text())
        names = [variable["name"] for variable in board["templating"]["list"]]
        for panel in _flat(board["panels"]):
            for target in panel.get("targets", ()):
                if not _FOREIGN.search(target["expr"]):
                    query = re.sub(rf"\$({'|'.join(names)})\b", ".*", target["expr"])
                    assert "$" not in query, query
                    yield Shown(board["title"], panel["title"], query, bool(target.get("instant")))


def empty(prometheus: Prometheus, start: float) -> set[str]:
    """Titles of the panels that show no number: now, or, of a panel with lines, at no time since `start`."""
    titles = set()
    for panel in panels():
        if not (prometheus.now(panel.query) if panel.instant else prometheus.since(start, panel.query)):
            titles.add(panel.title)
    return titles


def _flat(panels: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for panel in panels:
        yield panel
        yield from _flat(panel.get("panels") or [])  # type: ignore[arg-type]
