"""A pod's log is for people: progress bars and advice of the libraries below us do not belong in it."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_bitsandbytes() -> None:
    """Take no advice to fetch a faster kernel for CPUs. Call before anything imports it."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def quiet_libraries(*, bars: bool = False) -> None:
    """Let transformers log errors only. Call before loading a model. `bars` leaves the bars of its progress, for who
    waits at a terminal."""
    quiet_bitsandbytes()
    # peft asks transformers by a name that it is about to lose.
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*is_gradient_checkpointing")
    import torch

    if not torch.cuda.is_available():
        # transformers imports DeepSpeed, which otherwise guesses the accelerator and warns of its guess.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    if not bars:
        transformers_logging.disable_progress_bar()


def quiet_diffusers() -> None:
    """The same for diffusers, which also warns of every key in model_index.json that is not its own."""
    quiet_libraries()
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
