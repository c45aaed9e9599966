"""What of a training run is refused before a pod is made, because of what is known of its dataset and its model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.observations import NOW, condition, edited, finished, launches, observed, reference, step

from fabula_api.recipes import Kind
from fabula_api.status import RunStatus
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed, Reference

DATA: tuple[Kind, str] = ("DatasetBuild", "data")


def given(spec: dict[str, Any] | None = None, **dataset: Any) -> Observed:
    """A training run whose dataset is like that."""
    return observed("FineTuneRun", spec, references={DATA: reference("DatasetBuild", **dataset)})


def message(status: RunStatus | None, type_: str = "Accepted") -> str:
    assert status is not None
    return next(one.message for one in status.conditions if one.type == type_)


@pytest.mark.parametrize(
    ("situation", "seen", "reason", "words"),
    [
        (
            "a dataset of another recipe",
            given(recipe="audio-description", state="Running"),
            "WrongRecipe",
            [
                "spec.dataset.ref: DatasetBuild data builds for recipe audio-description",
                "set spec.recipe to audio-description",
            ],
        ),
        (
            "an empty split",
            given(train_samples=0),
            "EmptySplit",
            ["has an empty training split", "less of it to validation"],
        ),
        (
            "a pass larger than the split",
            given({"training": {"perDeviceBatchSize": 4}}, train_samples=6),
            "BatchTooLarge",
            ["spec.training.perDeviceBatchSize: a pass takes 2 ranks x 4 = 8 samples", "gives 6; set it to at most 3"],
        ),
        (
            "more ranks than samples",
            given({"topology": {"nodes": 2, "gpusPerNode": 8}}, train_samples=6),
            "BatchTooLarge",
            ["use at most 6 ranks with perDeviceBatchSize 1"],
        ),
        (
            "a layer that a known model lacks",
            given({"model": {"name": "Qwen/Qwen3-VL-32B-Instruct"}, "lora": {"targetModules": ["q_proj", "query"]}}),
            "UnknownTargetModule",
            ["spec.lora.targetModules: query is no linear layer of Qwen3-VL-32B", "gate_proj", "linear_fc1"],
        ),
        (
            "experts in 4 bits",
            given(
                {"model": {"name": "Qwen3-VL-30B-A3B"}, "lora": {"targetModules": ["q_proj"], "quantization": "nf4"}}
            ),
            "QuantizationImpossible",
            ["spec.lora.quantization: nf4 cannot hold the experts of Qwen3-VL-30B-A3B", "set it to none"],
        ),
        (
            "experts, which no module's name reaches",
            given({"model": {"uri": "s3://b/Qwen3-VL-235B-A22B-Instruct"}}),
            "UnknownTargetModule",
            ["down_proj, gate_proj, up_proj is no linear layer of Qwen3-VL-235B-A22B; it has k_proj"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:2] in ("a ", "an", "mo", "ex") else "",
)
def test_it_is_refused_at_once_with_the_field_and_what_would_work(
    situation: str, seen: Observed, reason: str, words: list[str]
) -> None:
    made = plan(seen, NOW)
    assert condition(made.status, "Accepted") == ("False", reason)
    assert condition(made.status, "Finished") == ("True", reason)
    assert launches(made) == []
    for word in words:
        assert word in message(made.status)


@pytest.mark.parametrize(
    ("situation", "dataset", "reason", "words"),
    [
        (
            "it failed",
            reference("DatasetBuild", "Failed", reason="NoSamples"),
            "DatasetFailed",
            "has failed (NoSamples)",
        ),
        ("a dry run", reference("DatasetBuild", digest=None, dry_run=True), "DatasetIsDryRun", "spec.dryRun is false"),
        ("no artifact", reference("DatasetBuild", digest=None), "DatasetMissing", "names no artifact"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].islower() and len(value) < 12 else "",
)
def test_a_dataset_that_somebody_has_to_mend_stalls_the_run_until_it_is(
    situation: str, dataset: Reference, reason: str, words: str
) -> None:
    seen, made = step(observed("FineTuneRun", references={DATA: dataset}))
    assert made.actions == ()
    assert condition(made.status, "Stalled") == ("True", reason)
    assert words in message(made.status, "Stalled")
    assert seen.run.status.state == "Pending"
    mended = replace(seen, references={DATA: reference("DatasetBuild")})
    _, made = step(mended)
    assert condition(made.status, "Stalled") == ("False", "Progressing")
    assert len(launches(made)) == 1


@pytest.mark.parametrize(
    "seen",
    [
        given(train_samples=2, recipe="podcast"),
        given(),
        given({"model": {"name": "Qwen3-VL-235B-A22B"}, "lora": {"targetModules": ["q_proj", "qkv"]}}),
        given({"lora": {"targetModules": ["anything"]}}),
        given({"template": {"command": ["train"]}}, recipe="other", train_samples=0),
    ],
    ids=["enough samples", "size not told", "layers of a mixture", "a model not known", "a foreign trainer"],
)
def test_what_may_work_is_not_refused(seen: Observed) -> None:
    assert len(launches(plan(seen, NOW))) == 1


def test_a_started_run_is_not_refused_for_what_becomes_of_its_dataset() -> None:
    seen, _ = step(given(train_samples=20, recipe="podcast"))
    rebuilt = {DATA: reference("DatasetBuild", train_samples=0, recipe="other")}
    seen, _ = step(replace(seen, references=rebuilt))
    assert seen.run.status.state == "Running"
    assert finished(seen).run.status.state == "Succeeded"


def test_a_refused_run_starts_once_it_is_edited() -> None:
    seen, _ = step(given({"training": {"perDeviceBatchSize": 4}}, train_samples=6))
    assert len(launches(plan(edited(seen, training={"perDeviceBatchSize": 3}), NOW))) == 1


@pytest.mark.parametrize(
    ("topology", "resources", "told"),
    [
        ({"gpusPerNode": 8}, {"limits": {"nvidia.com/gpu": "4"}}, "limits: nvidia.com/gpu is 4, but"),
        ({"gpusPerNode": 8}, {"requests": {"nvidia.com/gpu": "4"}}, "requests: nvidia.com/gpu is 4, but"),
        ({"gpusPerNode": 2, "device": "cpu"}, {"limits": {"nvidia.com/gpu": "2"}}, "takes 0 in each pod; leave it out"),
        ({"gpusPerNode": 8}, {"limits": {"nvidia.com/gpu": "8"}}, None),
    ],
)
def test_a_pod_has_as_many_gpus_as_ranks(topology: dict[str, Any], resources: dict[str, Any], told: str | None) -> None:
    """With fewer the ranks would share them, and GPU hours and price would count others than are held."""
    made = plan(given({"topology": topology, "resources": resources}), NOW)
    if told is None:
        assert launches(made)
        return
    assert condition(made.status, "Accepted") == ("False", "InvalidSpec")
    assert "spec.resources." in message(made.status)
    assert told in message(made.status)
