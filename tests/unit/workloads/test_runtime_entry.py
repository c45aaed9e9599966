"""A worker process from config to exit code: every end has its code, its reason and its last word."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.support.patience import SECONDS
from tests.support.worker_process import KEY, end_of, run_worker_process, start_worker, worker_config

from fabula_api.artifact import MANIFEST
from fabula_api.worker import TERMINATION_LIMIT, ExitCode, WorkerConfig
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.entry import read_shard
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.open_store import open_store

SPEC = {"source": {"uri": "in.jsonl", "licenseAccepted": True}}
STAGE = """
import logging, os, signal, sys, time
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.entry import run_worker
from fabula_workloads.runtime.failures import *
from fabula_workloads.runtime.ledger import Ledger
log = logging.getLogger("trial")
def stage(context):
{body}
sys.exit(run_worker("extract", os.environ["FABULA_CONFIG"], lambda config: stage))
"""


def script(body: str) -> str:
    return STAGE.format(body="\n".join(f"    {line}" for line in body.strip().splitlines()))


def config(tmp: Path, **fields: Any) -> dict[str, Any]:
    return worker_config(tmp, "extract", SPEC, **fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": {"podcast": {"source": {}}}}, "FABULA_CONFIG: spec.podcast.source.uri: Field required"),
        (
            {"spec": {"podcast": {"source": {"uri": "x", "limit": 0}}}},
            "spec.podcast.source.limit: Input should be greater than or equal to 1",
        ),
        ({"shards": 0}, "FABULA_CONFIG: shards: Input should be greater than or equal to 1"),
        ({"surprise": 1}, "FABULA_CONFIG: surprise: Extra inputs are not permitted"),
        ({"root": "ftp://x"}, "'ftp://x' is neither a file:// nor an s3:// URI"),
        ({"stage": "illustrate"}, "the command runs stage extract, but the config is for stage illustrate"),
    ],
)
def test_bad_config_is_told_by_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    ended = run_worker_process(tmp_path, {**config(tmp_path), **change}, stage="extract")
    assert ended.code == ExitCode.CONFIG
    assert ended.result["failure"]["reason"] == "ConfigInvalid"
    assert message in ended.result["failure"]["message"]
    assert message in ended.output


def test_config_errors_do_not_quote_values(tmp_path: Path) -> None:
    ended = run_worker_process(tmp_path, {**config(tmp_path), "attempt": "hunter2"}, stage="extract")
    assert ended.code == ExitCode.CONFIG
    assert "attempt" in ended.output
    assert "hunter2" not in ended.output + json.dumps(ended.result)


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("{", "Invalid JSON"), ("[]", "valid dictionary")])
def test_a_config_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    ended = run_worker_process(tmp_path, text, stage="extract")
    assert ended.code == ExitCode.CONFIG
    assert message in ended.result["failure"]["message"]


def test_a_shard_beyond_the_last(tmp_path: Path) -> None:
    ended = run_worker_process(tmp_path, config(tmp_path, shards=2), shard=2)
    assert ended.code == ExitCode.CONFIG
    assert "JOB_COMPLETION_INDEX is '2', but the stage has shards 0 to 1" in ended.result["failure"]["message"]


def test_the_index_of_a_groups_pod_is_its_node_and_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = WorkerConfig.model_validate(config(tmp_path))
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    with pytest.raises(ConfigInvalid):
        read_shard(told)
    monkeypatch.setenv("PET_NNODES", "2")
    assert read_shard(told) == 0


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ("raise InputInvalid('data is odd')", ExitCode.INPUT, "InputInvalid"),
        ("raise CredentialsRefused('no', 'NoPermission')", ExitCode.CREDENTIALS, "NoPermission"),
        ("raise TryAgain('later', 'StoreUnavailable')", ExitCode.RETRY, "StoreUnavailable"),
        ("context.open_input('ingest')", ExitCode.CONFIG, "ConfigInvalid"),
        ("raise Crashed('rank 1 died', rank=1, exception='ValueError', log_tail=['x'])", 1, "Crashed"),
        ("raise RuntimeError('unforeseen')", 1, "Crashed"),
        ("raise MemoryError", 1, "OutOfMemory"),
        ("sys.exit(3)", 1, "Crashed"),
    ],
)
def test_every_failure_has_its_code_and_its_last_word(tmp_path: Path, body: str, code: int, reason: str) -> None:
    ended = run_worker_process(tmp_path, config(tmp_path), script=script(body))
    assert ended.code == code
    failure = ended.result["failure"]
    assert (failure["reason"], failure["stage"], failure.get("exitCode")) == (reason, "extract", code)


def test_a_crash_leaves_its_class_its_place_and_twenty_lines(tmp_path: Path) -> None:
    body = "for n in range(50): log.info('line %d %s', n, 'x' * 500)\nraise KeyError('missing')"
    ended = run_worker_process(tmp_path, config(tmp_path), script=script(body))
    failure = ended.result["failure"]
    assert failure["exception"] == "KeyError"
    assert "KeyError: 'missing' (at <string>" in failure["message"]
    assert "line 49" in "\n".join(failure["logTail"])
    assert "KeyError" in failure["logTail"][-1]
    assert len(failure["logTail"]) <= 20
    assert len((tmp_path / "termination.json").read_bytes()) <= TERMINATION_LIMIT


def test_a_rank_that_died_is_told_with_its_own_log(tmp_path: Path) -> None:
    body = (
        "raise Crashed('rank 3 ran out of memory', 'OutOfMemory', rank=3, exception='CudaError', log_tail=['its end'])"
    )
    failure = run_worker_process(tmp_path, config(tmp_path), script=script(body)).result["failure"]
    assert (failure["rank"], failure["exception"], failure["logTail"]) == (3, "CudaError", ["its end"])


def test_success_tells_counts_and_artifact(tmp_path: Path) -> None:
    body = """
