"""`fabula demo`: the quickstart from nothing to an evaluated model, through kubectl, on a laptop or a named cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from fabula_api.recipes import Kind
from fabula_cli import laptop
from fabula_cli.choice import choose
from fabula_cli.cluster import connect
from fabula_cli.display import Display, PlainDisplay, display, figures, shown
from fabula_cli.home import Home, checkout
from fabula_cli.kubectl import kubectl
from fabula_cli.runs import Run, read, score_table

KINDS: tuple[Kind, ...] = ("DatasetBuild", "FineTuneRun", "EvalRun")
FOLDERS = {
    "quickstart": "quickstart",
    "audio-description": "audio-description/tiny",
    "visual-instruction": "visual-instruction/tiny",
}
"""Folders of the examples that can be demonstrated; each has a run of every kind, called as the example is."""
_LOOK_SECONDS = 0.5


class DemoFailed(Exception):
    """The demonstration could not be run; the message says what to do."""


def example_folder(example: str) -> Path:
    """Its folder in the checkout. Raises DemoFailed when the package was installed without it."""
    if example not in FOLDERS:
        raise DemoFailed(f"there is no example {example} to demonstrate; there are {', '.join(FOLDERS)}")
    root = checkout()
    if root is None:
        raise DemoFailed(
            f"examples/{FOLDERS[example]} is not here: run the demonstration from a clone of the repository"
        )
    return root / "examples" / FOLDERS[example]


def prepare_input(artifact_root: str, tell: PlainDisplay, example: str = "quickstart") -> None:
    """Put the example's data and tiny models below the artifact root; quick when they are there."""
    what = "transcripts, pictures, tiny models" if example == "quickstart" else "data and a tiny model"
    tell.tell(f"preparing the input of {example}: {what}")
    command = [sys.executable, "-m", "fabula_quickstart", "--root", artifact_root, "--example", example]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        raise DemoFailed(f"preparing the input of {example} failed with exit code {done.returncode}; see above")


def follow(home: Home, namespace: str, show: Display, minutes: float, example: str = "quickstart") -> list[Run]:
    """Watch until every run has finished, starting again what died. Raises DemoFailed after `minutes`."""
    deadline = time.monotonic() + minutes * 60
    runs: list[Run] = []
    while time.monotonic() < deadline:
        if not home.supervised():
            show.tell("the laptop cluster's supervisor is gone; starting it again")
            laptop.start(home, tell=show.tell)
        try:
            client = connect(home.kubeconfig)
            found = [read(client, kind, example, namespace) for kind in KINDS]
        except Exception as error:
            show.tell(f"waiting for the API server ({type(error).__name__})")
            time.sleep(2)
            continue
        runs = [
            run if run is not None else Run(kind, example, {"state": "Pending", "reason": "NotFound"})
            for run, kind in zip(found, KINDS, strict=True)
        ]
        show.show(runs)
        if all(run.finished for run in runs) or any(run.state == "Failed" for run in runs):
            return runs
        time.sleep(_LOOK_SECONDS)
    raise DemoFailed(f"not finished after {minutes:g} minutes; `kubectl get dsb,ftr,evr` tells where it stands")


def run_demo(
    home: Home,
    console: Console,
    *,
    outside: Path | None,
    namespace: str,
    minutes: float,
    stays_up: bool = True,
    example: str = "quickstart",
) -> int:
    """A whole example. Returns 0 when all three runs succeeded and the fine-tuned arm passed its gates."""
    began = time.monotonic()
    plain = PlainDisplay(console)
    folder = example_folder(example)
    laptop.start(home, choice=choose(home, None, outside), tell=plain.tell)
    prepare_input(str(home.read_state()["artifactRoot"]), plain, example)
    plain.tell(f"kubectl apply -f {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    applied = kubectl(home.kubeconfig, "apply", "-n", namespace, "-f", str(folder))
    for line in applied.stdout.splitlines():
        plain.tell(f"  {line}")
    if applied.returncode != 0:
        raise DemoFailed(f"kubectl apply failed:\n{applied.stderr.strip()}")
    with display(console) as show:
        runs = follow(home, namespace, show, minutes, example)
    return conclude(runs, console, time.monotonic() - began, stays_up=stays_up)


def conclude(runs: list[Run], console: Console, seconds: float, *, stays_up: bool) -> int:
    """Print how it ended and where things are; the exit code."""
    failed = [run for run in runs if run.state == "Failed"]
    for run in failed:
        for line in run.failure():
            console.print(shown(line, "red"), highlight=False)
    if failed:
        return 1
    dataset, training, evaluation = runs
    console.print()
    console.print(figures(score_table(evaluation), "Base model against fine-tuned model (mean, 95 % interval)"))
    metrics = training.status.get("metrics") or {}
    if "firstLoss" in metrics and "loss" in metrics:
        console.print(f"training loss {metrics['firstLoss']:.3f} -> {metrics['loss']:.3f}", highlight=False)
    for label, run, file in (
        ("dataset", dataset, ""),
        ("adapter", training, ""),
        ("report", evaluation, "report.html"),
    ):
        where = "/".join(part for part in (run.artifact() or "-", file) if part)
        console.print(shown(f"{label:8} {where}"), highlight=False, soft_wrap=True)
    conditions: list[dict[str, str]] = evaluation.status.get("conditions") or []
    gates = next((c for c in conditions if c.get("type") == "GatesPassed"), {})
    console.print(shown(f"gates    {gates.get('reason', '-')}: {gates.get('message', '')}"), highlight=False)
    console.print(f"\nDone in {seconds:.0f} s.", highlight=False)
    if stays_up:
        words = 'The cluster is still up: `eval "$(fabula env)"`, then kubectl; `fabula down` ends it.'
        console.print(words, markup=False, highlight=False)
    return 0 if gates.get("status") == "True" else 1
