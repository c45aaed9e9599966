"""The card of what was tuned: README.md in Hugging Face's format, from what the manifest knows.

It is a part of the artifact, so a changed card is noticed. So it holds what follows from the inputs alone, and neither
names nor times: the same inputs give the same digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from fabula_api.details import BaseModelDetails
from fabula_api.fine_tune_run import FineTuneRunSpec

CARD = "README.md"
_ROWS = 12
"""Rows of the curve that are shown; loss.jsonl has all."""


def model_card(
    spec: FineTuneRunSpec,
    base: BaseModelDetails,
    *,
    dataset: str,
    prompt_version: str | None,
    steps: int,
    curve: Sequence[dict[str, Any]],
) -> str:
    """The card. `dataset` is the digest of what was trained on, `curve` the rows of loss.jsonl."""
    lora = spec.training.method == "lora"
    named = f"{base.name}@{base.revision}" if base.name and base.revision else base.name or "a model without a name"
    head: dict[str, Any] = {
        "library_name": "peft" if lora else "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["fabula", spec.recipe, *(["lora"] if lora else [])],
    }
    if base.name:
        head |= {"base_model": base.name, "base_model_relation": "adapter" if lora else "finetune"}
    validation = [row for row in curve if "validationLoss" in row]
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).rstrip(),
        "---",
        "",
        f"# {'LoRA adapter' if lora else 'Model'} for the recipe {spec.recipe}",
        "",
        "| | |",
        "|---|---|",
        f"| base model | {named} (config.json {base.digest}) |",
        f"| dataset | {dataset} |",
        f"| prompt | {prompt_version or 'not recorded'} |",
        f"| pictures | {spec.pixels.min_pixels} to {spec.pixels.max_pixels} pixels, in any use as in training |",
        *_settings(spec, steps),
        "",
        "## Loss",
        "",
        "| step | training | validation |",
        "|---|---|---|",
        *(f"| {row['step']} | {_figure(row, 'loss')} | {_figure(row, 'validationLoss')} |" for row in _thinned(curve)),
        "",
        "## Evaluation",
        "",
        f"Validation loss after the last step: {_figure(validation[-1], 'validationLoss')}."
        if validation
        else "The dataset has no validation split, so none was measured in training.",
        "Whether its stories are better than its base's, an EvalRun says: its report names this artifact's digest,",
        "and has this card with the figures in it, `cards/ARM.md`, to be published in this one's place.",
        "",
    ]
    return "\n".join(lines)


def _settings(spec: FineTuneRunSpec, steps: int) -> list[str]:
    training, lora = spec.training, spec.lora
    rows: dict[str, object] = {"steps": steps}
    if training.method == "lora":
        rows |= {
            "rank, alpha, dropout": f"{lora.rank}, {lora.alpha}, {lora.dropout:g}",
            "layers": ", ".join(lora.target_modules),
            "base held in": lora.quantization,
            **({"update computed in": lora.precision} if lora.precision else {}),
        }
    rows |= {
        "learning rate": f"{training.learning_rate:g}",
        "epochs": f"{training.epochs:g}",
        "batch of a rank, accumulation": f"{training.per_device_batch_size}, {training.gradient_accumulation_steps}",
        "weight decay, warm-up, gradient norm": f"{training.weight_decay:g}, {training.warmup_ratio:g}, "
        f"{training.max_grad_norm:g}",
        "precision": training.precision,
        "seed": training.seed,
    }
    return [f"| {name} | {value} |" for name, value in rows.items()]


def _thinned(curve: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row, the last one, those with a validation loss, and some between."""
    every = max(1, len(curve) // _ROWS)
    kept = {0, len(curve) - 1, *range(0, len(curve), every)}
    kept |= {number for number, row in enumerate(curve) if "validationLoss" in row}
    return [curve[number] for number in sorted(kept) if 0 <= number < len(curve)]


def _figure(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.4f}" if name in row else ""
