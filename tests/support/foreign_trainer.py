"""A trainer that knows nothing of Fabula: Hugging Face's own Kubeflow callback, driven as its Trainer drives it.

Arguments: steps to make, and steps in all. It reports by KEP-2779 from the environment alone.
"""

from __future__ import annotations

import sys
from typing import Any

from fabula_workloads.models.torchvision_shim import prepare_torchvision

# Only for this test's torch, which may be a CPU build beside a torchvision that is none.
prepare_torchvision()

from transformers import TrainerControl, TrainerState  # noqa: E402
from transformers.integrations import KubeflowCallback  # noqa: E402


def train(made: int, steps: int) -> None:
    """Make steps and report each."""
    callback: Any = KubeflowCallback()
    # Its throttle of 5 s is for real steps.
    callback._MIN_UPDATE_INTERVAL = 0.0
    state, control = TrainerState(max_steps=steps, is_world_process_zero=True), TrainerControl()
    callback.on_train_begin(None, state, control)
    for step in range(1, made + 1):
        state.global_step, state.epoch = step, step / steps
        callback.on_step_end(None, state, control)
        callback.on_log(
            None, state, control, logs={"loss": 4.0 - step / steps, "grad_norm": 0.5, "learning_rate": 1e-4}
        )
    if made == steps:
        callback.on_train_end(None, state, control)


def main() -> None:
    """As the command line says."""
    train(int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
