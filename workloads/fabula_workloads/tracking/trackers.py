"""Figures to MLflow, Weights & Biases or TensorBoard, turned on by the variables that their own clients read.

They are told from threads of their own: a tracker that is slow, down or gone holds up no step and fails no run. A
restarted attempt goes on in the same run of the tracker, which is found by the resource's uid.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from fabula_workloads.runtime.failures import ConfigInvalid, Overtaken, TryAgain
from fabula_workloads.runtime.trimmed_setting import trimmed_setting
from fabula_workloads.tracking import clients
from fabula_workloads.tracking.tracker import About, Outcome, Tracker

_log = logging.getLogger("fabula.tracking")
_KEPT_STEPS = 10_000
_RETRY_SECONDS, _CLOSE_SECONDS = 30.0, 30.0
_SETTINGS = ("MLFLOW_", "WANDB_", "TENSORBOARD_")
_NO_METRICS = frozenset({"step", "steps"})


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of tracker."""

    title: str
    variables: tuple[str, ...]
    """Any of them turns it on."""
    module: str
    requirement: str
    open: Callable[[About, Mapping[str, str]], Tracker]


class Trackers:
    """All trackers that the environment asks for. `log` and `close` never raise."""

    def __init__(self, feeds: list[_Feed]) -> None:
        self._feeds = feeds
        self._last: tuple[int, dict[str, float]] = (-1, {})

    @classmethod
    def from_environment(cls, about: About, environment: Mapping[str, str]) -> Trackers:
        """Start them. Raises ConfigInvalid where a variable asks for one whose package the image lacks."""
        feeds = []
        for name in [name for name in environment if name.startswith(_SETTINGS)]:
            # Clients read the process's own variables, and take a line break at a Secret's end for part of a key.
            trimmed_setting(name)
        for service in services():
            asked = next((name for name in service.variables if environment.get(name, "").strip()), None)
            if asked is None:
                continue
            if importlib.util.find_spec(service.module) is None:
                raise ConfigInvalid(
                    f"{asked} is set, but the image has no package {service.module} to report to {service.title} with; "
                    f"add {service.requirement} to the image (Fabula's extra `track` holds it), or unset {asked}"
                )
            _log.info("metrics also go to %s (%s is set)", service.title, asked)
            family = asked.partition("_")[0]
            given = sorted(name for name, value in environment.items() if value and name.startswith(f"{family}_"))
            feeds.append(_Feed(service.title, service.open(about, environment), given))
        return cls(feeds)

    def log(self, metrics: Mapping[str, float]) -> None:
        """Tell the figures of a step; of a step that was told already, only what is new."""
        if not self._feeds:
            return
        step = int(metrics["step"])
        figures = {key: value for key, value in metrics.items() if key not in _NO_METRICS and math.isfinite(value)}
        former = self._last[1] if self._last[0] == step else {}
        new = {key: value for key, value in figures.items() if former.get(key) != value}
        if self._last[0] != step:
            # The last validation loss stays among a run's figures; a new one comes once its step has been told.
            new.pop("validationLoss", None)
        self._last = (step, figures)
        if new:
            for feed in self._feeds:
                feed.put(step, new)

    def close(self, outcome: Outcome) -> None:
        """Tell what is still to be told, for half a minute at most."""
        for feed in self._feeds:
            feed.end(outcome)
        since = time.monotonic()
        for feed in self._feeds:
            # All at once: a pod that was told to stop has one grace period, however many trackers are down.
            feed.join(time.monotonic() - since)


@contextmanager
def tracked(about: About, environment: Mapping[str, str]) -> Iterator[Trackers]:
    """The trackers that the environment asks for, of one attempt, which hear how it ended. Raises ConfigInvalid before
    anything is done where one cannot be had."""
    trackers = Trackers.from_environment(about, environment)
    outcome: Outcome = "failed"
    try:
        yield trackers
        outcome = "finished"
    except TryAgain as error:
        outcome = "overtaken" if isinstance(error, Overtaken) else "stopped"
        raise
    finally:
        trackers.close(outcome)


@dataclass
class _Feed:
    """One tracker with its thread and what it has not been told yet."""

    title: str
    tracker: Tracker
    variables: Sequence[str] = ()
    """What its client is set by, to look at where it cannot be told."""
    retry_seconds: float = _RETRY_SECONDS
    close_seconds: float = _CLOSE_SECONDS
    _steps: deque[tuple[int, dict[str, float]]] = field(default_factory=lambda: deque(maxlen=_KEPT_STEPS))
    _outcome: Outcome | None = None
    _changed: threading.Event = field(default_factory=threading.Event)
    _closing: threading.Event = field(default_factory=threading.Event)
    _failing: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"tracker-{self.title}", daemon=True)
        self._thread.start()

    def put(self, step: int, metrics: dict[str, float]) -> None:
        """Have it told; the oldest are dropped where a tracker is away for very long."""
        self._steps.append((step, metrics))
        self._changed.set()

    def end(self, outcome: Outcome) -> None:
        """Nothing more will come."""
        self._outcome = outcome
        self._closing.set()
        self._changed.set()

    def join(self, waited: float = 0.0) -> None:
        """Wait for the rest to be told, within limits, of which so many seconds have passed."""
        self._thread.join(max(0.0, self.close_seconds - waited))
        if self._thread.is_alive() or self._steps:
            _log.warning("%s was not told of %d steps; the artifact has them", self.title, len(self._steps))

    def _run(self) -> None:
        started = self._until_done(self.tracker.start)
        while started:
            self._changed.wait()
            self._changed.clear()
            while self._steps:
                if not self._until_done(partial(self.tracker.log, *self._steps[0])):
                    return
                self._steps.popleft()
            if self._outcome is not None:
                self._until_done(partial(self.tracker.finish, self._outcome))
                return

    def _until_done(self, act: Callable[[], None]) -> bool:
        """Try until it works; False when the run ends first. The error's class is told, since its text may name
        credentials of the address."""
        while True:
            try:
                act()
            except Exception as error:
                if not self._failing:
                    look = f"; look at {', '.join(self.variables)}" if self.variables else ""
                    _log.warning("%s cannot be told (%s); the run goes on%s", self.title, type(error).__name__, look)
                self._failing = True
                if self._closing.wait(self.retry_seconds):
                    return False
                continue
            if self._failing:
                _log.info("%s is told again", self.title)
                self._failing = False
            return True


def services() -> tuple[Service, ...]:
    """The trackers there are."""
    return (
        Service("MLflow", ("MLFLOW_TRACKING_URI",), "mlflow", "mlflow-skinny", clients.MLflow),
        Service(
            "Weights & Biases",
            ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT"),
            "wandb",
            "wandb",
            clients.WeightsAndBiases,
        ),
        Service("TensorBoard", ("TENSORBOARD_LOGGING_DIR",), "tensorboard", "tensorboard", clients.TensorBoard),
    )
