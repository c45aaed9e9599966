"""What training made as a committed artifact: an adapter's files or a whole model's, the config that made it, its loss
curve, its lineage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fabula_api.artifact import Manifest, Part, canonical_json, digest_of
from fabula_api.counts import SAMPLES
from fabula_api.details import DatasetDetails, TunedDetails
from fabula_api.summary import LastCheckpoint, TrainSummary
from fabula_workloads.runtime.artifact import add_part, commit, details_of
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.training.launcher.model_card import CARD, model_card
from fabula_workloads.training.launcher.prepare import Prepared
from fabula_workloads.training.messages.events import Finished, Started, TrainerLog

KINDS = {"lora": "adapter", "full": "model"}
"""Kind of the artifact by `training.method`."""
_CONFIG, _WEIGHTS = "config.json", "fabula_weights"
_CURVE = {
    "loss": "loss",
    "grad_norm": "gradNorm",
    "learning_rate": "learningRate",
    "eval_loss": "validationLoss",
    "epoch": "epoch",
}


def loss_curve(history: Sequence[TrainerLog]) -> list[dict[str, Any]]:
    """One row a step from Trainer's log: loss, gradient norm, learning rate, and validation loss where there is one."""
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        if entry.loss is not None or entry.eval_loss is not None:
            row = rows.setdefault(entry.step, {"step": entry.step})
            row |= {name: value for key, name in _CURVE.items() if (value := getattr(entry, key)) is not None}
    return [rows[step] for step in sorted(rows)]


def sample_counts(started: Started) -> dict[str, int]:
    """Samples of the training split by outcome."""
    skipped = {f"sample/skipped/{reason}": count for reason, count in sorted(started.left_out.items())}
    return {SAMPLES: started.samples, **skipped}


def made_files(folder: Path) -> list[tuple[str, Path]]:
    """What ranks left there, folders in it included, by the path that it gets in the artifact. Without what is written
    anew: card and config."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [(path.relative_to(folder).as_posix(), path) for path in paths]
    return [(name, path) for name, path in files if name not in (CARD, _CONFIG)]


def commit_tuned(
    context: StageContext, prepared: Prepared, started: Started, ended: Finished, metrics: dict[str, float]
) -> Manifest:
    """Store and commit what was trained. The manifest's details say what inference must know: base, pixels, prompt.
    Raises Overtaken when a later start of the run was announced.

    Logs are stored beside it and are no parts: they differ from run to run, and the same inputs give the same digest.
    """
    job, store = prepared.job, context.store

    def stored(path: str, content: bytes | Path) -> Part:
        # A whole model takes long: an attempt that has begun since must not find its files written over.
        prepared.checkpoints.ensure_current()
        return add_part(store, path, content)

    method = job.spec.training.method
    parts = [stored(path, file) for path, file in made_files(job.final)]
    if method == "full":
        parts.append(stored(_CONFIG, _named(job.final / _CONFIG, parts)))
    curve = loss_curve(ended.history)
    parts.append(stored("loss.jsonl", b"".join(canonical_json(row) + b"\n" for row in curve)))
    version = details_of(prepared.dataset, DatasetDetails, "the dataset").prompt_version
    card = model_card(
        job.spec, prepared.base(), dataset=prepared.dataset.digest, prompt_version=version, steps=ended.step,
        curve=curve,
    )  # fmt: skip
    parts.append(stored(CARD, card.encode()))
    parts.append(stored("ds_config.json", json.dumps(job.deepspeed, indent=2, sort_keys=True).encode()))
    losses = [row["loss"] for row in curve if "loss" in row]
    step = ended.step
    prepared.checkpoints.ensure_current()
    return commit(
        store,
        kind=KINDS[method],
        key=context.config.key,
        parts=parts,
        counts=dict(sample_counts(started)),
        lineage=prepared.lineage,
        details=TunedDetails(
            recipe=job.spec.recipe,
            base=prepared.base(),
            pixels=job.spec.pixels,
            prompt_version=version,
            method=method,
            quantization=job.spec.lora.quantization,
            lora=job.spec.lora if method == "lora" else None,
            steps=step,
            first_loss=losses[0],
            last_loss=losses[-1],
            padding=started.padding,
            metrics=metrics,
            summary=tuned_summary(prepared, step),
        ),
        attempt=context.config.attempt,
    )


def _named(config: Path, parts: Iterable[Part]) -> bytes:
    """A tuned model's config, with its weights in it by digest: a base model is known by its config, and this one's
    would be that of the model it was made from."""
    weights = sorted([part.path, part.sha256] for part in parts if part.path.endswith(".safetensors"))
    content = json.loads(config.read_text()) | {_WEIGHTS: digest_of(weights)}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def tuned_summary(prepared: Prepared, step: int) -> TrainSummary:
    """What the result says of a training that made `step` steps in all."""
    newest = prepared.checkpoints.newest()
    last = None
    if newest is not None:
        at, manifest = newest
        last = LastCheckpoint(uri=prepared.checkpoints.uri(at), step=at, digest=manifest.digest)
    return TrainSummary(resumed_from_step=prepared.resumed_from, steps=step, checkpoint=last)
