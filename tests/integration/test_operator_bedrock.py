"""A build through Bedrock on the laptop cluster: operator, Jobs and workers as they are, the provider a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import TOKEN, Bedrock, run_bedrock
from tests.support.bedrock_faults import Faults
from tests.support.control_plane import ControlPlane, eventually
from tests.support.operator_driver import install_crds, run_object
from tests.support.operator_process import OperatorProcess, account_kubeconfig, certificates

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import RUNS, Obj, Resource
from fabula_quickstart.prepare import episodes_gz, read_scripts

BUILD = RUNS["DatasetBuild"]
SECRET = Resource("", "v1", "Secret", "secrets")


@pytest.fixture
def cluster(tmp_path: Path, stage_libraries: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with ControlPlane(tmp_path / "cluster", libraries=stage_libraries) as running:
        yield running


def spec(endpoint: str) -> dict[str, Any]:
    return {
        "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
        "extraction": {
            "provider": "bedrock", "endpointUrl": endpoint, "words": {"min": 80, "max": 260}, "maxTokens": 4096,
            "workers": 2, "quota": {"requestsPerMinute": 6000, "tokensPerMinute": 60_000_000},
        },
        "images": {
            "provider": "bedrock", "endpointUrl": endpoint, "workers": 2, "quota": {"requestsPerMinute": 6000},
        },
        "secretRef": {"name": "bedrock"},
    }  # fmt: skip


class Bench:
    """A cluster with an operator, a source and the provider's credentials."""

    def __init__(self, api: Api, operator: OperatorProcess) -> None:
        self.api, self.operator = api, operator

    @classmethod
    async def make(cls, cluster: ControlPlane, folder: Path, bedrock: Bedrock) -> Bench:
        source = folder / "artifacts" / "episodes.jsonl.gz"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(episodes_gz(read_scripts()))
        api = Api.connect(cluster.kubeconfig)
        await install_crds(api)
        account = await account_kubeconfig(api, cluster.kubeconfig, folder / "operator.kubeconfig")
        options = ("--worker-metrics-port", "0", "--progress-interval", "0.5", "--identity", "one")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bedrock", "namespace": "default"}}
        await api.request("POST", SECRET.path("default"), body={**secret, "stringData": bedrock.environment()})
        return cls(api, OperatorProcess(account, folder, certificates(folder), "one", *options))

    async def apply(self, build: dict[str, Any], name: str = "data") -> None:
        body = run_object("DatasetBuild", "default", name, build)
        await self.api.request("POST", BUILD.path("default"), body=body)

    async def until(self, holds: Callable[[Obj], object], what: str, name: str = "data") -> Obj:
        async def look() -> Obj | None:
            run = await self.api.get(BUILD, "default", name)
            return run["status"] if run and "status" in run and holds(run) else None

        found: Obj = await eventually(look, what)
        return found

    async def ended(self) -> Obj:
        """The status once the build has ended, with the spec as it is now."""

        def over(run: Obj) -> bool:
            status = run["status"]
            seen = status.get("observedGeneration") == run["metadata"]["generation"]
            return seen and status.get("state") in ("Succeeded", "Failed")

        status = await self.until(over, "the end")
        assert status["state"] == "Succeeded", status.get("failure")
        return status


