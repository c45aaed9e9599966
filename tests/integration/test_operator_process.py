"""The operator as it is installed: a process with kopf's watches, its ServiceAccount's rights, a lease, TLS."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.support import copies
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    DATASET_SPEC,
    FINE_TUNE_SPEC,
    MODEL_DIGEST,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.operator_process import (
    Certificates,
    OperatorProcess,
    account_kubeconfig,
    certificates,
    leading,
    stranger_pod,
    token,
    trust,
)
from tests.support.patience import SECONDS, eventually
from tests.support.prometheus import RULES, Prometheus, hasty, of_release, scraped
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task, success

from fabula_operator.certificate import ends
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import CONFIG_MAP, LEASE, POD, RUNS, Obj
from fabula_operator.render import status_ca


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    async def prepare(kubeconfig: Path) -> None:
        admin = Api.connect(kubeconfig)
        await install_crds(admin)
        await admin.close()

    with LaptopApi(Path(tmp_path_factory.mktemp("laptop"))) as api:
        asyncio.run(prepare(api.kubeconfig))
        yield api


@pytest.fixture
async def api(laptop: LaptopApi) -> AsyncIterator[Api]:
    api = Api.connect(laptop.kubeconfig)
    yield api
    await api.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def account(laptop: LaptopApi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def prepare() -> Path:
        admin = Api.connect(laptop.kubeconfig)
        folder = tmp_path_factory.mktemp("account")
        made = await account_kubeconfig(admin, laptop.kubeconfig, folder / "kubeconfig")
        await admin.close()
        return made

    return asyncio.run(prepare())


def refused(log: str) -> list[str]:
    """Places where the API's answer 403 is told; a time or a port may have these digits too."""
    return re.findall(r"(?<![\d,.:])403(?!\d).*", log)


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    await eventually(question, question.__name__)


async def test_a_build_ends_under_the_rights_of_the_service_account_alone(
    api: Api, account: Path, tls: Certificates, tmp_path: Path
) -> None:
    namespace = await make_namespace(api, "process")
    cluster = ScriptedCluster(api, namespace)
    with OperatorProcess(account, tmp_path, tls, "one") as operator:
        await leading(operator)
        await api.request(
            "POST",
            RUNS["DatasetBuild"].path(namespace),
            body=run_object("DatasetBuild", namespace, "data", DATASET_SPEC),
        )

        async def finished() -> bool:
            await cluster.step()
            run = await api.get(RUNS["DatasetBuild"], namespace, "data")
            assert run is not None
            return bool(run.get("status", {}).get("state") == "Succeeded")

        await until(finished)
        text = operator.metrics()
        assert f'fabula_runs{{kind="DatasetBuild",namespace="{namespace}",state="Succeeded"}} 1.0' in text
        assert 'fabula_api_writes_total{resource="datasetbuilds/status",verb="patch"}' in text
        assert operator.stop() == 0
    log = operator.log.read_text()
    assert "Traceback" not in log, log
    assert not refused(log), log


async def test_one_namespace_needs_no_right_beyond_it(
    laptop: LaptopApi, api: Api, tls: Certificates, tmp_path: Path
) -> None:
    own, watched = await make_namespace(api, "own"), await make_namespace(api, "watched")
    account = await account_kubeconfig(api, laptop.kubeconfig, tmp_path / "kubeconfig", own, watched)
    cluster = ScriptedCluster(api, watched)
    options = ("--namespace", watched, "--lease-namespace", own)
    with OperatorProcess(account, tmp_path, tls, "roles", *options) as operator:
        await leading(operator)
        body = run_object("DatasetBuild", watched, "data", DATASET_SPEC)
        await api.request("POST", RUNS["DatasetBuild"].path(watched), body=body)

        async def finished() -> bool:
            await cluster.step()
            run = await api.get(RUNS["DatasetBuild"], watched, "data")
            assert run is not None
            return bool(run.get("status", {}).get("state") == "Succeeded")

        await until(finished)
    log = operator.log.read_text()
    assert "Traceback" not in log, log
    assert not refused(log), log


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus | None]:
    """Judges the rules of the release that leads by Lease `pair`; None where there is no Prometheus."""
    if shutil.which("prometheus") is None:
        yield None
        return
    # Before the first scrape nobody seems to lead.
    rules = hasty(of_release(RULES.read_text(), "default/pair"), "FabulaOperatorWithoutLeader")
    with Prometheus(tmp_path / "prometheus", rules) as running:
        yield running


