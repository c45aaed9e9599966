"""One journey of a newcomer: the demonstration, interrupted once, then kubectl by hand. Tests run in order."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from tests.e2e.conftest import ROOT, Product
from tests.support.panels import ELSEWHERE, empty
from tests.support.patience import SECONDS, until
from tests.support.prometheus import Prometheus, hasty, needs_prometheus, of_release

pytestmark = [pytest.mark.slow, pytest.mark.torch]
KINDS = "datasetbuilds,finetuneruns,evalruns"
RULES = ROOT / "charts" / "fabula" / "files" / "alerts.yaml"
EXAMPLES = ROOT / "examples" / "quickstart"


def local(uri: str) -> Path:
    return Path(unquote(urlparse(uri).path))


@pytest.fixture(scope="module")
def interrupted(product: Product) -> None:
    """Ctrl-C in the middle of the first demonstration: nothing stays behind."""
    if product.outside:
        return  # a cluster of somebody else's goes on
    process = product.start("demo")
    assert process.stdout is not None
    for line in process.stdout:
        if "Running  illustrate" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(SECONDS) == 130, rest
    assert "goes on from here" in rest
    until(lambda: not product.processes(), "no process of this state folder")


@pytest.fixture(scope="module")
def scraped(
    product: Product, interrupted: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus | None]:
    """A Prometheus that scrapes the operator from here on; None where there is none, or the cluster is another's."""
    if shutil.which("prometheus") is None or product.outside:
        yield None
        return
    # A busy machine may train at half its usual speed for a moment, or keep the operator from its Lease for seconds.
    # Watchdog and operator rightly say so; how long that may last before somebody is called is the rules' to say.
    patient = ("FabulaTrainingUnhealthy", "FabulaOperatorWithoutLeader")
    rules = hasty(of_release(RULES.read_text(), "fabula-system/fabula-operator"), *patient)
    with Prometheus(tmp_path_factory.mktemp("prometheus"), rules) as prometheus:
        prometheus.scrape(product.parts()["ports"]["metrics"])  # the operator keeps its ports over a restart
        yield prometheus


@pytest.fixture(scope="module")
def first_run(product: Product, scraped: Prometheus | None, product_libraries: Path) -> str:
    """The demonstration to its end. Its pods find the libraries loaded; those of the interrupted one load them."""
    code, output = replace(product, libraries=product_libraries).fabula("demo")
    assert code == 0, output
    return output


def test_the_demo_shows_progress_and_ends_with_the_table(first_run: str) -> None:
    for word in ("illustrate", "step ", "loss ", "left", "format-compliance", "clip-score (random weights)", "gates"):
        assert word in first_run, word
    assert re.search(r"metric\s*.\s*base\s*.\s*finetuned", first_run)


@needs_prometheus
def test_every_panel_of_the_dashboards_shows_the_demo(first_run: str, scraped: Prometheus | None) -> None:
    if scraped is None:
        pytest.skip("the cluster is somebody else's, with a Prometheus of its own")
    assert empty(scraped, scraped.began) <= ELSEWHERE


@needs_prometheus
def test_no_alert_fires_in_peace(first_run: str, scraped: Prometheus | None) -> None:
    if scraped is None:
        pytest.skip("the cluster is somebody else's, with a Prometheus of its own")
    assert scraped.since(scraped.began, "fabula_leader == 1")  # it has seen the operator
    fired = scraped.since(scraped.began, 'ALERTS{alertstate="firing"}')
    assert [one["metric"] for one in fired] == []


