"""Which rank began a failure, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.training.failure import RankFailure, first_cause, from_exception, from_exit_code


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


def test_out_of_memory_is_recognised_in_its_three_forms() -> None:
    for error in (
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes"),
    ):
        failure = from_exception(2, error)
        assert failure.reason == "OutOfMemory"
        assert "training.maxLength" in failure.message


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
