"""One rank of a training run: `python -m fabula_workloads.training.rank.entry`, started by torchrun.

It reads its job from the scratch folder, trains, and leaves either the adapter or a word about what went wrong.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

from fabula_workloads.models.family import Needed, family_of
from fabula_workloads.runtime.failures import InputInvalid, TryAgain
from fabula_workloads.training.messages.failure import from_exception, print_traceback
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.messages.process import die_with_parent

_log = logging.getLogger("fabula.train")


def main() -> None:
    """Train; on a failure leave it for the launcher and end at once, for a rank that lingers holds up the others."""
    die_with_parent()
    os.dup2(2, 1)  # one stream, one log, in order
    rank = int(os.environ["RANK"])
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    job = TrainingJob.from_environment()
    try:
        train(job, rank)
    except BaseException as error:
        failure = from_exception(rank, error)
        failure.write(job.failure_file(rank))
        print_traceback(error)
        sys.stderr.flush()
        os._exit(failure.exit_code)
    # Interpreter shutdown with process groups and pinned buffers alive can hang; everything is written.
    sys.stderr.flush()
    os._exit(0)


def train(job: TrainingJob, rank: int) -> None:
    """Train to the last step, or to the boundary at which a stop is asked for."""
    prepare_libraries(cuda=job.spec.topology.device == "cuda", quantized=job.spec.lora.quantization != "none")
    import deepspeed
    import torch
    from transformers import PrinterCallback, set_seed
    from transformers.utils import logging as transformers_logging

    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.recipe_parts import parts_of
    from fabula_workloads.training.messages.events import EventWriter
    from fabula_workloads.training.model.loss import LossHead, token_loss
    from fabula_workloads.training.model.neftune import SampleNoise
    from fabula_workloads.training.model.tuned_model import attention_of, build_model
    from fabula_workloads.training.rank.step_boundary import StepBoundary, local_rank, peak_of
    from fabula_workloads.training.rank.trainer import EncodedSamples, FineTuner, training_arguments
    from fabula_workloads.training.samples.encode import Encoder
    from fabula_workloads.training.samples.usable import usable
    from fabula_workloads.training.schedule.order import Coverage
    from fabula_workloads.training.schedule.packing import fill, pack, singly
    from fabula_workloads.training.schedule.steps import plan_steps, too_few

    transformers_logging.disable_progress_bar()
    # DeepSpeed calls collectives by their old names, and torch would say so at every step.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed\.c10d_logger")
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*is_gradient_checkpointing")  # peft's
    spec = job.spec
    cuda = spec.topology.device == "cuda"
    if cuda:
        torch.cuda.set_device(local_rank())
    # Also where that is slower, and with an error for what cannot be computed so.
    torch.use_deterministic_algorithms(spec.training.deterministic)
    deepspeed.init_distributed("nccl" if cuda else "gloo", auto_mpi_discovery=False)
    _agree_on_start(job)
    parts = parts_of(spec.recipe)
    encoder = Encoder(load_processor(job.model, spec.pixels), job.dataset, parts.messages)
    training = spec.training
    split = usable(job.dataset, "train", encoder, training, parts.sample)
    samples, lengths, left_out = split.samples, split.lengths, split.num_left_out
    validation = usable(job.dataset, "validation", encoder, training, parts.sample).samples
    if not samples:
        raise InputInvalid(split.nothing_left(training.max_length))
    rows = pack(lengths, training.max_length, training.seed) if training.packing else singly(len(samples))
    if problem := too_few(spec, len(rows)):
        raise InputInvalid(problem)
    plan = plan_steps(spec, len(rows))
    # Before the model (`build_model`).
    arguments = training_arguments(job, plan)
    set_seed(training.seed)
    base, model = build_model(job)
    noise = None
    if training.neftune_noise_alpha:
        noise = SampleNoise(training.neftune_noise_alpha)
        noise.attach(base)
    events = EventWriter(job.events_file) if local_rank() == 0 else None
    boundary = StepBoundary(
        job,
        plan,
        events,
        validate=bool(validation),
        coverage=Coverage(plan, rows, training.seed),
        left_out=left_out,
        peak=peak_of(spec, torch.cuda.get_device_name() if cuda else None),
    )
    needed = _needed(base, model)
    family = family_of(base.config.model_type)
    collate = family.collate(base, encoder.pad_token_id, needed, packed=training.packing)
    trainer = FineTuner(
        plan,
        training.seed,
        noise,
        base=job.model,
        lengths=[sum(lengths[index] for index in row) for row in rows] if training.group_by_length else None,
        head=LossHead.attach(base),
        model=model,
        args=arguments,
        train_dataset=EncodedSamples(samples, encoder, rows),
        eval_dataset=EncodedSamples(validation, encoder) if validation else None,
        data_collator=parts.collate(collate) if parts.collate else collate,
        callbacks=[boundary],
        compute_loss_func=token_loss,
    )
    # Trainer has seeded all ranks alike: samples of one pass would share one draw of dropout and noise.
    set_seed(training.seed + rank)
    trainer.remove_callback(PrinterCallback)
    boundary.attach(trainer)
    if events is not None:
        events.emit(
            "started", steps=plan.steps, samples=len(samples), left_out=split.left_out, validation=len(validation),
            padding=plan.padding, updates=plan.updates, rows=len(rows),
        )  # fmt: skip
    if rank == 0:
        if training.packing:
            share = fill(rows, lengths, training.max_length)
            _log.info("packed in %d sequences of at most %d tokens, %.0f %% full, attention %s",
                      len(rows), training.max_length, 100 * share, attention_of(job))  # fmt: skip
        _log.info(
            "%d samples (left out: %s), %d steps, warm-up %d, checkpoints after %s",
            len(samples), split.left_out or "none", plan.steps, plan.warmup_steps,
            ", ".join(map(str, plan.checkpoint_steps[:8])) + (" ..." if len(plan.checkpoint_steps) > 8 else ""),
        )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(job.resume) if job.resume else None)
    step = trainer.state.global_step
    if not boundary.interrupted:
        if step != plan.steps:
            raise RuntimeError(f"training ended after step {step} of {plan.steps}")
        trainer.save_model(str(job.final))
    torch.distributed.barrier()
    if events is not None:
        history = trainer.state.log_history if rank == 0 else []
        events.emit("interrupted" if boundary.interrupted else "finished", step=step, history=history)


def _agree_on_start(job: TrainingJob) -> None:
    """Raise TryAgain where ranks would go on from different steps.

    Each node looks for the newest checkpoint itself, and a former attempt's last can be committed between two looks.
    """
    import torch.distributed as dist

    found: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(found, job.resume.name if job.resume else "no checkpoint")
    if len(different := sorted({str(one) for one in found})) > 1:
        raise TryAgain(f"nodes would begin from different places: {', '.join(different)}", "CheckpointsDiffer")


def _needed(base: Any, model: Any) -> Needed | None:
    """Counts a batch's operations; None for a model whose config is laid out otherwise."""
    # Under ZeRO-3 a parameter is empty outside of its pass, and knows its size by another name.
    trained = sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters() if p.requires_grad)
    full = model is base
    try:
        return family_of(base.config.model_type).needed(base.config.to_dict(), 0 if full else trained, full=full)
    except KeyError as error:
        _log.info("no FLOPs and no MFU: the model's config has no %s", error)
        return None


def prepare_libraries(*, cuda: bool, quantized: bool = False) -> None:
    """What must be set before transformers and DeepSpeed are imported or initialised."""
    # Libraries import each other wherever they are installed. A rank that does without these starts sooner, and none of
    # them can break it. Nor does torch compile anything here, though DeepSpeed's decorators would load its compiler.
    for package in ("datasets", "scipy", *([] if quantized else ["bitsandbytes"])):
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # as if it were not installed
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    # The launcher reports; Trainer's own callback would report a second time, with an ETA that is wrong after a resume.
    os.environ["DISABLE_KUBEFLOW_INTEGRATION"] = "TRUE"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from fabula_workloads.models.library_logs import quiet_bitsandbytes
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    quiet_bitsandbytes()
    prepare_torchvision()
    if not cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        import deepspeed

        # Compiling this op takes most of a minute and a compiler; gloo gives the same losses without it.
        compatible: Any = deepspeed.ops.__compatible_ops__
        compatible["deepspeed_shm_comm"] = False


if __name__ == "__main__":
    main()
