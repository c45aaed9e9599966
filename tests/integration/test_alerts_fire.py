"""Each alert fires from a real fault: a Prometheus scrapes an operator to which everything happens that alerts are for.

Children end as a script says, and what workers report is sent as they send it. Of the rules only the waiting is left
out; tests/unit/chart/test_chart_alerts.py has that. That none fires in peace is seen where the demonstration runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
import yaml
from tests.support.holding_proxy import HoldingProxy
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    DATASET_SPEC,
    EVAL_SPEC,
    FINE_TUNE_SPEC,
    MODEL_DIGEST,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.operator_process import (
    LEASES,
    Certificates,
    OperatorProcess,
    account_kubeconfig,
    leading,
    token,
    trust,
)
from tests.support.panels import ELSEWHERE, empty
from tests.support.patience import SECONDS, eventually
from tests.support.prometheus import RULES, Prometheus, hasty, lint, needs_prometheus, of_release
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task, failure, success

from fabula_api.worker import WorkerResult
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import POD, RUNS, Obj, Resource

pytestmark = needs_prometheus
ALL = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
TEAM = "team"
CLUSTER_ROLE = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
TUNE = {**FINE_TUNE_SPEC, "dataset": {"uri": "datasets/vist", "digest": MODEL_DIGEST}}
PAID = {
    **DATASET_SPEC,
    "extraction": {
        "provider": "bedrock", "endpointUrl": "http://127.0.0.1:9", "workers": 1,
        "quota": {"requestsPerMinute": 60, "tokensPerMinute": 600_000},
    },
    "images": {"provider": "none", "require": 0},
    "budget": {"usd": 20},
}  # fmt: skip


JUDGE = "opus"
JUDGED = {
    **EVAL_SPEC,
    "arms": [{"name": name, "model": {"uri": "m", "digest": MODEL_DIGEST}, "gpusPerShard": 0} for name in ("a", "b")],
    "gates": [],
    "judges": [{"name": JUDGE, "model": "global.anthropic.claude-opus-4-5-20251101-v1:0"}],
}


def judged(task: Task) -> Ending:
    """A judge that prefers `b`, and stood its self-test."""
    if task.stage == "judge":
        return Ending(message=WorkerResult(outcome="Succeeded", counts={"verdict/ok": 6}).encode().decode())
    made = WorkerResult.model_validate_json(success(task).message or "")
    if task.stage == "score":
        found = {"name": JUDGE, "trusted": True, "pairs": [{"arm": "b", "versus": "a", "winRate": 0.75, "wins": 4}]}
        made = made.replace(summary={**made.summary.to_wire(), "judges": [found]})
    return Ending(message=made.encode().decode())


def script(task: Task) -> Ending:
    """`broken` has no source, `spent` fails again and again; other trainings, and extraction, go on and on."""
    if task.config["run"]["name"] == "broken":
        return failure("InputInvalid", "there is no such file", 65)
    if task.config["run"]["name"] == "spent":
        return failure("Crashed", "no luck", 1)
    if task.config["run"]["kind"] == "EvalRun":
        return judged(task)
    return Ending(hangs=True) if task.stage in ("train", "extract") else success(task)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[LaptopApi]:
    with LaptopApi(tmp_path / "laptop") as api:
        yield api


@pytest.fixture
async def api(laptop: LaptopApi) -> AsyncIterator[Api]:
    api = Api.connect(laptop.kubeconfig)
    await install_crds(api)
    await make_namespace(api, TEAM)
    yield api
    await api.close()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    with Prometheus(
        tmp_path / "prometheus", hasty(of_release(RULES.read_text(), "default/fabula-operator"))
    ) as running:
        yield running


def certificate_that_ends(folder: Path, days: int) -> Certificates:
    """A certificate of few days."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days))
    found = Certificates(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    issued.cert_chain_pems[0].write_to_path(str(found.cert))
    issued.private_key_pem.write_to_path(str(found.key))
    authority.cert_pem.write_to_path(str(found.authority))
    return found


class Bench:
    """An operator with its cluster, and a Prometheus that scrapes it."""

    def __init__(self, api: Api, operator: OperatorProcess, tls: Certificates, prometheus: Prometheus) -> None:
        self.api, self.operator, self.tls, self.prometheus = api, operator, tls, prometheus
        self.cluster = ScriptedCluster(api, TEAM, script)
        self.fired: set[str] = set()

    async def create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        await self.api.request("POST", RUNS[kind].path(TEAM), body=run_object(kind, TEAM, name, spec))

    async def fires(self, alert: str) -> None:
        """Wait for the alert, and note it."""

        async def look() -> bool:
            await self.cluster.step()
            return alert in await asyncio.to_thread(self.prometheus.firing)

        await eventually(look, f"{alert} to fire")
        self.fired.add(alert)

    async def at_work(self, kind: str, name: str, stage: str) -> Obj:
        """Wait for the stage's pod; it."""

        async def look() -> Obj | None:
            await self.cluster.step()
            pods = await self.api.list(POD, TEAM, f"fabula.dev/stage={stage},fabula.dev/run-name={name}")
            return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

        return await eventually(look, f"stage {stage} of {kind} {name} to be at work")

    async def report(self, kind: str, name: str, pod: Obj, **fabula: Any) -> None:
        """Send what a worker would."""
        plural = RUNS[kind].plural
        run = await self.api.get(RUNS[kind], TEAM, name)
        assert run is not None
        bearer = await token(self.api, TEAM, f"fabula.dev/{plural}/{TEAM}/{name}/{run['metadata']['uid']}", pod)
        url = f"https://127.0.0.1:{self.operator.status_port}/v1alpha1/namespaces/{TEAM}/{plural}/{name}/status"
        async with httpx2.AsyncClient(verify=trust(self.tls), trust_env=False, timeout=SECONDS) as http:
            headers = {"Authorization": f"Bearer {bearer}"}
            answer = await http.post(url, json={"trainerStatus": {}, "fabula": fabula}, headers=headers)
        assert answer.status_code == 200, answer.text

    async def scraped(self, query: str) -> None:
        """Wait until Prometheus has it."""

        async def look() -> bool:
            await self.cluster.step()
            return bool(await asyncio.to_thread(self.prometheus.now, query))

        await eventually(look, f"a scrape that brings {query}")


async def test_each_alert_fires_from_what_it_is_for(
    laptop: LaptopApi, api: Api, prometheus: Prometheus, tmp_path: Path
) -> None:
    account = await account_kubeconfig(api, laptop.kubeconfig, tmp_path / "account")
    proxy, tls = HoldingProxy(account), certificate_that_ends(tmp_path, days=5)
    options = ("--progress-interval", "0.1", "--retry-backoff", "0", "--resync", "1")
    async with proxy.serve(tmp_path) as kubeconfig:
        operator = OperatorProcess(kubeconfig, tmp_path, tls, "one", *options)
        bench = Bench(api, operator, tls, prometheus)
        await bench.fires("FabulaOperatorWithoutLeader")
        with operator:
            await leading(operator)
            prometheus.scrape(operator.metrics_port)
            await bench.fires("FabulaCertificateEnds")
            await runs_that_need_somebody(bench)
            await a_training_in_trouble(bench)
            await a_build_whose_provider_is_in_trouble(bench)
            await an_evaluation_with_a_judge(bench)
            await a_frozen_watch(bench, proxy)
            await a_missing_right(bench)
            assert lint(operator.metrics()) == ""
            # What the demonstration on CPUs cannot show is looked at here.
            assert await asyncio.to_thread(empty, prometheus, prometheus.began) & ELSEWHERE == set()
    assert bench.fired == ALL
    assert await asyncio.to_thread(prometheus.failures) == 0
    # What is told of a run names its own namespace, not the operator's.
    for series in ("fabula_runs", 'ALERTS{name!=""}'):
        found = await asyncio.to_thread(prometheus.since, prometheus.began, series)
        assert {one["metric"]["namespace"] for one in found} == {TEAM}, series
    assert "Traceback" not in operator.log.read_text()


async def runs_that_need_somebody(bench: Bench) -> None:
    await bench.create("DatasetBuild", "broken", {**DATASET_SPEC, "images": {"provider": "none", "require": 0}})
    await bench.create("FineTuneRun", "stalled", {**FINE_TUNE_SPEC, "dataset": {"ref": "broken"}})
    await bench.fires("FabulaRunStalled")
    await bench.create("FineTuneRun", "spent", {**TUNE, "retries": {"failure": 1}})
    await bench.fires("FabulaRetriesSpent")


async def a_training_in_trouble(bench: Bench) -> None:
    await bench.create("FineTuneRun", "nan", TUNE)
    pod = await bench.at_work("FineTuneRun", "nan", "train")
    for step, loss in ((1, 2.5), (2, "NaN")):
        metrics = {"loss": loss, "step": step, "steps": 100, "mfu": 0.4}
        await bench.report("FineTuneRun", "nan", pod, stage="train", done=step, total=100, metrics=metrics)
    await bench.fires("FabulaTrainingUnhealthy")
    # Three hours go by without a checkpoint: the attempt has begun so much earlier.
    run = await bench.api.get(RUNS["FineTuneRun"], TEAM, "nan")
    assert run is not None
    (attempt,) = run["status"]["attempts"]
    began = (datetime.now(UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = {"status": {"attempts": [{**attempt, "startedAt": began}]}}
    await bench.api.patch(RUNS["FineTuneRun"], TEAM, "nan", patch, "status")
    await bench.fires("FabulaCheckpointTooOld")


async def a_build_whose_provider_is_in_trouble(bench: Bench) -> None:
    await bench.create("DatasetBuild", "paid", PAID)
    pod = await bench.at_work("DatasetBuild", "paid", "extract")

    held = {"share": 1.0, "fallbackShare": 1.0}

    async def told(paid: int, lost: int, throttled: int, usd: float) -> None:
        counts = {"calls/paid": paid, "calls/lost": lost, "calls/throttled": throttled, "cost/usd": usd}
        counts |= {"calls/seconds": 1.5 * paid, "tokens/input": 900 * paid, "tokens/output": 100 * paid}
        await bench.report(
            "DatasetBuild", "paid", pod, stage="extract", done=paid, total=100, counts=counts, quota=held
        )

    await told(10, 0, 0, 1.0)
    await bench.scraped('fabula_provider_calls_total{outcome="lost"} == 0')
    await bench.scraped("fabula_provider_throttles_total == 0")
    await told(20, 8, 40, 19.0)
    for alert in ("FabulaProviderCallsLost", "FabulaQuotaThrottled", "FabulaBudgetNearlySpent"):
        await bench.fires(alert)


async def an_evaluation_with_a_judge(bench: Bench) -> None:
    await bench.create("EvalRun", "judged", JUDGED)
    await bench.scraped("fabula_eval_win_rate == 0.75")
    await bench.scraped("fabula_eval_judges_trusted == 1")


async def a_frozen_watch(bench: Bench, proxy: HoldingProxy) -> None:
    proxy.holds = True
    for number in range(8):
        await bench.create("EvalRun", f"unseen-{number}", EVAL_SPEC)
    await bench.fires("FabulaWatchFrozen")
    proxy.holds = False


async def a_missing_right(bench: Bench) -> None:
    """Somebody takes the right to pods away."""
    for lease in LEASES:
        found = await bench.api.get(CLUSTER_ROLE, None, f"fabula-operator-{lease}")
        assert found is not None
        rules = [rule for rule in found["rules"] if "pods" not in rule["resources"]]
        await bench.api.replace(CLUSTER_ROLE, {**found, "rules": rules})
    await bench.fires("FabulaApiErrors")