def test_the_dataset_is_whole(product: Product, first_run: str) -> None:
    status = product.get("dsb", "quickstart")["status"]
    folder = local(status["artifact"]["uri"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["digest"] == status["artifact"]["digest"]
    for name in ("train.jsonl", "reference.json"):
        assert (folder / name).stat().st_size > 0
    records = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    records += [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert len(records) == status["samples"] >= 8
    for record in records:
        assert len(record["images"]) == 5
        assert all((folder / image).read_bytes().startswith(b"\x89PNG") for image in record["images"])
    assert not {r["podcast"] for r in records if r["split"] == "train"} & {
        r["podcast"] for r in records if r["split"] == "validation"
    }


def test_the_adapter_was_learned_on_that_dataset(product: Product, first_run: str) -> None:
    dataset = product.get("dsb", "quickstart")["status"]["artifact"]
    status = product.get("ftr", "quickstart")["status"]
    assert status["backend"].startswith("PyTorchJob")
    assert status["metrics"]["loss"] < 0.6 * status["metrics"]["firstLoss"]
    assert status["checkpoint"]["step"] == status["metrics"]["steps"]
    folder = local(status["adapter"]["uri"])
    assert (folder / "adapter_config.json").exists()
    assert (folder / "adapter_model.safetensors").exists()
    assert json.loads((folder / "ds_config.json").read_text())["gradient_clipping"] > 0
    assert dataset["digest"] in {entry.get("digest") for entry in status["lineage"]}


def test_the_training_run_tells_every_figure_of_itself(product: Product, first_run: str) -> None:
    status = product.get("ftr", "quickstart")["status"]
    metrics = status["metrics"]
    for name in ("epoch", "validationLoss", "gradNorm", "tokensPerSecondPerGpu", "samplesPerSecond", "stepSeconds"):
        assert metrics[name] > 0, name
    assert metrics["step"] == metrics["steps"] == 110
    assert 0 <= metrics["learningRate"] < metrics["loss"] < metrics["firstLoss"]
    assert 0 <= metrics["dataWait"] <= 1
    assert metrics["gpuMemory"] > 0  # of the process, on a CPU
    assert metrics["uniqueShare"] == 1
    assert metrics["uniqueSamples"] == product.get("dsb", "quickstart")["status"]["samplesBySplit"]["train"]
    assert "mfu" not in metrics  # there is no peak to compare with
    checkpoint = json.loads((local(status["checkpoint"]["uri"]) / "manifest.json").read_text())
    assert (checkpoint["digest"], checkpoint["kind"]) == (status["checkpoint"]["digest"], "checkpoint")
    assert status["checkpoint"]["committedAt"] <= status["finishedAt"]
    (attempt,) = status["attempts"]
    assert (attempt["number"], attempt["state"], attempt["lastStep"], attempt["gpus"]) == (1, "Succeeded", 110, 0)
    assert re.fullmatch(r"(\d+m)?\d+s", attempt["duration"])
    assert status["gpuHours"] == {"used": 0, "wasted": 0}
    assert "costUsd" not in status
    adapter = json.loads((local(status["adapter"]["uri"]) / "manifest.json").read_text())
    assert adapter["digest"] == status["adapter"]["digest"]
    assert (status["progress"]["percent"], status["stages"][-1]["done"]) == (100, 110)


def test_the_tuned_arm_beats_the_base_arm_on_format(product: Product, first_run: str) -> None:
    run = product.get("evr", "quickstart")["status"]
    arms = {arm["name"]: arm for arm in run["arms"]}
    mean = {
        name: {metric["name"]: metric.get("mean") for metric in arm["metrics"]}["format-compliance"]
        for name, arm in arms.items()
    }
    assert mean["finetuned"] > mean["base"]
    assert {c["type"]: c["status"] for c in run["conditions"]}["GatesPassed"] == "True"
    adapter = product.get("ftr", "quickstart")["status"]["adapter"]
    assert adapter["digest"] in {entry.get("digest") for entry in run["lineage"]}
    report = (local(run["report"]["uri"]) / "report.html").read_text()
    assert "random weights" in report.lower()
    assert not re.search(r"""(src|href)=["']https?://""", report)


def test_kubectl_get_has_columns_that_tell_something(product: Product, first_run: str) -> None:
    table = product.kubectl("get", KINDS)
    for column in ("STATE", "PROGRESS", "ETA", "LOSS", "SCORE", "AGE"):
        assert column in table
    assert table.count("Succeeded") == 3
    wide = product.kubectl("get", KINDS, "-o", "wide")
    assert "CHECKPOINT" in wide
    assert "REPORT" in wide
    assert product.kubectl("get", "fabula").count("quickstart") == 3


def test_kubectl_describe_shows_conditions_and_events(product: Product, first_run: str) -> None:
    text = product.kubectl("describe", "ftr", "quickstart")
    for word in ("Conditions:", "Accepted", "Succeeded", "Finished", "Events:", "fabula"):
        assert word in text
    assert "<none>" not in text.split("Events:")[1]


def test_kubectl_explain_shows_the_models_docstrings(product: Product, first_run: str) -> None:
    text = product.kubectl("explain", "finetunerun.spec.lora")
    assert "Width of the low-rank update" in text
    assert "default: 16" in text or "rank" in text


def test_kubectl_logs_and_wait(product: Product, first_run: str) -> None:
    jobs = [job["metadata"]["name"] for job in product.items("jobs")]
    assemble = next(name for name in jobs if "assemble" in name)
    assert product.kubectl("logs", "-f", f"job/{assemble}").strip()
    wait = ("wait", "--for=condition=Finished", "evr/quickstart", f"--timeout={SECONDS:.0f}s")
    assert "condition met" in product.kubectl(*wait)


def test_the_tuned_model_tells_of_pictures_by_its_runs_name(product: Product, first_run: str) -> None:
    """As the README has it; the same answer as the evaluation's is held in tests/integration/test_tell.py."""
    status = product.get("evr", "quickstart")["status"]
    chosen = next(stage for stage in status["stages"] if stage["name"] == "select")["artifact"]["uri"]
    folder = sorted((local(chosen) / "pictures").iterdir())[0]
    code, output = product.fabula("tell", str(folder), "--adapter", "quickstart", "-n", product.namespace,
                                  "--max-new-tokens", "40", "--temperature", "0.2")  # fmt: skip
    assert code == 0, output
    assert "with adapter FineTuneRun/quickstart" in output and "loaded in" in output
    assert " tokens in " in output


def test_no_transcript_text_reaches_logs_status_or_events(product: Product, first_run: str) -> None:
    dataset = local(product.get("dsb", "quickstart")["status"]["artifact"]["uri"])
    record = json.loads((dataset / "train.jsonl").read_text().splitlines()[0])
    sentence = max(record["response"].split("."), key=len).strip()[:60]
    assert len(sentence) > 30
    seen = product.kubectl("get", f"{KINDS},events,jobs,pods", "-o", "json")
    logs = "".join(path.read_text(errors="replace") for path in product.home.rglob("*.log"))
    assert sentence not in seen
    assert sentence not in logs


def test_applying_the_same_again_changes_nothing(product: Product, first_run: str) -> None:
    before = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in product.items(KINDS)}
    assert product.kubectl("apply", "-f", str(EXAMPLES)).count("unchanged") == 3
    after = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in product.items(KINDS)}
    assert after == before


def test_a_quiet_cluster_sees_no_writes(product: Product, first_run: str) -> None:
    """Everything but Leases keeps its resourceVersion, and no event appears, while each Lease is renewed twice."""

    core = ("pods", "configmaps", "events", "serviceaccounts", "nodes")
    kinds = [f"apis/fabula.dev/v1alpha1/{kind}" for kind in KINDS.split(",")] + [f"api/v1/{kind}" for kind in core]
    kinds += ["apis/batch/v1/jobs", "apis/kubeflow.org/v1/pytorchjobs"]
    kinds += ["apis/apiextensions.k8s.io/v1/customresourcedefinitions"]

    def versions(*paths: str) -> dict[str, str]:
        items = [item for path in paths for item in product.wire.ok("GET", f"/{path}")["items"]]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}

    def leases() -> dict[str, str]:
        return versions("apis/coordination.k8s.io/v1/leases")

    before = versions(*kinds)
    assert len(before) > 20
    for _ in range(2):
        last = leases()
        assert last
        until(lambda last=last: last.items().isdisjoint(leases().items()), "every Lease to be renewed")  # type: ignore[misc]
    assert versions(*kinds) == before


