"""The page of the architecture names what is there: every path, and every room of its plans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
PACKAGES = {
    path.name: path
    for part in ("crds", "kube", "operator", "workloads", "quickstart", "localcluster", "charts")
    for path in (ROOT / part).glob("fabula_*")
}
BELOW = (ROOT, *(one.parent for one in PACKAGES.values()), *PACKAGES.values(), PACKAGES["fabula_operator"] / "plan")
"""Where a path of the page may begin."""
COUNTS = set(
    re.findall(r"`([^`]+)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")))
)
"""What stages count, from the table of it."""
OTHERS = {"judge/NAME", "k8s.io/apiextensions-apiserver"}
PATH = re.compile(r"[\w.-]+(/[\w.<>-]+)+/?|\w+\.py")
PLAN = re.compile(r"^The plan of `([\w.]+)`.*[:.]\n\n((?: {4}.*\n)+)", re.MULTILINE)


def named() -> Iterator[str]:
    """Paths in code spans; what is no part of the sources is none: folders of the store, of pods and of the home."""
    for span in re.findall(r"`([^`\n]+)`", PAGE):
        if PATH.fullmatch(span) and not span.startswith((".", "_")) and span not in COUNTS | OTHERS:
            yield span


def is_there(path: str) -> bool:
    path = path.replace("<name>", "podcast").replace("<kind>", "eval_run").rstrip("/")
    module = path.rpartition(".")[0] + ".py"  # `runtime/outcomes.Outcome`
    return any((folder / one).exists() for folder in BELOW for one in (path, module))


def test_every_path_is_there() -> None:
    paths = [path for path in named() if "/" in path or path.endswith(".py")]
    assert len(paths) > 15
    assert [path for path in paths if not is_there(path)] == []


def test_every_room_of_a_plan_is_there_and_every_room_stands_in_it() -> None:
    plans = PLAN.findall(PAGE)
    assert [package for package, _ in plans] == [
        "fabula_workloads", "fabula_operator", "fabula_operator.plan", "fabula_api", "fabula_local",
    ]  # fmt: skip
    for package, plan in plans:
        head, *below = package.split(".")
        folder = PACKAGES[head].joinpath(*below)
        rooms = {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
        words = set(re.findall(r"[a-z_0-9]+", plan))
        assert rooms - words == set(), f"{package} has rooms that its plan does not show"
        first = {name for line in plan.splitlines() for name in re.split(r", ", re.split(r"\s{2,}", line.strip())[0])}
        known = rooms | {path.stem for path in folder.glob("*.py")}
        assert {name.partition(" ")[0] for name in first} - known == set(), f"{package} has no such rooms"
