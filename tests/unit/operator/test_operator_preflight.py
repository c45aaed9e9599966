"""The estimate before a GPU is taken: sizes of models, memory of a rank, hours, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.observations import NOW, condition, edited, launches, observed, reference, step

from fabula_api.fine_tune_run import TARGET_MODULES, FineTuneRunSpec, FineTuneRunStatus
from fabula_api.gpu_products import gpu
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.model_facts import MODELS, model_facts, of_size
from fabula_operator.plan.preflight import memory_of, preflight

A100 = "NVIDIA-A100-SXM4-80GB"


def spec_of(model: str, stage: int = 3, gpus: int = 8, product: str | None = A100, **fields: Any) -> dict[str, Any]:
    return {
        "dataset": {"ref": "data"},
        "model": {"name": model},
        "deepspeed": {"stage": stage},
        "topology": {"gpusPerNode": gpus, "product": product},
        **fields,
    }


def parsed(*args: Any, **fields: Any) -> FineTuneRunSpec:
    return FineTuneRunSpec.model_validate(spec_of(*args, **fields))


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        ("Qwen/Qwen3-VL-2B-Instruct", 2.13, 1.72),
        ("Qwen/Qwen3-VL-4B-Instruct", 4.44, 4.02),
        ("Qwen/Qwen3-VL-8B-Instruct", 8.77, 8.19),
        ("Qwen/Qwen3-VL-32B-Instruct", 33.4, 32.8),
        ("Qwen/Qwen3-VL-30B-A3B-Thinking", 31.1, 3.35),
        ("s3://models/Qwen3-VL-235B-A22B-Instruct/", 235.7, 22.2),
    ],
)
def test_parameters_follow_from_the_published_shapes(name: str, billions: float, active: float) -> None:
    model = model_facts(name)
    assert model is not None
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.005)
    assert model.active_parameters / 1e9 == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize("name", ["tiny-qwen3-vl", "meta/llama", "Qwen3-VL-235B-A22B-Instruct-FP8", "my-qwen3-vl-320b"])
def test_other_models_and_quantised_weights_are_not_known(name: str) -> None:
    assert model_facts(name) is None


def test_the_update_of_the_published_adapter_has_its_parameters() -> None:
    assert MODELS["qwen3-vl-32b"].lora_parameters(16, TARGET_MODULES) == 134_217_728


@pytest.mark.parametrize(
    ("situation", "spec", "verdict", "words"),
    [
        ("32B under ZeRO-3 fits 8x80 GB", parsed("Qwen3-VL-32B"), "fits", "7.8 weights under ZeRO-3"),
        ("32B held whole may not", parsed("Qwen3-VL-32B", 2), "may not fit", "lower training.maxLength"),
        ("235B held whole cannot", parsed("Qwen3-VL-235B-A22B", 2), "does not fit", "all of them on every rank"),
        (
            "235B held whole has a way out",
            parsed("Qwen3-VL-235B-A22B", 2),
            "does not fit",
            "deepspeed.stage 3 needs 58",
        ),
        ("235B sharded is tight", parsed("Qwen3-VL-235B-A22B"), "may not fit", "for a sample of 8192 tokens"),
        ("32B on one GPU cannot", parsed("Qwen3-VL-32B", 3, 1, "NVIDIA-L40S"), "does not fit", "on 2 such GPUs"),
        ("8B fits one", parsed("Qwen3-VL-8B", 2, 1), "fits", "16.4 weights"),
        ("no product is named", parsed("Qwen3-VL-32B", product=None), "unknown", "topology.product is not given"),
        ("the product is not known", parsed("Qwen3-VL-32B", product="X-1"), "unknown", "memory of X-1 is not known"),
        ("the model is not known", parsed("some/model"), "unknown", "set preflight.billionParameters"),
        (
            "the run names the size",
            parsed("some/model", 2, preflight={"billionParameters": 70}),
            "does not fit",
            "a model of 70 billion parameters",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value and len(value) < 40 else "",
)
def test_the_verdict_and_its_words(situation: str, spec: FineTuneRunSpec, verdict: str, words: str) -> None:
    made = preflight(spec)
    assert made is not None
    assert (made.verdict, words in made.message) == (verdict, True), made.message
    assert len(made.message) < 900


def test_nothing_is_estimated_on_cpus_or_when_turned_off() -> None:
    assert preflight(parsed("Qwen3-VL-32B", preflight={"policy": "off"})) is None
    cpu = spec_of("Qwen3-VL-32B") | {"topology": {"device": "cpu"}}
    assert preflight(FineTuneRunSpec.model_validate(cpu)) is None


@pytest.mark.parametrize(
    ("product", "memory"),
    [
        (A100, 80.0),
        (f"{A100}-SHARED", 80.0),
        (f"{A100}-MIG-1g.10gb", 10.0),
        ("NVIDIA-X900-96GB", 96.0),
        ("NVIDIA-H200", 140.4),
        ("NVIDIA-X900", None),
    ],
)
def test_memory_of_a_product_by_its_label(product: str, memory: float | None) -> None:
    found = gpu(product)
    assert (found.memory_gib if found else None) == memory


def test_hours_of_the_published_run() -> None:
    made = preflight(parsed("Qwen3-VL-32B"), samples=4004)
    assert made is not None
    # 126 updates of 32 samples of 3,405 tokens, 6 FLOPs a parameter and token, at 30 % of 8 A100.
    assert made.estimate.hours == 1.0
    assert preflight(parsed("Qwen3-VL-32B"), samples=None).estimate.hours is None  # type: ignore[union-attr]


SPECS = st.builds(
    lambda model, gpus, batch, length: parsed(
        model, gpus=gpus, training={"perDeviceBatchSize": batch, "maxLength": length}
    ),
    st.sampled_from(sorted(MODELS)), st.sampled_from([1, 2, 4, 8, 64]), st.integers(1, 8), st.integers(32, 32768),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(spec=SPECS)
def test_more_sharding_never_needs_more_weights_and_the_peak_is_above_the_least(spec: FineTuneRunSpec) -> None:
    model = model_facts(spec.model.name or "")
    assert model is not None
    whole, sharded = memory_of(spec, model, 2), memory_of(spec, model, 3)
    assert sharded.weights <= whole.weights
    assert sharded.state == whole.state
    for memory in (whole, sharded):
        assert 0 < memory.least < memory.peak


@given(billions=st.floats(0.1, 1000))
def test_a_named_size_is_taken_as_it_is(billions: float) -> None:
    assert of_size(billions).parameters == round(billions * 1e9)


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    made = plan(observed("FineTuneRun", spec_of("Qwen3-VL-235B-A22B", 2)), NOW)
    assert condition(made.status, "Accepted") == ("False", "DoesNotFit")
    assert condition(made.status, "Finished") == ("True", "DoesNotFit")
    assert launches(made) == []
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.estimate is not None
    assert made.status.estimate.least_gib == pytest.approx(440.6, abs=0.5)
    assert made.status.estimate.available_gib == 80.0
    assert made.status.failure is not None
    assert "440.6 GiB" in made.status.failure.message


def test_a_person_may_start_it_nevertheless_and_is_warned() -> None:
    spec = spec_of("Qwen3-VL-235B-A22B", 2, preflight={"policy": "warn"}, lora={"targetModules": ["q_proj"]})
    seen, made = step(observed("FineTuneRun", spec))
    assert condition(made.status, "Accepted") == ("True", "DoesNotFit")
    assert len(launches(made)) == 1
    assert [one.reason for one in made.notices if one.type == "Warning"] == ["DoesNotFit"]
    assert plan(seen, NOW).notices == ()


def test_a_refused_run_starts_once_it_is_edited_to_fit() -> None:
    seen, _ = step(observed("FineTuneRun", spec_of("Qwen3-VL-235B-A22B", 2, lora={"targetModules": ["q_proj"]})))
    made = plan(edited(seen, deepspeed={"stage": 3}), NOW)
    assert condition(made.status, "Accepted") == ("True", "MayNotFit")
    assert len(launches(made)) == 1


def test_hours_follow_the_dataset_and_stay_when_it_goes() -> None:
    built = {("DatasetBuild", "data"): reference("DatasetBuild", samples=4004)}
    seen, made = step(observed("FineTuneRun", spec_of("Qwen3-VL-32B"), references=built))
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.estimate is not None
    assert made.status.estimate.hours == 1.0
    gone = {("DatasetBuild", "data"): reference("DatasetBuild", None, exists=False)}
    seen, _ = step(observed("FineTuneRun", spec_of("Qwen3-VL-32B"), references=gone, run=seen.run))
    assert isinstance(seen.run.status, FineTuneRunStatus)
    assert seen.run.status.estimate is not None
    assert seen.run.status.estimate.hours == 1.0


def test_an_unknown_model_is_said_and_not_refused() -> None:
    made = plan(observed("FineTuneRun", spec_of("some/model")), NOW)
    assert condition(made.status, "Accepted") == ("True", "Valid")
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.estimate is not None
    assert "billionParameters" in (made.status.estimate.note or "")
