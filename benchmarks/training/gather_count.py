"""One rank of a run whose collectives are counted: a `training.rank` as it is, with a tally around it.

Counted are calls of torch.distributed, through which DeepSpeed, accelerate and transformers all go, and beside them the
parameters that DeepSpeed's coordinator asks for, by name. The two must agree to the element.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATIONS = {
    # name in torch.distributed: what it is counted as, and the argument that holds what every rank has in the end
    "all_gather_into_tensor": ("all-gather", "output_tensor"),
    "all_gather": ("all-gather", "tensor_list"),
    "reduce_scatter_tensor": ("reduce-scatter", "input"),
    "reduce_scatter": ("reduce-scatter", "input_list"),
    "all_reduce": ("all-reduce", "tensor"),
    "reduce": ("reduce", "tensor"),
    "broadcast": ("broadcast", "tensor"),
}


class Tally:
    """Counts by pass and phase. A pass is one micro-batch; the update after it belongs to it."""

    def __init__(self) -> None:
        self.passes = 0
        self.phase = "start"
        self.recomputing = False
        self.calls: Counter[tuple[int, str, str]] = Counter()
        self.elements: Counter[tuple[int, str, str]] = Counter()
        self.gathers: Counter[tuple[int, str, int]] = Counter()
        self.joined: Counter[tuple[int, str, int]] = Counter()
        self.saves = 0
        self.samples: list[int] = []
        self.names: dict[int, str] = {}

    def now(self) -> str:
        """Where this pass is."""
        import torch

        if self.phase == "training" and torch._C._current_graph_task_id() != -1:
            return "recompute" if self.recomputing else "backward"
        return "forward" if self.phase == "training" else self.phase

    def count(self, kind: str, elements: int) -> None:
        self.calls[key := (self.passes, self.now(), kind)] += 1
        self.elements[key] += elements

    def write(self, file: Path, losses: list[float]) -> None:
        """Leave everything as JSON."""
        tallied = {
            "collectives": [(*key, calls, self.elements[key]) for key, calls in self.calls.items()],
            "gathers": self._by_name(self.gathers),
            "joined": self._by_name(self.joined),
            "samples": self.samples,
            "saves": self.saves,
            "losses": losses,
        }
        file.write_text(json.dumps(tallied))

    def _by_name(self, counts: Counter[tuple[int, str, int]]) -> list[tuple[int, str, str, int]]:
        """(pass, phase, name, times) of each parameter."""
        return [(number, phase, self.names[at], times) for (number, phase, at), times in counts.items()]


def _elements(value: Any) -> int:
    return sum(map(_elements, value)) if isinstance(value, (list, tuple)) else int(value.numel())


def count_collectives(tally: Tally) -> None:
    """Count calls of torch.distributed. Before DeepSpeed is imported, for it keeps some of the functions."""
    import inspect

    import torch.distributed as dist

    def counting(name: str, kind: str, argument: str) -> Callable[..., Any]:
        function = getattr(dist, name)
        signature = inspect.signature(function)

        def counted(*args: Any, **kwargs: Any) -> Any:
            tally.count(kind, _elements(signature.bind(*args, **kwargs).arguments[argument]))
            return function(*args, **kwargs)

        return counted

    for name, (kind, argument) in OPERATIONS.items():
        setattr(dist, name, counting(name, kind, argument))


def count_gathers(tally: Tally) -> None:
    """Count which parameters DeepSpeed gathers, and follow where a pass is."""
    from deepspeed.runtime.engine import DeepSpeedEngine
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
    from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator as Coordinator

    from fabula_workloads.models.family import FIGURES
    from fabula_workloads.training.rank.trainer import FineTuner

    gather, fetch = Coordinator._PartitionedParameterCoordinator__all_gather_params_, Coordinator.fetch_sub_module  # type: ignore[attr-defined]
    training, prediction, update = FineTuner.training_step, FineTuner.prediction_step, DeepSpeedEngine.step
    saving = FineTuner.save_weights

    def gathering(self: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = [parameter.ds_id for parameter in params if parameter.ds_status == ZeroParamStatus.NOT_AVAILABLE]
        tally.gathers.update((tally.passes, tally.now(), number) for number in wanted)
        if len(wanted) > 1:  # DeepSpeed copies what came together into the places of its parameters
            tally.joined.update((tally.passes, tally.now(), number) for number in wanted)
        return gather(self, params, *args, **kwargs)

    def fetching(self: Any, module: Any, forward: bool) -> Any:
        tally.recomputing = forward
        return fetch(self, module, forward)

    def train(self: Any, model: Any, inputs: Any, *args: Any) -> Any:
        tally.passes += 1
        tally.names = {getattr(p, "ds_id", 0): name for name, p in self.model.named_parameters()}
        tally.samples.append(inputs[FIGURES]["samples"])
        return _in(tally, "training", training, self, model, inputs, *args)

    def predict(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _in(tally, "evaluation", prediction, self, *args, **kwargs)

    def save(self: Any, *args: Any, **kwargs: Any) -> Any:
        tally.saves += 1
        return _in(tally, "saving", saving, self, *args, **kwargs)

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _in(tally, "update", update, self, *args, **kwargs)

    Coordinator._PartitionedParameterCoordinator__all_gather_params_ = gathering
    Coordinator.fetch_sub_module = fetching
    FineTuner.training_step, FineTuner.prediction_step, DeepSpeedEngine.step = train, predict, step
    FineTuner.save_weights = save


def recompute_as_transformers(model: Any, every: int) -> None:
    """Takes the place of `recompute_layers`: what Trainer does by itself."""
    model.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=every)


def _in(tally: Tally, phase: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    before, tally.phase = tally.phase, phase
    try:
        return function(*args, **kwargs)
    finally:
        tally.phase = before


def main() -> None:
    """Train the job of the environment, and leave the counts in the file given."""
    from fabula_workloads.training.messages.job import TrainingJob
    from fabula_workloads.training.rank import entry as production

    tally = Tally()
    number = int(os.environ["RANK"])
    count_collectives(tally)
    production.prepare_libraries(cuda=False)
    count_gathers(tally)
    if "--as-transformers" in sys.argv:
        from fabula_workloads.training.model import tuned_model

        tuned_model.recompute_layers = recompute_as_transformers
    job = TrainingJob.from_environment()
    production.train(job, number)
    if number == 0:
        events = [json.loads(line) for line in job.events_file.read_text().splitlines()]
        history = next(event["history"] for event in events if "history" in event)
        tally.write(Path(sys.argv[1]), [entry["loss"] for entry in history if entry["loss"] is not None])
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