async def test_a_build_is_paid_for_once_through_faults_and_a_dead_operator(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    faults = Faults(seed=5, throttle=0.1, server_error=0.05, cut=0.03, fenced=0.1, filtered_image=0.05)
    with run_bedrock(Bedrock(faults=faults)) as bedrock:
        bench = await Bench.make(cluster, tmp_path, bedrock)
        await bench.apply(spec(bedrock.endpoint))
        with bench.operator:
            await bench.until(lambda run: bedrock.bill.paid, "the first paid call")
            bench.operator.kill()
        with bench.operator:
            status = await bench.ended()
            bench.operator.stop()
        bill = bedrock.bill
        assert bill.paid_twice() == {}
        assert status["costUsd"] == pytest.approx(bill.usd_delivered, abs=1e-3)
        assert status["calls"]["paid"] == sum(charge.delivered for charge in bill.paid)
        delivered = [charge for charge in bill.paid if charge.delivered]
        assert status["tokens"]["input"] == sum(charge.tokens_in for charge in delivered)
        assert status["figures"]["verbatimRatio"] == 1.0
        assert status["samples"] > 0
        items = {(item["kind"], item["outcome"], item.get("reason")): item["count"] for item in status["items"]}
        assert items["extract", "ok", None] == 10
        assert items["image", "ok", None] == sum(charge.images for charge in delivered)
        assert "Secret" not in str(status) and "secret-of-the-tests" not in str(status)
        await bench.api.close()


async def test_a_small_budget_is_kept_and_a_larger_one_goes_on(cluster: ControlPlane, tmp_path: Path) -> None:
    with run_bedrock() as bedrock:
        bench = await Bench.make(cluster, tmp_path, bedrock)
        asked = spec(bedrock.endpoint)
        asked["extraction"]["maxTokens"] = 2048
        asked["extraction"]["budgetShare"] = 0.04
        asked["images"]["require"] = 0
        await bench.apply({**asked, "budget": {"usd": 3.0}})
        with bench.operator:
            status = await bench.ended()
            assert 2.5 < status["costUsd"] <= 3.0 and bedrock.bill.usd <= 3.0
            told = next(one["message"] for one in status["conditions"] if one["type"] == "Succeeded")
            assert "BudgetReached" in told
            few = status["samples"]
            await bench.api.patch(BUILD, "default", "data", {"spec": {"budget": {"usd": 100}}})
            status = await bench.ended()
            bench.operator.stop()
        assert status["samples"] > few
        assert status["figures"]["samplesWith5Pictures"] == status["samples"]
        assert bedrock.bill.paid_twice() == {}
        assert status["costUsd"] == pytest.approx(bedrock.bill.usd, abs=1e-3)
        told = next(one["message"] for one in status["conditions"] if one["type"] == "Succeeded")
        assert "BudgetReached" not in told
        await bench.api.close()


def wide(cluster: ControlPlane, name: str) -> str:
    """What a person sees of a build."""
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "get", "datasetbuild", name, "-o", "wide"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()[1]


REFUSALS = {
    "no_access": ("NoPermission", "the account has no access to models in us-west-2 (ValidationException: operation "
                  "not allowed): ask for access in Bedrock's model catalog"),
    "odd": ("AllCallsRefused", "Bedrock refused all "),
}  # fmt: skip


async def test_a_dry_run_estimates_and_what_every_call_meets_is_told_beside_the_run(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """A dry run spends nothing. Then the account is not as it must be: reason and remedy are columns of kubectl."""
    with run_bedrock() as bedrock:
        bench = await Bench.make(cluster, tmp_path, bedrock)
        asked = spec(bedrock.endpoint)
        await bench.apply(asked | {"dryRun": True})
        with bench.operator:
            status = await bench.ended()
            assert status["estimate"]["calls"] > 0 and status["estimate"]["usd"] > 0
            assert [stage["name"] for stage in status["stages"]] == ["ingest", "estimate"]
            for number, (fault, (reason, words)) in enumerate(REFUSALS.items()):
                bedrock.faults, name = Faults(always=fault), f"{fault.replace('_', '.')}.v2"
                # Other settings, so that the folders of the one before are not this one's.
                asked["extraction"] |= {"workers": 1, "maxTokens": 4096 - number}
                await bench.apply(asked | {"images": {"provider": "none"}}, name)
                status = await bench.until(lambda run: run["status"].get("state") == "Failed", "the refusal", name)
                assert status["failure"]["reason"] == reason and status["failure"]["message"].startswith(words)
                row = wide(cluster, name)
                assert row.split()[:2] == [name, "Failed"] and f" {reason} " in row and words in row
                assert "extract/" not in str(status.get("items"))
            bench.operator.stop()
        assert bedrock.bill.paid == []
        await bench.api.close()


async def test_a_provider_in_trouble_is_told_on_the_run_while_it_lasts(cluster: ControlPlane, tmp_path: Path) -> None:
    """With a bearer token from the Secret, over TLS. First the provider is gone, then it turns calls away."""
    gone, busy = Faults(outage=(0, 1e9)), Faults(throttle=1, at_most_in_a_row=10**6)
    with run_bedrock(Bedrock(faults=gone, token=TOKEN), tls=tmp_path) as bedrock:
        bench = await Bench.make(cluster, tmp_path, bedrock)
        asked = spec(bedrock.endpoint)
        asked["extraction"] |= {"maxTokens": 2048, "maxExcerpts": 2, "concurrency": 4}
        await bench.apply(asked | {"images": {"provider": "none"}, "target": {"samples": 1}})

        async def held_by(reason: str) -> str:
            status = await bench.until(lambda run: run["status"].get("reason") == reason, reason)
            running = next(one for one in status["conditions"] if one["type"] == "Running")
            assert (status["state"], running["status"], running["reason"]) == ("Running", "True", reason)
            return str(running["message"])

        with bench.operator:
            assert "answers ServiceUnavailableException" in await held_by("ProviderUnavailable")
            bedrock.faults = busy
            assert "turns calls away (ThrottlingException)" in await held_by("ProviderThrottled")
            assert bedrock.bill.paid == []
            bedrock.faults = Faults()
            status = await bench.ended()
            bench.operator.stop()
        assert status.get("reason") not in ("ProviderThrottled", "ProviderUnavailable")
        assert not any("rovider" in one["message"] for one in status["conditions"])
        assert bedrock.authorizations == {(f"Bearer {TOKEN}", "")}
        assert TOKEN not in str(status)
        await bench.api.close()
