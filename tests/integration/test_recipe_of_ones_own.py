"""The recipe that docs/recipes.md walks through: written from the page, installed by its entry point, run as all three
kinds on the laptop's cluster. Nothing of the product is changed for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.build_bench import BuildBench
from tests.support.operator_driver import run_object
from tests.support.patience import SECONDS, until

from fabula_operator.kube.resources import RUNS

pytestmark = [pytest.mark.slow, pytest.mark.torch]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
FILES = dict(re.findall(r"^`(captions/\w+\.py)`:\n\n```python\n(.*?)```$", PAGE, re.M | re.S))
COLOURS = ("red", "green", "blue", "white", "black", "yellow", "orange", "purple")
PRICES = {"studio.captioner": {"inputPerMillion": 1, "outputPerMillion": 1}}
COMMON = {"recipe": "captions", "secretRef": {"name": "image"}}
SMALL = {"minPixels": 1024, "maxPixels": 4096}


def install(folder: Path) -> None:
    """The recipe as a package with its entry point, as pip would leave it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "captions" / "__init__.py").touch()
    facts = folder / "captions-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: captions\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[fabula.recipes]\ncaptions = captions.recipe:CAPTIONS\n")


def program(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[BuildBench]:
    folder = tmp_path_factory.mktemp("captions")
    packages, crds = folder / "packages", folder / "generated"
    install(packages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        program("-m", "fabula_api.generate", "--root", str(crds))
        patch.setattr("tests.support.operator_driver.CRDS", crds / "crds")
        with run_bedrock(Bedrock()) as bedrock, BuildBench(folder, bedrock, training_libraries) as running:
            # A pod of a cluster has the recipe in its image; one of the laptop's is told where it lies.
            where = f"--from-literal=PYTHONPATH={packages}"
            running.kubectl("create", "secret", "generic", "image", where)
            pictures = running.artifacts / "pictures"
            pictures.mkdir()
            for name in COLOURS:
                Image.new("RGB", (64, 64), name).save(pictures / f"{name}.png")
            yield running


def run(bench: BuildBench, kind: str, **spec: Any) -> dict[str, Any]:
    """The status of a run of the recipe that has ended well."""
    path = bench.folder / f"{kind}.json"
    path.write_text(json.dumps(run_object(kind, "default", "pictures", {**COMMON, **spec})))
    bench.kubectl("apply", "-f", str(path))

    def ended() -> dict[str, Any] | None:
        found = bench.wire.ok("GET", RUNS[kind].path("default", "pictures")).get("status") or {}
        return found if found.get("state") in ("Succeeded", "Failed") else None

    status: dict[str, Any] = until(ended, f"the end of the {kind}")
    assert status["state"] == "Succeeded", status.get("failure") or status["conditions"]
    return status


def dataset(bench: BuildBench) -> dict[str, Any]:
    quota = {"requestsPerMinute": 6000, "tokensPerMinute": 60_000}
    captions = {"pictures": "pictures", "workers": 2, "quota": quota}
    return run(bench, "DatasetBuild", captions=captions, prices=PRICES, budget={"usd": 1})


def test_the_page_has_the_whole_recipe_in_under_200_lines_of_code() -> None:
    assert FILES.keys() == {"captions/recipe.py", "captions/work.py"}
    assert sum(bool(line.strip()) for text in FILES.values() for line in text.splitlines()) < 200


def test_a_build_is_paid_within_its_quota_and_shown_with_its_own_column(bench: BuildBench) -> None:
    status = dataset(bench)
    assert (status["samples"], status["samplesBySplit"]) == (8, {"train": 6, "validation": 2})
    assert status["calls"]["paid"] == 8 and status["bills"][0]["stage"] == "describe" and status["costUsd"] > 0
    assert status["figures"] == {"meanWords": 5.0}
    assert {one["kind"]: one["count"] for one in status["items"]} == {"picture": 8, "caption": 8, "sample": 8}
    assert [(stage["name"], stage["done"]) for stage in status["stages"]] == [
        ("ingest", 8), ("describe", 8), ("assemble", 8),
    ]  # fmt: skip
    header, row = bench.kubectl("get", "dsb", "pictures", "-o", "wide").splitlines()
    assert "WORDS" in header and "5" in row.split()
    assert "Folder with PNG pictures" in bench.kubectl("explain", "dsb.spec.captions")


def test_another_recipe_s_block_and_a_missing_one_are_refused(bench: BuildBench) -> None:
    other = run_object("DatasetBuild", "default", "wrong", {"recipe": "captions", "podcast": {"source": {"uri": "x"}}})
    path = bench.folder / "wrong.json"
    path.write_text(json.dumps(other))
    with pytest.raises(AssertionError, match="podcast goes with recipe podcast only") as refused:
        bench.kubectl("apply", "-f", str(path))
    assert "recipe captions needs the block captions" in str(refused.value)


def test_a_model_is_trained_and_compared_with_its_base_by_the_recipe_s_metric(bench: BuildBench) -> None:
    from fabula_quickstart.tiny import qwen3_vl

    built = dataset(bench)
    corpus = " ".join(f"The picture shows a {name}." for name in COLOURS)
    qwen3_vl.build(bench.artifacts / "model", [corpus] * 50)
    training = {
        "maxSteps": 2, "perDeviceBatchSize": 2, "gradientAccumulationSteps": 1, "gradientCheckpointing": False,
        "precision": "fp32", "loaderWorkers": 0, "learningRate": 0.01, "neftuneNoiseAlpha": 0,
    }  # fmt: skip
    tuned = run(
        bench, "FineTuneRun", dataset={"ref": "pictures"}, model={"uri": "model"}, training=training, pixels=SMALL,
        deepspeed={"stage": 2}, topology={"nodes": 1, "gpusPerNode": 1, "device": "cpu"},
    )  # fmt: skip
    assert tuned["metrics"]["step"] == 2 and tuned["adapter"]["uri"]

    base = {"name": "base", "model": {"uri": "model"}, "gpusPerShard": 0}
    scored = run(
        bench, "EvalRun", samples={"uri": built["artifact"]["uri"], "count": 2}, pixels=SMALL,
        arms=[base, {**base, "name": "tuned", "adapter": {"ref": "pictures"}}], metrics=["captions/one-sentence"],
        profiles=["v2"], generation={"temperature": 0, "maxNewTokens": 8, "batchSize": 2},
    )  # fmt: skip
    assert [arm["name"] for arm in scored["arms"]] == ["base", "tuned"]
    assert [arm["done"] for arm in scored["arms"]] == [2, 2]
    for arm in scored["arms"]:
        (metric,) = arm["metrics"]
        assert metric["name"] == "captions/one-sentence" and 0 <= metric["mean"] <= 1
