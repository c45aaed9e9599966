"""Which scenes `illustrate` draws: those of the samples that the target needs, in the samples' order, and no others.

A sample is complete when it has the pictures that `podcast.images.require` asks for. The samples up to the target are
drawn at once; one beyond it only when it is certain that some before it will have too few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_workloads.painting.scene import Scene
from fabula_workloads.recipes.podcast.dataset.candidates import required_pictures
from fabula_workloads.recipes.podcast.illustration.outcome import PictureOutcome
from fabula_workloads.runtime.frontier import Frontier
from fabula_workloads.runtime.outcomes import Outcomes


@dataclass
class _Sample:
    required: int
    open: set[str]
    """Keys of the scenes without an outcome."""
    drawn: int = 0

    def complete(self) -> int | None:
        """1 for a sample that has its pictures, 0 for one that will not get them; None while it is open."""
        if self.drawn >= self.required:
            return 1
        return 0 if self.drawn + len(self.open) < self.required else None


class WantedScenes:
    """Tells of each scene whether it is needed. Without a target all are. Safe for many threads."""

    def __init__(
        self,
        samples: Iterable[Iterable[str]],
        spec: PodcastBuildSpec,
        ledger: Outcomes[PictureOutcome],
        stopping: threading.Event,
        heartbeat: Callable[[], None],
    ) -> None:
        """`samples`: the keys of each one's scenes, in the order in which the dataset takes them."""
        self._ledger, self._retry = ledger, spec.retry_failed
        self._lock = threading.Lock()
        required = required_pictures(spec, illustrated=True)
        self._samples = [_Sample(required, set(keys)) for keys in samples]
        self._place = {key: number for number, sample in enumerate(self._samples) for key in sample.open}
        wanted = spec.target.samples
        self._frontier = None if wanted is None else Frontier(wanted, 1, self._ended, stopping, heartbeat)

    def among(self, scenes: Iterable[Scene]) -> list[Scene]:
        """Those of the scenes that may be needed, in the order in which they are."""
        possible = (scene for scene in scenes if scene.key in self._place)
        return sorted(possible, key=lambda scene: (self._place[scene.key], scene.key))

    def admit(self, scene: Scene, wait: bool = True) -> bool:
        """Whether to draw it; waits until that is certain. False as well when told to stop. See `Frontier.admit`."""
        number = self._place[scene.key]
        return self._frontier is None or self._frontier.admit(number, _unit(number), wait)

    def enough(self, scene: Scene) -> bool:
        """Whether the samples before its own are known to make the target."""
        return self._frontier is not None and self._frontier.enough(_unit(self._place[scene.key]))

    def ended(self, key: str, outcome: PictureOutcome) -> None:
        """A scene that was admitted, or that was found in the ledger, has this outcome."""
        if self._frontier is not None and key in self._place:
            number = self._place[key]
            self._frontier.ended(_unit(number), self._note(key, outcome))

    def close(self) -> None:
        """Admit nothing more."""
        if self._frontier is not None:
            self._frontier.close()

    def _note(self, key: str, outcome: PictureOutcome) -> int | None:
        sample = self._samples[self._place[key]]
        with self._lock:
            if key in sample.open and outcome.is_finished(self._retry):
                sample.open.remove(key)
                sample.drawn += outcome.ok
            return sample.complete()

    def _ended(self, known: frozenset[str]) -> dict[str, int]:
        """Samples that have ended by now, whoever drew them, but for the known ones."""
        open_scenes = {key for key in self._ledger.ids() if key in self._place and self._is_open(key)}
        for key, outcome in self._ledger.items(open_scenes):
            self._note(key, outcome)
        with self._lock:
            states = ((_unit(number), sample.complete()) for number, sample in enumerate(self._samples))
            return {unit: state for unit, state in states if state is not None and unit not in known}

    def _is_open(self, key: str) -> bool:
        return key in self._samples[self._place[key]].open


def _unit(number: int) -> str:
    return f"{number:08}"
