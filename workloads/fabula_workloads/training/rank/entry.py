"""One rank of a training run: `python -m fabula_workloads.training.rank.entry`, started by torchrun.

It reads its job from the scratch folder, trains, and leaves either the adapter or a word about what went wrong.
"""

from __future__ import annotations

import logging
import os
import sys

from fabula_workloads.models.left_out import leave_out
from fabula_workloads.training.libraries.versions import check_versions
from fabula_workloads.training.messages.failure import from_exception, print_traceback
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.messages.process import die_with_parent
from fabula_workloads.training.rank.sockets import keep_socket_paths_short


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
    """Train as the job says (`run.train`)."""
    spec = job.spec
    prepare_libraries(cuda=spec.topology.device == "cuda", quantized=spec.lora.quantization != "none")
    if spec.training.loader_workers:
        keep_socket_paths_short()
    from fabula_workloads.training.rank import run

    run.train(job, rank)


def prepare_libraries(*, cuda: bool, quantized: bool = False) -> None:
    """What must be set before transformers and DeepSpeed are imported or initialised."""
    # A rank that does without these starts sooner, and none of them can break it. Nor does torch compile anything here,
    # though DeepSpeed's decorators would load its compiler.
    # DeepSpeed's tuner would load MLflow, and with it a pool of memory whose thread no copied process may have.
    leave_out("datasets", "scipy", "mlflow", *([] if quantized else ["bitsandbytes"]))
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    # The launcher reports; Trainer's own callback would report a second time, with an ETA that is wrong after a resume.
    os.environ["DISABLE_KUBEFLOW_INTEGRATION"] = "TRUE"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from fabula_workloads.models.library_logs import quiet_bitsandbytes
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    check_versions()
    quiet_bitsandbytes()
    prepare_torchvision()
    if not cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        from fabula_workloads.training.libraries.zero import without_compiled_collectives, without_markers

        without_compiled_collectives()
        without_markers()


if __name__ == "__main__":
    main()
