"""What a person does to a paid build with kubectl: pause it in full flight, let it grow, try again what failed."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabula_quickstart.prepare import episodes_gz, read_scripts
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_faults import Faults
from tests.support.build_bench import BuildBench
from tests.support.build_books import Books
from tests.support.patience import until

pytestmark = pytest.mark.slow
NO_PICTURES = {"images": {"provider": "none", "require": 0}}
GRACE_SECONDS = 3
"""The operator's usual grace; calls in flight take longer."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, stage_libraries: Path) -> Iterator[BuildBench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        folder = tmp_path_factory.mktemp("by-hand")
        with (
            run_bedrock(Bedrock()) as bedrock,
            BuildBench(folder, bedrock, stage_libraries, "--worker-grace", str(GRACE_SECONDS)) as running,
        ):
            (running.artifacts / "episodes.jsonl.gz").write_bytes(episodes_gz(read_scripts()))
            yield running


def spec(bench: BuildBench, name: str, **more: Any) -> dict[str, Any]:
    """Ten episodes; each build has folders of its own, or it would find what the one before paid for."""
    paid = {"provider": "bedrock", "endpointUrl": bench.bedrock.endpoint, "workers": 2, "concurrency": 2}
    return {
        "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
        "extraction": {**paid, "words": {"min": 80, "max": 260}, "maxTokens": 2048, "maxExcerpts": 2},
        "images": {**paid, "perSample": 1},
        "output": {"uri": name},
        "secretRef": {"name": "bedrock"},
        **more,
    }


def items(status: dict[str, Any]) -> dict[tuple[str, str, str | None], int]:
    return {(one["kind"], one["outcome"], one.get("reason")): one["count"] for one in status["items"]}


def told_to_end(bench: BuildBench) -> list[str]:
    """Pods that the node has sent a SIGTERM to."""
    events = bench.wire.ok("GET", "/api/v1/namespaces/default/events", fieldSelector="reason=Killing")["items"]
    return [event["involvedObject"]["name"] for event in events]


def logs(bench: BuildBench) -> str:
    """What the cluster's pods have said."""
    files = (path for path in (bench.cluster.state_dir / "pods").rglob("*") if path.is_file())
    return "".join(
        path.read_text(errors="replace") for path in files if "its answer" in path.read_text(errors="replace")
    )


def message(status: dict[str, Any], condition: str) -> str:
    return next(str(one["message"]) for one in status["conditions"] if one["type"] == condition)


def test_a_build_that_is_paused_in_full_flight_ends_its_calls_and_pays_for_none_again(bench: BuildBench) -> None:
    bedrock = bench.bedrock
    bench.apply("calm", spec(bench, "calm", **NO_PICTURES))
    calm = bench.ended("calm")
    calls = len(bedrock.bill.paid)

    bedrock.gate = threading.Event()
    bench.apply("paused", spec(bench, "paused", **NO_PICTURES))
    until(lambda: bedrock.in_flight == 4, "four calls in flight")
    bench.patch("paused", {"suspend": True})
    asked = bedrock.clock.now()
    status = bench.until("paused", lambda status: status.get("state") == "Suspended", "said to be suspended")
    said = bedrock.clock.now()
    assert message(status, "Suspended") == "waiting for 2 pods to finish what is in hand"
    # A node that comes back tells the pods that were ending once more to end, which must not cut them off.
    until(lambda: len(told_to_end(bench)) == 2, "both pods are told to end")
    bench.cluster.kill()
    bench.cluster.start()
    until(lambda: bedrock.clock.now() - asked > 2 * GRACE_SECONDS, "the operator's usual grace is over")
    assert len(bench.workers()) == 2 and bedrock.in_flight == 4
    bedrock.gate.set()
    answered, bedrock.gate = bedrock.clock.now(), None
    until(lambda: not bench.workers(), "no worker runs")
    gone = bedrock.clock.now()
    bench.until("paused", lambda status: message(status, "Suspended") == "no pod runs", "no pod runs")
    last = max(charge.began for charge in bedrock.bill.charges)
    print(
        f"the last call began {last - asked:.1f} s after kubectl returned, Suspended was said after {said - asked:.1f} "
        f"s, the last worker ended {gone - answered:.1f} s after the last answer"
    )
    assert last < said, "no call begins once the build is held"
    flown = bedrock.bill.paid[calls:]
    assert len(flown) >= 4 and all(charge.delivered for charge in flown)

    bench.patch("paused", {"suspend": False})
    status = bench.ended("paused")
    assert status["artifact"]["digest"] == calm["artifact"]["digest"]
    assert status["costUsd"] == calm["costUsd"]
    assert status["calls"] == {"paid": calls, "saved": len(flown), "lost": 0}
    assert set(Counter(charge.item for charge in bedrock.bill.paid).values()) == {2}, "once by each of the two builds"