def test_a_fixed_field_is_refused_and_named(product: Product, first_run: str) -> None:
    patch = '{"spec":{"lora":{"rank":8}}}'
    answer = product.kubectl("patch", "ftr", "quickstart", "--type=merge", "-p", patch, check=False)
    assert "lora cannot change" in answer
    answer = product.kubectl(
        "patch", "ftr", "quickstart", "--type=merge", "-p", '{"spec":{"checkpoints":{"keep":0}}}', check=False
    )
    assert "spec.checkpoints.keep" in answer
    assert "greater than or equal to 1" in answer


def test_a_second_demo_reuses_everything(product: Product, first_run: str) -> None:
    before = {item["metadata"]["uid"] for item in product.items("jobs,pytorchjobs")}
    code, output = product.fabula("demo")
    assert code == 0, output
    assert {item["metadata"]["uid"] for item in product.items("jobs,pytorchjobs")} == before


def test_deleted_runs_take_their_children_along_and_find_their_artifacts_again(
    product: Product, first_run: str
) -> None:
    digests = {
        kind: product.get(kind, "quickstart")["status"][field]["digest"]
        for kind, field in (("dsb", "artifact"), ("ftr", "adapter"), ("evr", "report"))
    }
    product.kubectl("delete", "-f", str(EXAMPLES), "--wait=true")
    until(lambda: not product.items("jobs,pytorchjobs,pods"), "children deleted with their runs")
    product.kubectl("apply", "-f", str(EXAMPLES))
    for kind in ("dsb", "ftr", "evr"):
        product.kubectl("wait", "--for=condition=Finished", f"{kind}/quickstart", f"--timeout={SECONDS:.0f}s")
    again = {
        kind: product.get(kind, "quickstart")["status"][field]["digest"]
        for kind, field in (("dsb", "artifact"), ("ftr", "adapter"), ("evr", "report"))
    }
    assert again == digests
    train = product.get("ftr", "quickstart")["status"]["stages"][-1]
    assert train["reused"] is True


def test_down_leaves_nothing_running(product: Product, first_run: str) -> None:
    code, output = product.fabula("laptop")
    assert code == 0, output
    assert "pid" in output
    code, output = product.fabula("laptop", "--output", "json")
    assert (code, json.loads(output)["ready"], len(json.loads(output)["runs"])) == (0, True, 3)
    assert product.fabula("down")[0] == 0
    until(lambda: not product.processes(), "no process of this state folder")
    code, output = product.fabula("laptop")
    assert code == 4, "what scripts know a missing laptop by"
    assert "fabula up" in output