from fabula_workloads.runtime.artifact import add_part, commit
manifest = commit(context.store, kind="x", parts=[add_part(context.store, "p", b"1")])
return StageResult(artifact=manifest, counts={"item/ok": 4.0}, summary={"a": 1})
"""
    ended = run_worker_process(tmp_path, config(tmp_path), script=script(body))
    assert ended.code == 0
    assert ended.result["outcome"] == "Succeeded"
    assert ended.result["counts"] == {"item/ok": 4.0}
    assert ended.result["artifact"]["uri"] == f"{tmp_path.as_uri()}/out/extract"


def test_a_result_that_does_not_fit_is_said_and_not_cut(tmp_path: Path) -> None:
    ended = run_worker_process(
        tmp_path, config(tmp_path), script=script("return StageResult(counts={f'{i:0190}': 1 for i in range(30)})")
    )
    assert ended.code == 1
    assert "more than the 4096 of a termination message" in ended.result["failure"]["message"]


def test_a_committed_stage_is_reused_without_importing_it(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path.as_uri()}/out/assemble")
    manifest = commit(
        store,
        kind="dataset",
        key=KEY,
        parts=[add_part(store, "train.jsonl", b"{}")],
        counts={"sample/ok": 2},
        details={"summary": {"samples": 2}},
    )
    no_torch = "import sys; sys.modules['torch'] = None\n" + (
        "from fabula_workloads.runtime.entry import run_worker\nimport os\n"
        "def never(config): raise AssertionError('imported')\n"
        "sys.exit(run_worker('assemble', os.environ['FABULA_CONFIG'], never))"
    )
    ended = run_worker_process(tmp_path, worker_config(tmp_path, "assemble", SPEC), script=no_torch)
    assert (ended.code, ended.result["reused"]) == (0, True)
    assert ended.result["artifact"]["digest"] == manifest.digest
    assert ended.result["summary"] == {"samples": 2}


def test_a_sharded_stage_is_not_skipped_for_a_manifest(tmp_path: Path) -> None:
    open_store(f"{tmp_path.as_uri()}/out/extract").write(MANIFEST, b"{}")
    ended = run_worker_process(tmp_path, config(tmp_path), script=script("return StageResult(counts={'ran': 1.0})"))
    assert ended.result["counts"] == {"ran": 1.0}


ITEMS = """
ledger = Ledger(context.store)
for number in range(1000):
    if ledger.get(str(number)) is None:
        context.check_stop()
        print("item", number, flush=True)
        ledger.put(str(number), {"outcome": "ok"})
        time.sleep(0.02)
