"""What one rank does, from joining the others to the last word to its launcher. `entry` has prepared the libraries."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import deepspeed
import torch
import torch.distributed as dist
from transformers import PrinterCallback, TrainingArguments, set_seed
from transformers.utils import logging as transformers_logging

from fabula_api.training_fit import too_few
from fabula_workloads.recipe_parts import AnySample, SampleEncoder, parts_of
from fabula_workloads.runtime.failures import InputInvalid, TryAgain
from fabula_workloads.training.messages.events import EventWriter, Finished, Interrupted, Started, TrainerLog
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.neftune import SampleNoise
from fabula_workloads.training.model.tuned_model import attention_of
from fabula_workloads.training.parts import Trained
from fabula_workloads.training.rank.step_boundary import StepBoundary, local_rank, peak_of
from fabula_workloads.training.rank.trainer import EncodedSamples, FineTuner, training_arguments
from fabula_workloads.training.samples.usable import Usable, usable
from fabula_workloads.training.schedule.order import Coverage
from fabula_workloads.training.schedule.packing import Plan, fill, pack, singly
from fabula_workloads.training.schedule.steps import StepPlan, plan_steps
from fabula_workloads.training.trains import training_of

_log = logging.getLogger("fabula.train")


def train(job: TrainingJob, rank: int) -> None:
    """Train to the last step, or to the boundary at which a stop is asked for."""
    quiet()
    join(job)
    parts = training_of(job.spec.recipe)
    encoder = parts.open_encoder(job)
    data = read(job, encoder)
    # Trainer's arguments tell DeepSpeed of ZeRO-3, which has to be known before the model is loaded.
    arguments = training_arguments(job, data.plan)
    set_seed(job.spec.training.seed)
    trained = parts.build(job, encoder)
    events = EventWriter(job.events_file) if local_rank() == 0 else None
    boundary = boundary_of(job, data, events)
    trainer = trainer_of(job, data, encoder, trained, arguments, boundary)
    # Trainer has seeded all ranks alike: samples of one pass would share one draw of dropout and noise.
    set_seed(job.spec.training.seed + rank)
    if events is not None:
        tell_start(data, events)
    if rank == 0:
        log_start(job, data)
    trainer.train(resume_from_checkpoint=str(job.resume) if job.resume else None)
    finish(job, data.plan, trainer, boundary)
    if events is not None:
        step, history = trainer.state.global_step, trainer.state.log_history if rank == 0 else []
        logs = [TrainerLog.model_validate(entry) for entry in history]
        events.emit(Interrupted(step=step) if boundary.interrupted else Finished(step=step, history=logs))


def quiet() -> None:
    """Keep out of the log what nobody can act on."""
    transformers_logging.disable_progress_bar()
    # DeepSpeed calls collectives by their old names, and torch would say so at every step.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed\.c10d_logger")
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*is_gradient_checkpointing")  # peft's
    # `loaderWorkers` beyond this machine's cores: torch would say so of each of the two loaders, at the end of the log.
    warnings.filterwarnings("ignore", category=UserWarning, message="This DataLoader will create")


def join(job: TrainingJob) -> None:
    """Meet the other ranks, and agree with them on where to begin.

    Raises TryAgain where they would go on from different steps: each node looks for the newest checkpoint itself, and a
    former attempt's last can be committed between two looks.
    """
    cuda = job.spec.topology.device == "cuda"
    if cuda:
        torch.cuda.set_device(local_rank())
        # In fp32 by TF32 where the GPU has it; bf16 is not touched. On a CPU it would mean bf16.
        torch.set_float32_matmul_precision("high")
    # Also where that is slower, and with an error for what cannot be computed so.
    torch.use_deterministic_algorithms(job.spec.training.deterministic)
    deepspeed.init_distributed("nccl" if cuda else "gloo", auto_mpi_discovery=False)
    begins: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(begins, job.resume.name if job.resume else "no checkpoint")
    if len(different := sorted({str(begin) for begin in begins})) > 1:
        raise TryAgain(f"nodes would begin from different places: {', '.join(different)}", "CheckpointsDiffer")


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on, in which rows and steps."""

    split: Usable
    validation: list[AnySample]
    rows: Plan
    plan: StepPlan


