"""Hugging Face's Trainer with our order of samples and our way of saving; everything else of it as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import TrainingArguments

from fabula_workloads.models.family import FIGURES, Encoded
from fabula_workloads.recipe_parts import AnySample, SampleEncoder
from fabula_workloads.training.libraries.trainer import OpenTrainer
from fabula_workloads.training.libraries.zero import keep_norms, keep_signatures, trained_weights
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.neftune import SampleNoise
from fabula_workloads.training.parts import Head, Saves
from fabula_workloads.training.samples.measures import Measures, Timed
from fabula_workloads.training.saving import optimizer_state
from fabula_workloads.training.schedule.order import EpochBatches
from fabula_workloads.training.schedule.packing import Plan, singly
from fabula_workloads.training.schedule.steps import StepPlan

_SCHEDULE = "scheduler.json"


class EncodedSamples(Dataset[list[Encoded]]):
    """Rows of samples, encoded when asked for (in the loader's worker processes)."""

    def __init__(
        self, samples: list[AnySample], encoder: SampleEncoder, rows: Plan | None = None, *, draws: bool = False
    ) -> None:
        """`rows` says which samples share one; without it each is alone. Where it `draws`, an index counts on from
        epoch to epoch (`EpochBatches`)."""
        self._draws = draws
        self._samples, self._encoder = samples, encoder
        self._rows = singly(len(samples)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[Encoded]:
        epoch, row = divmod(index, len(self._rows))
        drawn = epoch if self._draws else None
        return [self._encoder.encode(self._samples[sample], drawn) for sample in self._rows[row]]


class OrderedLoader(DataLoader[dict[str, Any]]):
    """A loader whose epoch Trainer can set; accelerate does it only for loaders of its own."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        sampler: Any = self.batch_sampler
        sampler.set_epoch(epoch)


class FineTuner(OpenTrainer):
    """Trainer over `OrderedLoader`, counting tokens, and saving nothing of a checkpoint but what was trained."""

    def __init__(
        self,
        plan: StepPlan,
        seed: int,
        noise: SampleNoise | None = None,
        *,
        save: Saves,
        lengths: Sequence[int] | None = None,
        head: Head | None = None,
        rates: Mapping[str, float] | None = None,
        **arguments: Any,
    ) -> None:
        """`noise` is told the samples of each batch before it is trained on, and `head` each batch's labels.
        `save` writes what was trained; `lengths` are as in `RankBatches`; `rates` as in `Trained`."""
        super().__init__(**arguments)
        self._rates = dict(rates or {})
        self._lengths, self._head = lengths, head
        self._save = save
        self._plan = plan
        self._noise = noise
        self._order_seed = seed
        self.measures = Measures()
        """What this rank has done since it started."""

    def get_train_dataloader(self) -> OrderedLoader:
        """The rank's own batches; they are not sharded again."""
        workers = self.args.dataloader_num_workers
        return OrderedLoader(
            self.train_dataset,
            batch_sampler=EpochBatches(self._plan, self._order_seed, self.args.process_index, self._lengths),
            collate_fn=self.data_collator,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.args.dataloader_pin_memory,
            # Its own generator: drawing the workers' seed from the global one would part a resumed run from the first.
            generator=torch.Generator().manual_seed(self._order_seed),
        )

    def create_optimizer(self, model: Any = None) -> Any:
        """As Trainer's, with groups of their own for weights that have another rate."""
        optimizer = super().create_optimizer(model)
        if self._rates:
            of = {id(value): name for name, value in (model or self.model).named_parameters()}
            groups = [part for group in optimizer.param_groups for part in _by_rate(group, of, self._rates)]
            optimizer.param_groups[:] = groups
            self._rates = {}
        return optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """As Trainer's, with the batch counted."""
        figures = inputs.pop(FIGURES)
        self.measures.add(figures)
        if self._noise is not None:
            self._noise.lengths = figures["lengths"]
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        """As Trainer's, with the labels told to the head that needs them."""
        if self._head is not None:
            self._head.labels = inputs["labels"]
        return super().compute_loss(model, inputs, *arguments, **named)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """As Trainer's, with the time counted that the loader's batches are waited for."""
        return super().get_batch_samples(Timed(epoch_iterator, self.measures), num_batches, device)

    def prediction_step(self, model: Any, inputs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        """As Trainer's; batches of an evaluation are not counted."""
        inputs.pop(FIGURES)
        return super().prediction_step(model, inputs, *arguments, **named)

    def begin(self) -> None:
        """Have the norm of gradients kept under every ZeRO stage, and what torch asks of its hooks."""
        keep_norms(self.deepspeed)
        keep_signatures(self.deepspeed)

    def restore_state(self, folder: Path) -> None:
        """From a checkpoint of any number of ranks (`optimizer_state`)."""
        optimizer_state.restore(self.deepspeed, folder)
        self.lr_scheduler.load_state_dict(json.loads((folder / _SCHEDULE).read_bytes()))
        # The schedule knows its rate, but the optimizer was made with that of the first step.
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate

    def save_state(self, folder: Path) -> None:
        """What any number of ranks can go on from."""
        optimizer_state.save(self.deepspeed, folder, rank=self.args.process_index)
        if self.args.should_save:
            # Numbers alone, as text: what is read from a checkpoint can run nothing.
            (folder / _SCHEDULE).write_text(json.dumps(self.lr_scheduler.state_dict()))

    def is_done(self) -> bool:
        """Whether the plan's last step is made."""
        return bool(self.state.global_step >= self._plan.steps)

    def save_weights(self, folder: Path, *, of_checkpoint: bool) -> None:
        """Write what was trained. Under ZeRO-3 all ranks must take part; only the first writes."""
        self._save(folder, write=self.args.should_save, of_checkpoint=of_checkpoint, gathered=self._gathered)

    def _gathered(self) -> Mapping[str, torch.Tensor] | None:
        sharded = self.is_deepspeed_enabled and self.args.hf_deepspeed_config.is_zero3()
        return trained_weights(self.deepspeed) if sharded else None


def _by_rate(group: dict[str, Any], names: Mapping[int, str], rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """A group of the optimizer, cut by the rates of its weights; the first has those without one of their own."""
    by_rate: dict[float, list[Any]] = {group["lr"]: []}
    for value in group["params"]:
        by_rate.setdefault(rates.get(names.get(id(value), ""), group["lr"]), []).append(value)
    return [{**group, "lr": rate, "params": values} for rate, values in by_rate.items() if values]


def training_arguments(job: TrainingJob, plan: StepPlan) -> TrainingArguments:
    """Trainer's arguments from the spec. When to save, evaluate and stop, `step_boundary` decides."""
    training, cuda = job.spec.training, job.spec.topology.device == "cuda"
    return TrainingArguments(
        output_dir=str(job.saved),
        use_cpu=not cuda,
        deepspeed=job.deepspeed,
        max_steps=plan.steps,
        per_device_train_batch_size=training.per_device_batch_size,
        # Trainer averages over rows: one sample each, so that packing does not change what the mean is of.
        per_device_eval_batch_size=1 if training.packing else training.per_device_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=plan.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="adamw_torch",
        # Trainer's own would follow the length of the padded or packed row (`neftune`).
        neftune_noise_alpha=None,
        bf16=job.deepspeed["bf16"]["enabled"],
        seed=training.seed,
        dataloader_num_workers=training.loader_workers,
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
        save_strategy="no",
        eval_strategy="no",
        logging_steps=1,
        # A loss that is not finite must end the run, not be averaged away.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        log_level="warning",
    )


def checkpoint_folder(job: TrainingJob, step: int) -> Path:
    """Where Trainer writes the checkpoint of a step."""
    return job.saved / f"checkpoint-{step}"
