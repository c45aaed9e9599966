"""kill -9 of one process of a training attempt at a named moment, and the proof from what it left that it was that one.

Moments are seen from outside, in the files of the attempt's scratch folder and of its artifact; no code of the product
knows of them. A kill that came too late or too early is no proof, and is tried again on the next attempt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.patience import until
from tests.support.training_processes import Process, send, training

MANIFEST = "manifest.json"
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "loss.jsonl", "ds_config.json")
JUNK_FILES = 4000
"""Put into a checkpoint that is about to be removed, so that its removal takes long enough to be interrupted."""
Victim = Literal["launcher", "agent", "rank 0", "rank 1"]


@dataclass
class Scene:
    """An attempt at work, as it is seen on disk."""

    launcher: Process
    work: Path
    parts: int
    """Files of a whole checkpoint."""
    every: int
    keep: int
    planted: Path | None = None
    """The checkpoint whose removal is awaited."""
    seen_before: set[str] = field(default_factory=set)

    @property
    def output(self) -> Path:
        return self.launcher.output

    def events(self) -> list[dict[str, object]]:
        """What the ranks have told the launcher so far."""
        try:
            text = (self.work / "events.jsonl").read_text()
        except OSError:
            return []
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def steps(self) -> list[int]:
        """Steps that the attempt has made."""
        return sorted({int(event["metrics"]["step"]) for event in self.events() if event["event"] == "step"})  # type: ignore[index]

    def manifests(self) -> set[str]:
        """Committed checkpoints."""
        return {path.parent.name for path in (self.output / "checkpoints").glob(f"step-*/{MANIFEST}")}

    def stored(self) -> dict[str, int]:
        """Files of this attempt by checkpoint that is not committed."""
        stored: dict[str, int] = {}
        for folder in (self.output / "checkpoints").glob("step-*"):
            files = [path for path in folder.glob(f"attempt-{self.launcher.attempt}-*/**/*") if path.is_file()]
            whole = [path for path in files if not path.name.endswith(".fabula-tmp")]
            if whole and not (folder / MANIFEST).exists():
                stored[folder.name] = len(whole)
        return stored

    def local(self) -> set[str]:
        """Checkpoints that the ranks have written to the scratch folder, by the name they get in the store."""
        written = self.work.glob("saved/checkpoint-*/trainer_state.json")
        return {f"step-{int(path.parent.name.rpartition('-')[2]):06d}" for path in written}

    def adapter(self) -> int:
        """Files of the final adapter that are stored."""
        return sum((self.output / name).exists() for name in _ADAPTER)

    def plant(self) -> bool:
        """Make the removal of the oldest checkpoint slow, while none is under way; whether that is done."""
        names = sorted(self.manifests())
        if self.planted is None and names and (len(names) < self.keep or not self.events()):
            self.planted = self.output / "checkpoints" / names[0]
            for number in range(JUNK_FILES):
                (self.planted / f"planted-{number:05d}").touch()
        return self.planted is not None


@dataclass(frozen=True)
class Moment:
    """When to kill whom, and what the dead must have left."""

    name: str
    victim: Victim
    now: Callable[[Scene], bool]
    left: Callable[[Scene], bool]


def _last(scene: Scene, kind: str) -> int:
    steps = [event["metrics"]["step"] for event in scene.events() if event["event"] == kind]  # type: ignore[index]
    return int(steps[-1]) if steps else 0


def _loading(scene: Scene) -> bool:
    ranks = [process for process in training(*_run(scene)) if process.role == "rank"]
    return len(ranks) == 2 and all(_resident_mib(process.pid) > 250 for process in ranks)


def _run(scene: Scene) -> tuple[Path, str, str]:
    run = scene.launcher.config["run"]
    return scene.launcher.root, run["namespace"], run["name"]


def _resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def _evaluating(scene: Scene) -> bool:
    step = _last(scene, "step")
    return step > 0 and step % scene.every == 0 and f"step-{step:06d}" not in scene.local() | scene.manifests()


def _pruning(scene: Scene) -> bool:
    return scene.plant() and scene.planted is not None and not (scene.planted / MANIFEST).exists()


MOMENTS: dict[str, Moment] = {
    moment.name: moment
    for moment in (
        Moment("model load", "rank 1", _loading, lambda scene: not scene.events()),
        Moment(
            "mid-step",
            "rank 1",
            lambda scene: _last(scene, "step") % scene.every == 1,
            lambda scene: not scene.stored(),
        ),
        Moment(
            "evaluation",
            "rank 0",
            _evaluating,
            lambda scene: f"step-{_last(scene, 'step'):06d}" not in scene.manifests(),
        ),
        Moment(
            "checkpoint local, not uploaded",
            "launcher",
            lambda scene: bool(scene.local() - scene.manifests()),
            lambda scene: bool(scene.local() - scene.manifests()) and not scene.stored(),
        ),
        Moment(
            "half its parts uploaded",
            "launcher",
            lambda scene: any(0 < count < scene.parts for count in scene.stored().values()),
            lambda scene: any(0 < count < scene.parts for count in scene.stored().values()),
        ),
        Moment(
            "all parts, no manifest",
            "launcher",
            lambda scene: any(count >= scene.parts for count in scene.stored().values()),
            lambda scene: any(count >= scene.parts for count in scene.stored().values()),
        ),
        Moment(
            "manifest just committed",
            "launcher",
            lambda scene: bool(scene.manifests() - scene.seen_before),
            lambda scene: bool(scene.manifests() - scene.seen_before) and not (scene.output / MANIFEST).exists(),
        ),
        Moment(
            "pruning",
            "launcher",
            _pruning,
            lambda scene: scene.planted is not None and any(scene.planted.glob("planted-*")),
        ),
        Moment(
            "parts of the final adapter",
            "launcher",
            lambda scene: scene.adapter() > 0,
            lambda scene: scene.adapter() > 0 and not (scene.output / MANIFEST).exists(),
        ),
        Moment(
            "before the termination message",
            "launcher",
            lambda scene: (scene.output / MANIFEST).exists(),
            lambda scene: (scene.output / MANIFEST).exists(),
        ),
    )
}  # fmt: skip


class Missed(Exception):
    """The attempt ended before the moment was seen, or what the kill left shows another one."""


def attempt_after(root: Path, namespace: str, name: str, former: int) -> tuple[Process, Path]:
    """The launcher of the next attempt, and its scratch folder, once it has one. No process of a former one is left."""

    def look() -> tuple[Process, Path] | None:
        processes = list(training(root, namespace, name))
        attempts = {process.attempt for process in processes}
        assert len(attempts) <= 1, f"two attempts are alive at once: {processes}"
        launchers = (process for process in processes if process.role == "launcher")
        launcher = next((process for process in launchers if process.attempt > former), None)
        job = next((process.job for process in processes if process.job is not None), None)
        return None if launcher is None or job is None else (launcher, job.parent)

    return until(look, f"an attempt after {former}", 0.1)


def strike(moment: Moment, scene: Scene) -> None:
    """Wait for the moment and kill; returns when every process of the attempt is gone. Raises Missed."""
    scene.seen_before = scene.manifests()
    family = Path(f"/proc/{scene.launcher.pid}")

    def come() -> bool:
        if moment.now(scene):
            return True
        if not family.exists():
            raise Missed(f"attempt {scene.launcher.attempt} ended before: {moment.name}")
        return False

    until(come, moment.name, 0.002)
    victims = [scene.launcher]
    if moment.victim != "launcher":
        victims = [process for process in training(*_run(scene)) if _named(process) == moment.victim]
    if not send(victims):
        raise Missed(f"nobody was left to kill: {moment.name}")
    until(
        lambda: all(process.attempt != scene.launcher.attempt for process in training(*_run(scene))),
        "the end of every process of a killed attempt",
    )
    if not moment.left(scene):
        raise Missed(f"what is left is not of: {moment.name}")


def _named(process: Process) -> str:
    return process.role if process.rank is None else f"rank {process.rank}"