"""


def wait_for(process: subprocess.Popen[str], text: str) -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"the worker ended without {text!r}: {''.join(lines)}")


def test_sigterm_ends_between_two_items_and_the_next_start_goes_on(tmp_path: Path) -> None:
    process = start_worker(tmp_path, config(tmp_path), script=script(ITEMS))
    lines = wait_for(process, "item 5")
    process.send_signal(signal.SIGTERM)
    ended = end_of(process, tmp_path)
    assert ended.code == ExitCode.RETRY
    assert ended.result["failure"]["reason"] == "Interrupted"
    done = {line.split()[1] for line in [*lines, *ended.output.splitlines()] if line.startswith("item ")}
    again = start_worker(tmp_path, config(tmp_path), script=script(ITEMS))
    first = next(line for line in wait_for(again, "item ") if line.startswith("item "))
    again.kill()
    again.communicate()
    assert first.split()[1] == str(len(done))


IN_HAND = """
print("begun", flush=True)
context.stopping.wait()
print("told", flush=True)
sys.stdin.readline()
print("kept", flush=True)
context.check_stop()
"""


def test_a_second_sigterm_does_not_cut_off_what_is_in_hand(tmp_path: Path) -> None:
    """A node that was restarted while the pod ended sends another."""
    process = start_worker(tmp_path, config(tmp_path), script=script("import sys\n" + IN_HAND))
    wait_for(process, "begun")
    process.send_signal(signal.SIGTERM)
    wait_for(process, "told")
    process.send_signal(signal.SIGTERM)
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    wait_for(process, "kept")
    ended = end_of(process, tmp_path)
    assert (ended.code, ended.result["failure"]["reason"]) == (ExitCode.RETRY, "Interrupted")


def test_a_signal_in_the_moment_in_which_the_stage_asks_whether_to_stop(tmp_path: Path) -> None:
    """The event's lock is held by the very thread that the signal interrupts."""
    body = """
with context.stopping._cond:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
print("went on", flush=True)
context.stopping.wait()
context.check_stop()
"""
    ended = run_worker_process(tmp_path, config(tmp_path), script=script(body))
    assert (ended.code, ended.result["failure"]["reason"]) == (ExitCode.RETRY, "Interrupted")


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    process = start_worker(tmp_path, config(tmp_path), script=script("import sys\n" + IN_HAND))
    wait_for(process, "begun")
    process.send_signal(signal.SIGINT)
    wait_for(process, "told")
    process.send_signal(signal.SIGINT)
    assert end_of(process, tmp_path).code == ExitCode.RETRY


def test_killed_between_items_repeats_none(tmp_path: Path) -> None:
    """kill -9 as often as it takes: each item is worked on once, but for the one in hand."""
    worked: list[str] = []
    for kill_at in (3, 9, 15):
        process = start_worker(tmp_path, config(tmp_path), script=script(ITEMS))
        lines = wait_for(process, f"item {kill_at}")
        process.kill()
        rest, _ = process.communicate()
        worked += [line.split()[1] for line in [*lines, *rest.splitlines()] if line.startswith("item ")]
    repeated = len(worked) - len(set(worked))
    assert repeated <= 2  # at most the item in hand, for each of the two restarts
    assert len(set(worked)) >= 16


def test_metrics_are_served(tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FABULA_METRICS_PORT", str(unused_port))
    body = (
        "context.reporter.update(done=3, total=7, metrics={'loss': 1.5})\nprint('ready', flush=True)\n"
        "context.stopping.wait()\nreturn StageResult()"
    )
    process = start_worker(tmp_path, config(tmp_path), script=script(body))
    wait_for(process, "ready")
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/metrics", timeout=SECONDS) as reply:
        text = reply.read().decode()
    process.terminate()
    end_of(process, tmp_path)
    assert 'fabula_stage_items_done{arm="",stage="extract"} 3.0' in text
    assert 'fabula_stage_figure{arm="",name="loss",stage="extract"} 1.5' in text
