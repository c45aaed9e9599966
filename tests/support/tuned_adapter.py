"""An adapter as a run commits it, with random weights that change what its base says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.open_store import open_store


def write_adapter(root: Path, name: str, model: str, pixels: dict[str, int], **details: Any) -> None:
    """The artifact `name` below `root`, tuned on the model folder `model` there; `details` go into its manifest."""
    import torch
    from peft import LoraConfig, get_peft_model

    from fabula_workloads.models.loading import load_base

    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    base = load_base(root / model, device="cpu", precision="fp32")
    tuned = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj"]))
    for weight_name, weight in tuned.named_parameters():
        if "lora_" in weight_name:
            weight.data.normal_(0, 0.3)
    torch.random.set_rng_state(state)
    made = root / f"{name}-made"
    tuned.save_pretrained(made)
    digest = "sha256:" + hashlib.sha256((root / model / "config.json").read_bytes()).hexdigest()
    store = open_store(f"file://{root}/{name}")
    files = [(file.name, file) for file in sorted(made.iterdir()) if file.name != "README.md"]
    told = {
        "pixels": pixels, "promptVersion": parts_of("podcast").prompt_version, "recipe": "podcast",
        "base": {"uri": model, "digest": digest},
    }  # fmt: skip
    commit(store, kind="adapter", parts=add_parts(store, files), details=told | details)