def read(job: TrainingJob, encoder: SampleEncoder) -> Data:
    """The usable samples and the plan over them. Raises InputInvalid where they are too few."""
    spec, training, kind = job.spec, job.spec.training, parts_of(job.spec.recipe).sample
    split = usable(job.dataset, "train", encoder, training, kind)
    validation = usable(job.dataset, "validation", encoder, training, kind).samples
    if not split.samples:
        raise InputInvalid(split.nothing_left(training.max_length))
    packed = training.packing
    rows = pack(split.lengths, training.max_length, training.seed) if packed else singly(len(split.samples))
    if problem := too_few(spec, len(rows)):
        raise InputInvalid(problem)
    return Data(split, validation, rows, plan_steps(spec, len(rows)))


def boundary_of(job: TrainingJob, data: Data, events: EventWriter | None) -> StepBoundary:
    """What watches the run's steps."""
    cuda = job.spec.topology.device == "cuda"
    return StepBoundary(
        job,
        data.plan,
        events,
        validate=bool(data.validation),
        coverage=Coverage(data.plan, data.rows, job.spec.training.seed),
        left_out=data.split.num_left_out,
        peak=peak_of(job.spec, torch.cuda.get_device_name() if cuda else None),
    )


def trainer_of(
    job: TrainingJob,
    data: Data,
    encoder: SampleEncoder,
    trained: Trained,
    arguments: TrainingArguments,
    boundary: StepBoundary,
) -> FineTuner:
    """The trainer of this rank."""
    training, lengths = job.spec.training, data.split.lengths
    noise = None
    if training.neftune_noise_alpha:
        noise = SampleNoise(training.neftune_noise_alpha)
        noise.attach(trained.base)
    trainer = FineTuner(
        data.plan,
        training.seed,
        noise,
        save=trained.save,
        lengths=[sum(lengths[index] for index in row) for row in data.rows] if training.group_by_length else None,
        head=trained.head,
        rates=trained.rates,
        model=trained.model,
        args=arguments,
        train_dataset=EncodedSamples(data.split.samples, encoder, data.rows, draws=True),
        eval_dataset=EncodedSamples(data.validation, encoder) if data.validation else None,
        data_collator=trained.collate,
        callbacks=[boundary],
        compute_loss_func=trained.loss,
    )
    trainer.remove_callback(PrinterCallback)
    boundary.attach(trainer)
    return trainer


def tell_start(data: Data, events: EventWriter) -> None:
    """Tell the launcher what is going to be done."""
    events.emit(
        Started(
            steps=data.plan.steps,
            samples=len(data.split.samples),
            left_out=dict(data.split.left_out),
            validation=len(data.validation),
            padding=data.plan.padding,
            updates=data.plan.updates,
            rows=len(data.rows),
        )
    )


def log_start(job: TrainingJob, data: Data) -> None:
    """Say the same to people."""
    plan, training = data.plan, job.spec.training
    if training.packing:
        share = fill(data.rows, data.split.lengths, training.max_length)
        _log.info("packed in %d sequences of at most %d tokens, %.0f %% full, attention %s",
                  len(data.rows), training.max_length, 100 * share, attention_of(job))  # fmt: skip
    _log.info(
        "%d samples (left out: %s), %d steps, warm-up %d, checkpoints after %s",
        len(data.split.samples), data.split.left_out or "none", plan.steps, plan.warmup_steps,
        ", ".join(map(str, plan.checkpoint_steps[:8])) + (" ..." if len(plan.checkpoint_steps) > 8 else ""),
    )  # fmt: skip


def finish(job: TrainingJob, plan: StepPlan, trainer: FineTuner, boundary: StepBoundary) -> None:
    """Save what was trained, if all of it was, and wait for the other ranks."""
    if not boundary.interrupted:
        step = trainer.state.global_step
        if step != plan.steps:
            raise RuntimeError(f"training ended after step {step} of {plan.steps}")
        trainer.save_model(str(job.final))
    dist.barrier()