async def test_two_operators_the_second_waits_and_takes_over_in_peace(
    api: Api, account: Path, tmp_path: Path, prometheus: Prometheus | None
) -> None:
    tls = certificates(tmp_path)
    first = OperatorProcess(account, tmp_path, tls, "first", "--lease-name", "pair")
    second = OperatorProcess(account, tmp_path, tls, "second", "--lease-name", "pair")
    with first:
        await leading(first)
        with second:

            async def waits() -> bool:
                return await asyncio.to_thread(second.waits)

            await until(waits)
            assert "held by first" in second.log.read_text()
            namespace = await make_namespace(api, "pair")
            body = run_object("DatasetBuild", namespace, "data", DATASET_SPEC)
            await api.request("POST", RUNS["DatasetBuild"].path(namespace), body=body)

            async def hears() -> bool:
                text = await asyncio.to_thread(second.metrics)
                return bool(re.search(r'fabula_watch_events_total\{kind="Job"\} [1-9]', text))

            await until(hears)
            text = await asyncio.to_thread(second.metrics)
            assert 'fabula_leader{lease="default/pair"} 0.0' in text
            assert "fabula_run_info{" not in text, "one of two tells of the runs"
            assert "fabula_api_writes_total{" not in text, "who waits writes nothing"
            (told,) = re.findall(r"^fabula_certificate_expiry_timestamp_seconds (.*)$", text, re.MULTILINE)
            assert float(told) == ends(tls.cert.read_bytes()).timestamp(), "its own is what it will serve"

            async def authority() -> str:
                config_map = await api.get(CONFIG_MAP, namespace, status_ca("", "")["metadata"]["name"])
                return "" if config_map is None else str(config_map["data"]["ca.crt"])

            async def starts() -> bool:
                return await authority() == tls.authority.read_text()

            await until(starts)
            if prometheus is not None:
                prometheus.scrape(first.metrics_port, second.metrics_port)
                await scraped(prometheus, "count(fabula_leader) == 2 and sum(fabula_leader) == 1")
            tls = certificates(tmp_path)
            assert not await starts()
            first.stop()
            await leading(second)
            await until(starts)
            if prometheus is not None:
                await scraped(prometheus, f"fabula_leader{{pod='fabula-{second.metrics_port}'}} == 1")
                await scraped(prometheus, f"sum(fabula_runs{{namespace='{namespace}'}}) == 1")
                fired = await asyncio.to_thread(prometheus.since, prometheus.began, 'ALERTS{alertstate="firing"}')
                assert [one["metric"] for one in fired] == []
                assert await asyncio.to_thread(prometheus.failures) == 0
            assert f'fabula_run_info{{kind="DatasetBuild",namespace="{namespace}"' in await asyncio.to_thread(
                second.metrics
            )
            lease = await api.get(LEASE, "default", "pair")
            assert lease is not None
            assert lease["spec"]["holderIdentity"] == "second"
            # Someone else writes himself into the lease: the holder must end, not go on.
            await api.replace(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})

            async def ended() -> bool:
                assert second.process is not None
                return second.process.poll() is not None

            await until(ended)
            assert second.process is not None
            assert second.process.returncode == 1


async def test_a_pods_own_token_and_no_other_reports(
    api: Api, account: Path, tls: Certificates, tmp_path: Path
) -> None:
    namespace = await make_namespace(api, "reports")

    def hanging(task: Task) -> Ending:
        return Ending(hangs=True) if task.stage == "ingest" else success(task)

    cluster = ScriptedCluster(api, namespace, hanging)
    with OperatorProcess(
        account, tmp_path, tls, "reporter", "--lease-name", "reports", "--progress-interval", "0.1"
    ) as operator:
        await leading(operator)
        run = await api.request(
            "POST",
            RUNS["DatasetBuild"].path(namespace),
            body=run_object("DatasetBuild", namespace, "data", DATASET_SPEC),
        )

        async def started() -> bool:
            await cluster.step()
            return any(pod["status"].get("phase") == "Running" for pod in await api.list(POD, namespace))

        await until(started)
        (pod,) = await api.list(POD, namespace)
        audience = f"fabula.dev/datasetbuilds/{namespace}/data/{run['metadata']['uid']}"
        url = f"https://127.0.0.1:{operator.status_port}/v1alpha1/namespaces/{namespace}/datasetbuilds/data/status"
        body = {
            "trainerStatus": {"progressPercentage": 50},
            "fabula": {"stage": "ingest", "done": 4, "total": 8, "etaSeconds": 65},
        }

        async def post(token: str, content: object = body, to: str = url) -> httpx2.Response:
            async with httpx2.AsyncClient(verify=trust(tls), trust_env=False, timeout=SECONDS) as http:
                return await http.post(to, json=content, headers={"Authorization": f"Bearer {token}"})

        good = await token(api, namespace, audience, pod)
        answer = await post(good)
        assert answer.status_code == 200, answer.text
        assert answer.json()["stop"] is False

        async def shown() -> bool:
            seen = await api.get(RUNS["DatasetBuild"], namespace, "data")
            assert seen is not None
            progress = seen["status"].get("progress", {})
            return bool(progress.get("summary") == "ingest 4/8" and progress.get("eta") == "1m05s")

        await until(shown)
        refused = [
            await post("nonsense"),
            await post(await token(api, namespace, "fabula.dev/other", pod)),
            await post(await token(api, "default", audience, None)),
            await post(good, to=url.replace("/data/", "/nothing/")),
            await post(good, to=url.replace(namespace, "nowhere")),
        ]
        assert {(one.status_code, one.text) for one in refused} == {(403, refused[0].text)}
        podless = await post(await token(api, namespace, audience, None))
        assert (podless.status_code, "bound to no pod" in podless.text) == (403, True)
        wrong = await post(good, {"fabula": {}})
        assert wrong.status_code == 400
        assert "trainerStatus" in wrong.json()["error"]
        assert (await post(good, {"trainerStatus": {}, "pad": "x" * 70_000})).status_code == 413
        stranger = await stranger_pod(api, namespace)
        assert (await post(await token(api, namespace, audience, stranger))).status_code == 403
        assert good not in operator.log.read_text()


