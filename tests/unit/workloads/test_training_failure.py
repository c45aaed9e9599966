"""Which rank began a failure, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from fabula_api.worker import PEER_LOST
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.training.messages.failure import RankFailure, first_cause, from_exception, from_exit_code

NCCL_WITHOUT_MEMORY = """NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, unhandled cuda error, \
NCCL version 2.27.5
ncclUnhandledCudaError: Call to CUDA function failed.
Last error:
Failed to CUDA calloc async 608 bytes: Cuda failure 2 'out of memory'"""
ABORTED = """[rank1]:[E1128 20:11:09.1 ProcessGroupNCCL.cpp:2068] [PG ID 0 PG GUID 0(default_pg) Rank 1] Process group \
watchdog thread terminated with exception: {}
Exception raised from checkForNCCLErrorsInternal at /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:2461
terminate called after throwing an instance of 'c10::DistBackendError'
"""


def test_a_killed_rank_is_blamed_and_not_the_one_that_lost_its_connection() -> None:
    lost = from_exception(0, RuntimeError("[../gloo/transport/tcp/pair.cc] Connection closed by peer [127.0.0.1]"))
    killed = from_exit_code(1, -9, at=lost.at + 5)
    cause = first_cause([lost, killed])
    assert (cause.rank, cause.reason, cause.exit_code) == (1, "RankKilled", 1)
    assert "SIGKILL" in cause.message


def test_an_exception_is_blamed_and_not_the_rank_that_torchrun_then_ended() -> None:
    raised = from_exception(3, ZeroDivisionError("division by zero"))
    ended = from_exit_code(0, -15)
    assert first_cause([ended, raised]) is raised
    assert (raised.reason, raised.exception) == ("ZeroDivisionError", "ZeroDivisionError")


def test_of_two_exceptions_the_earlier_began_it() -> None:
    late, early = RankFailure(0, "A", "", 1, at=20.0), RankFailure(1, "B", "", 1, at=10.0)
    assert first_cause([late, early]) is early


def test_out_of_memory_is_recognised_in_its_forms() -> None:
    for error in (
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes"),
        RuntimeError(NCCL_WITHOUT_MEMORY),
    ):
        failure = from_exception(2, error)
        assert (failure.reason, failure.consequence) == ("OutOfMemory", False)
        assert "training.maxLength" in failure.message


def test_a_rank_that_nccl_aborted_when_another_was_gone_is_not_blamed() -> None:
    """The watchdog ends it from a thread of its own, so it leaves no word, only its log."""
    began = from_exception(3, RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    aborted = from_exit_code(1, -6, at=began.at + 1, said=ABORTED.format("NCCL error: remote process exited"))
    assert (aborted.reason, aborted.consequence) == (PEER_LOST, True)
    assert "rank 1 was ended by NCCL: NCCL error: remote process exited" in aborted.message
    assert first_cause([aborted, began]) is began
    late = from_exit_code(2, -6, said=ABORTED.format("Watchdog caught collective operation timeout: WorkNCCL(...)"))
    assert late.reason == PEER_LOST


def test_a_rank_that_nccl_aborted_for_an_error_of_its_own_device_is_blamed() -> None:
    own = from_exit_code(1, -6, said=ABORTED.format("CUDA error: an illegal memory access was encountered"))
    assert (own.reason, own.consequence) == ("RankKilled", False)
    assert "an illegal memory access was encountered" in own.message
    assert from_exit_code(1, -6).message == "rank 1 was killed by SIGABRT"


def test_a_named_failure_keeps_name_and_exit_code() -> None:
    failure = from_exception(0, ConfigInvalid("lora.targetModules: q is no linear layer"))
    assert (failure.reason, failure.exit_code) == ("ConfigInvalid", 64)
    assert not failure.consequence


def test_a_loader_workers_error_is_told_by_what_was_raised() -> None:
    wrapped = (
        "Caught InputInvalid in DataLoader worker process 0.\nTraceback ...\n  x\nm.InputInvalid: sample s1: bad\n"
    )
    assert from_exception(0, InputInvalid(wrapped)).message == "sample s1: bad"


def test_a_rank_that_ends_without_a_word_is_told_by_its_exit_code() -> None:
    assert "exit code 3" in from_exit_code(5, 3).message


def test_a_failure_file_cut_short_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "failure-0.json"
    assert RankFailure.read(file) is None
    from_exit_code(0, -9).write(file)
    whole = file.read_text()
    assert RankFailure.read(file) == from_exit_code(0, -9)
    file.write_text(whole[:20])
    assert RankFailure.read(file) is None
