"""`fabula demo`: the quickstart from nothing to an evaluated model, through kubectl, on a laptop or a named cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

from fabula_api.base import GROUP
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.recipes import API_KINDS, Kind
from fabula_cli import laptop
from fabula_cli.choice import choose
from fabula_cli.cluster import connect, kubectl
from fabula_cli.display import Figures, shown
from fabula_cli.following import Display, PlainDisplay, display
from fabula_cli.home import Home, checkout
from fabula_cli.runs import artifact_uri, condition, failure, finished, hopeless, read, score_table, standing, title
from fabula_operator.plan.seen.observed import Run
from fabula_operator.plan.stages.references import named_runs

FOLDERS = {
    "quickstart": "quickstart",
    "audio-description": "audio-description/tiny",
    "visual-instruction": "visual-instruction/tiny",
}
"""Folders of the examples that can be demonstrated; each has runs of every kind."""
_LOOK_SECONDS = 0.5
_CALLED: dict[Kind, str] = {"DatasetBuild": "dataset", "EvalRun": "report"}
"""What a run of a kind makes; a FineTuneRun makes an adapter or a model."""
Named = tuple[Kind, str]
"""A run by kind and name."""


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


def applied(said: str) -> list[Named]:
    """The runs that kubectl says it has applied, a line each: `finetunerun.fabula.dev/stories created`."""
    kinds: dict[str, Kind] = {kind.lower(): kind for kind in API_KINDS}
    matches = re.findall(rf"^([a-z]+)\.{re.escape(GROUP)}/(\S+) ", said, re.MULTILINE)
    return [(kinds[word], name) for word, name in matches if word in kinds]


def with_needed(wanted: Iterable[Named], look: Callable[[Kind, str], Run]) -> list[Run]:
    """The runs, with those that they name and those that these name; what is needed stands before what needs it."""
    ordered: dict[Named, Run | None] = {}

    def add(run_name: Named) -> None:
        if run_name not in ordered:
            ordered[run_name] = None  # a circle of names ends here
            run = look(*run_name)
            for needed in sorted(named_runs(run.identity.kind, dict(run.spec))):
                add(needed)
            del ordered[run_name]
            ordered[run_name] = run

    for run_name in wanted:
        add(run_name)
    return [run for run in ordered.values() if run is not None]


def follow(home: Home, namespace: str, show: Display, minutes: float, wanted: Iterable[Named]) -> list[Run]:
    """Watch until every run has finished, or one has failed or stands still for good, starting again what died.
    Raises DemoFailed after `minutes`."""
    deadline, wanted = time.monotonic() + minutes * 60, list(wanted)
    runs: list[Run] = []
    while time.monotonic() < deadline:
        if not home.supervised():
            show.tell("the laptop cluster's supervisor is gone; starting it again")
            laptop.start(home, tell=show.tell)
        try:
            client = connect(home.kubeconfig)
            runs = with_needed(wanted, lambda kind, name: read(client, kind, name, namespace))  # noqa: B023
        except Exception as error:
            show.tell(f"waiting for the API server ({type(error).__name__})")
            time.sleep(2)
            continue
        show.show(runs)
        if all(map(finished, runs)) or any(map(hopeless, runs)):
            return runs
        time.sleep(_LOOK_SECONDS)
    left = "".join(f"\n  {standing(run)}" for run in runs if not finished(run))
    raise DemoFailed(f"not finished after {minutes:g} minutes; --minutes gives it more. What is left:{left}")


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
    """A whole example. Returns 0 when all its runs succeeded and the fine-tuned arm passed its gates."""
    began = time.monotonic()
    plain = PlainDisplay(console)
    folder = example_folder(example)
    laptop.start(home, choice=choose(home, None, outside), tell=plain.tell)
    prepare_input(str(home.read_state()["artifactRoot"]), plain, example)
    plain.tell(f"kubectl apply -f {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    applying = kubectl(home.kubeconfig, "apply", "-n", namespace, "-f", str(folder))
    for line in applying.stdout.splitlines():
        plain.tell(f"  {line}")
    if applying.returncode != 0:
        raise DemoFailed(f"kubectl apply failed:\n{applying.stderr.strip()}")
    with display(console, plain) as show:
        runs = follow(home, namespace, show, minutes, applied(applying.stdout))
    return conclude(runs, console, time.monotonic() - began, stays_up=stays_up)


def activation() -> str:
    """What to run before `fabula` is a command, such as after `make demo`; empty where it is one."""
    if shutil.which("fabula"):
        return ""
    home, here = Path(sys.prefix), Path.cwd()
    return f"`source {home.relative_to(here) if home.is_relative_to(here) else home}/bin/activate`, "


def made(runs: list[Run]) -> list[tuple[str, str]]:
    """What each run made, and its place: (`adapter`, URI), with the run's name where several made such a thing."""
    called = [_called(run) for run in runs]
    labels = [
        f"{what} of {run.identity.name}" if called.count(what) > 1 else what
        for what, run in zip(called, runs, strict=True)
    ]
    ends = ["/report.html" if run.identity.kind == "EvalRun" else "" for run in runs]
    return [(label, (artifact_uri(run) or "-") + end) for label, run, end in zip(labels, runs, ends, strict=True)]


def _called(run: Run) -> str:
    if isinstance(run.status, FineTuneRunStatus):
        return "model" if run.status.model else "adapter"
    return _CALLED[run.identity.kind]


def conclude(runs: list[Run], console: Console, seconds: float, *, stays_up: bool) -> int:
    """Print how it ended and where things are; the exit code."""
    lost = [run for run in runs if hopeless(run)]
    for run in lost:
        for line in failure(run):
            console.print(shown(line, "red"), highlight=False)
    if lost:
        for run in runs:
            if not finished(run) and not hopeless(run):
                console.print(shown(standing(run)), highlight=False)
        failed = " ".join(title(run) for run in lost if run.status.state == "Failed")
        again = f", `fabula retry {failed}`" if failed else ""
        words = f"`fabula status` and `fabula logs RUN` tell more. Mend it{again}, and `fabula demo` goes on from here."
        console.print(shown(words), highlight=False)
        return 1
    (evaluation,) = [run for run in runs if run.identity.kind == "EvalRun"]
    console.print()
    console.print(Figures(score_table(evaluation), "Base model against fine-tuned model (mean, 95 % interval)"))
    trainings = [(run.identity.name, run.status) for run in runs if isinstance(run.status, FineTuneRunStatus)]
    for name, status in trainings:
        metrics = status.metrics
        if metrics is not None and metrics.first_loss is not None and metrics.loss is not None:
            whose = f" of {name}" if len(trainings) > 1 else ""
            losses = f"training loss{whose} {metrics.first_loss:.3f} -> {metrics.loss:.3f}"
            console.print(shown(losses), highlight=False)
    gates = condition(evaluation.status, "GatesPassed")
    places = [*made(runs), ("gates", f"{gates.reason}: {gates.message}" if gates else "-: ")]
    width = max(len(label) for label, _ in places)
    for label, where in places:
        console.print(shown(f"{label:{width}}  {where}"), highlight=False, soft_wrap=True)
    console.print(f"\nDone in {seconds:.0f} s.", highlight=False)
    if stays_up:
        words = f'The cluster is still up: {activation()}`eval "$(fabula env)"`, then kubectl; `fabula down` ends it.'
        console.print(words, markup=False, highlight=False)
    return 0 if gates is not None and gates.status == "True" else 1