async def test_a_worker_that_ended_beside_an_added_container_is_taken_at_its_word(
    api: Api, account: Path, tls: Certificates, tmp_path: Path
) -> None:
    namespace = await make_namespace(api, "beside")

    def kept(task: Task) -> Ending:
        return replace(success(task), beside="istio-proxy") if task.stage == "ingest" else success(task)

    cluster = ScriptedCluster(api, namespace, kept)
    path = RUNS["DatasetBuild"].path(namespace)
    said: set[str] = set()
    with OperatorProcess(account, tmp_path, tls, "beside", "--namespace", namespace, "--patience", "3") as operator:
        await leading(operator)
        await api.request("POST", path, body=run_object("DatasetBuild", namespace, "data", DATASET_SPEC))

        async def over() -> bool:
            await cluster.step()
            seen = await api.get(RUNS["DatasetBuild"], namespace, "data")
            assert seen is not None
            status = seen.get("status") or {}
            said.add(str(status.get("reason")))
            return status.get("state") == "Succeeded"

        await until(over)
    assert "OtherContainerRuns" in said
    held = [pod for pod in await api.list(POD, namespace) if len(pod["status"].get("containerStatuses", ())) > 1]
    assert held == [], "its child was stopped, and the pod went with it"


async def test_hugging_faces_own_callback_in_a_foreign_image_reports_on_a_tuning_run(
    api: Api, account: Path, tls: Certificates, tmp_path: Path, training_libraries: Path
) -> None:
    namespace = await make_namespace(api, "foreign")
    trained = asyncio.Event()

    def training(task: Task) -> Ending:
        return Ending() if trained.is_set() else Ending(hangs=True)

    cluster = ScriptedCluster(api, namespace, training)
    spec = {
        **FINE_TUNE_SPEC,
        "dataset": {"uri": "datasets/vist", "digest": MODEL_DIGEST},
        "template": {"image": "example/trainer", "command": ["python", "train.py"]},
    }
    options = ("--lease-name", "foreign", "--progress-interval", "0.1")
    with OperatorProcess(account, tmp_path, tls, "foreign", *options) as operator:
        await leading(operator)
        path = RUNS["FineTuneRun"].path(namespace)
        run = await api.request("POST", path, body=run_object("FineTuneRun", namespace, "tune", spec))

        async def status() -> Obj:
            seen = await api.get(RUNS["FineTuneRun"], namespace, "tune")
            assert seen is not None
            found: Obj = seen.get("status") or {}
            return found

        async def started() -> bool:
            await cluster.step()
            return any(pod["status"].get("phase") == "Running" for pod in await api.list(POD, namespace))

        await until(started)
        (pod,) = await api.list(POD, namespace)
        (container,) = pod["spec"]["containers"]
        assert (container["image"], container["command"]) == ("example/trainer", ["python", "train.py"])
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        audience = f"fabula.dev/finetuneruns/{namespace}/tune/{run['metadata']['uid']}"
        secret = tmp_path / "token"
        secret.write_text(await token(api, namespace, audience, pod))

        async def train(made: int) -> None:
            environment = {
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "KUBEFLOW_TRAINER_SERVER_URL": told["KUBEFLOW_TRAINER_SERVER_URL"],
                "KUBEFLOW_TRAINER_SERVER_CA_CERT": str(tls.authority),
                "KUBEFLOW_TRAINER_SERVER_TOKEN": str(secret),
            }
            trainer = ("tests.support.foreign_trainer", str(made), "40")
            ended = await asyncio.to_thread(copies.run, *trainer, environment=environment)
            assert ended.returncode == 0, ended.stderr

        await train(10)

        async def shown() -> bool:
            seen = await status()
            return bool((seen.get("progress") or {}).get("summary") == "step 10/40" and seen.get("metrics"))

        await until(shown)
        metrics = (await status())["metrics"]
        assert (metrics["step"], metrics["steps"], metrics["gradNorm"], metrics["epoch"]) == (10, 40, 0.5, 0.25)
        assert metrics["loss"] == 3.775
        trained.set()

        async def over() -> bool:
            await cluster.step()
            return (await status()).get("state") == "Succeeded"

        await until(over)
    end = await status()
    assert "adapter" not in end
    assert end["progress"]["summary"] == "trained, without an adapter, loss 3.775"