def test_a_raised_budget_and_a_raised_target_go_on_where_the_build_stopped(bench: BuildBench) -> None:
    before = len(bench.bedrock.bill.paid)
    bench.apply("growing", spec(bench, "growing", budget={"usd": 0.1}, **NO_PICTURES))
    small = bench.ended("growing")
    assert small["costUsd"] <= 0.1
    assert "BudgetReached" in message(small, "Succeeded")

    bench.patch("growing", {"budget": {"usd": 50}, "target": {"samples": small["samples"] + 2}})
    larger = bench.ended("growing")
    assert larger["samples"] == small["samples"] + 2
    assert "BudgetReached" not in message(larger, "Succeeded")

    bench.patch("growing", {"target": {"samples": small["samples"] + 5}})
    largest = bench.ended("growing")
    assert largest["samples"] == small["samples"] + 5
    paid = bench.bedrock.bill.paid[before:]
    assert set(Counter(charge.item for charge in paid).values()) == {1}, "no item is paid for twice"
    assert largest["costUsd"] == pytest.approx(sum(charge.usd for charge in paid), abs=1e-3)
    assert small["costUsd"] < larger["costUsd"] < largest["costUsd"]


def test_a_higher_retry_tries_what_failed_and_nothing_else(bench: BuildBench) -> None:
    bedrock = bench.bedrock
    bedrock.faults = Faults(seed=3, malformed=0.5, filtered_image=0.4)
    bench.apply("failing", spec(bench, "failing"))
    first = bench.ended("failing")
    assert items(first).get(("extract", "failed", "MalformedReply")) and items(first).get(
        ("image", "failed", "PictureFiltered")
    )
    before = Books.of(first, bedrock.bill)
    paid = len(bedrock.bill.paid)

    bedrock.faults = Faults()
    bench.patch("failing", {"retryFailed": 1})
    second = bench.ended("failing")
    assert not [entry for entry in items(second) if entry[1] == "failed"]
    again = bedrock.bill.paid[paid:]
    readable = {call for call, record in before.records.items() if record["usd"] and "episode" not in record}
    assert again and not {charge.item for charge in again} & readable
    assert set(Counter(charge.item for charge in again).values()) == {1}
    assert second["samples"] > first["samples"]
    assert second["costUsd"] == pytest.approx(first["costUsd"] + sum(charge.usd for charge in again), abs=1e-3)


def test_a_build_that_is_deleted_in_full_flight_and_applied_again_waits_for_the_calls_of_the_former(
    bench: BuildBench,
) -> None:
    """The pods of the deleted one end their calls while those of the new one begin, over the same folders."""
    bedrock = bench.bedrock
    bedrock.faults, before = Faults(), len(bedrock.bill.paid)
    bedrock.gate = threading.Event()
    bench.apply("again", spec(bench, "again", **NO_PICTURES))
    until(lambda: bedrock.in_flight == 4, "four calls in flight")
    bench.kubectl("delete", "dsb", "again")
    bench.apply("again", spec(bench, "again", **NO_PICTURES))
    until(lambda: logs(bench).count("its answer is awaited") == 4, "the new workers wait for the former's answers")
    assert bedrock.in_flight == 4, "and send none of them"
    bedrock.gate.set()
    bedrock.gate = None
    status = bench.ended("again")
    until(lambda: bedrock.in_flight == 0, "the last call has ended")
    paid = bedrock.bill.paid[before:]
    assert all(charge.delivered for charge in paid)
    assert set(Counter(charge.item for charge in paid).values()) == {1}, "no item is paid for twice"
    assert status["costUsd"] == pytest.approx(sum(charge.usd for charge in paid), abs=1e-3)
    assert status["calls"]["saved"] >= 4
