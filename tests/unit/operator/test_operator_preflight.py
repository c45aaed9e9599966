"""The estimate before a GPU is taken: sizes of models, memory of a rank, hours, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.observations import NOW, condition, edited, launches, observed, reference, step
from tests.support.training_specs import A100, B32, parsed, spec_of

from fabula_api.fine_tune_run import TARGET_MODULES, DeepSpeed, FineTuneRunSpec
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.gpu_products import gpu
from fabula_api.model_families import MODELS
from fabula_operator.plan.acceptance.memory import USABLE, layers_with_room, memory_of
from fabula_operator.plan.acceptance.model_facts import model_facts, of_size
from fabula_operator.plan.acceptance.preflight import preflight
from fabula_operator.plan.acceptance.step_time import step_time
from fabula_operator.plan.lifecycle import plan

FULL, NF4, OFFLOAD = {"method": "full"}, {"quantization": "nf4"}, {"stage": 3, "offload": "optimizer"}


GB = 1024**3 / 1e9
MIX = MODELS["qwen3-vl-235b-a22b"]


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        ("Qwen/Qwen3-VL-2B-Instruct", 2.13, 1.72),
        ("Qwen/Qwen3-VL-4B-Instruct", 4.44, 4.02),
        ("Qwen/Qwen3-VL-8B-Instruct", 8.77, 8.19),
        ("Qwen/Qwen3-VL-32B-Instruct", 33.4, 32.8),
        ("Qwen/Qwen3-VL-30B-A3B-Thinking", 31.1, 3.35),
        ("s3://models/Qwen3-VL-235B-A22B-Instruct/", 235.7, 22.2),
        ("meta-llama/Meta-Llama-3-8B", 8.03, 8.03),
        ("meta-llama/Llama-3.2-1B-Instruct", 1.236, 1.236),
        ("meta-llama/Llama-3.2-3B", 3.213, 3.213),
        ("Qwen/Qwen2.5-0.5B", 0.494, 0.494),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1.544, 1.544),
        ("Qwen/Qwen2.5-3B", 3.086, 3.086),
        ("Qwen/Qwen2.5-7B-Instruct", 7.616, 7.616),
        ("Qwen/Qwen2.5-14B", 14.77, 14.77),
        ("Qwen/Qwen2.5-32B", 32.76, 32.76),
        ("Qwen/Qwen2.5-72B-Instruct", 72.71, 72.71),
        ("Qwen/Qwen3-0.6B", 0.596, 0.596),
        ("Qwen/Qwen3-1.7B", 1.721, 1.721),
        ("Qwen/Qwen3-4B", 4.022, 4.022),
        ("Qwen/Qwen3-8B", 8.191, 8.191),
        ("Qwen/Qwen3-14B", 14.77, 14.77),
        ("Qwen/Qwen3-32B", 32.76, 32.76),
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
            "deepspeed.stage 3 needs 61.0",
        ),
        ("235B sharded fits", parsed("Qwen3-VL-235B-A22B"), "fits", "4.5 gathered layers"),
        (
            "32B on one GPU cannot",
            parsed("Qwen3-VL-32B", 3, 1, "NVIDIA-L40S"),
            "does not fit",
            "nf4 needs 22.8 GiB, or deepspeed.stage 3 on 2 such GPUs or more",
        ),
        (
            "235B on 4 GPUs cannot",
            parsed("Qwen3-VL-235B-A22B", 3, 4),
            "does not fit",
            "offload all needs 6.0 GiB and 440 GiB of CPU memory in each pod, or deepspeed.stage 3 on 6 such GPUs",
        ),
        ("a full 32B held whole cannot", parsed(B32, 2, training=FULL), "does not fit", "deepspeed.stage 3 needs 72.2"),
        (
            "a full 32B sharded is too tight for long samples",
            parsed(B32, training=FULL),
            "may not fit",
            "deepspeed.stage 3 with offload optimizer needs 11.1 GiB and 610 GiB of CPU memory in each pod, or",
        ),
        ("a full 32B fits with offload", parsed(B32, training=FULL, deepspeed=OFFLOAD), "fits", "0.0 gradients and"),
        (
            "a full 32B on 4 GPUs cannot",
            parsed(B32, 3, 4, training=FULL),
            "does not fit",
            "deepspeed.stage 3 with offload optimizer needs 18.9 GiB and 610 GiB of CPU memory",
        ),
        ("32B in 4 bits fits one GPU", parsed(B32, 2, 1, lora=NF4), "fits", "19.3 weights in 4 bits under ZeRO-2"),
        (
            "32B in 4 bits under ZeRO-3 does not fit a card that cannot hold it whole",
            parsed(B32, product="Tesla-T4", lora=NF4),
            "does not fit",
            "at least 20.8 GiB (2.4 weights in 4 bits under ZeRO-3, 19.3 until they are sharded, 1.9 gathered layers, "
            "0.2 gradients and optimizer, 1.5 CUDA), but Tesla-T4 has 15.0 GiB; lora.quantization none with "
            "deepspeed.stage 3 needs 11.4 GiB",
        ),
        (
            "sharding lets 32B train in room",
            parsed(B32, 2),
            "may not fit",
            "deepspeed.stage 3, or a lower",
        ),
        (
            "no shorter sample makes room where weights take it all",
            parsed("Qwen3-VL-235B-A22B", gpus=6),
            "may not fit",
            "but NVIDIA-A100-SXM4-80GB has 80.0 GiB; deepspeed.stage 3 with offload all needs",
        ),
        (
            "32B without checkpointing",
            parsed(B32, training={"gradientCheckpointing": False}),
            "may not fit",
            "training.gradientCheckpointing, or a lower",
        ),
        (
            "packed sequences",
            parsed(B32, 2, training={"packing": True}),
            "may not fit",
            "a packed sequence",
        ),
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
        ("NVIDIA-H20", 95.6),
        ("NVIDIA-GH200-480GB", 95.6),
        ("NVIDIA-B300-SXM6-AC", 268.6),
        (f"{A100}-MIG-1g.10gb", 10.0),
        ("NVIDIA-X900-96GB", 96.0),
        ("NVIDIA-H200", 140.4),
        ("NVIDIA-X900", None),
    ],
)
def test_memory_of_a_product_by_its_label(product: str, memory: float | None) -> None:
    found = gpu(product)
    assert (found.memory_gib if found else None) == memory


@pytest.mark.parametrize(
    ("fact", "found", "published"),
    [
        ("235B sharded by layer over 8 GPUs, GB each", memory_of(parsed("Qwen3-VL-235B-A22B"), MIX).weights * GB, 59),
        ("32B in bf16, GB", memory_of(parsed(B32, 2), MODELS["qwen3-vl-32b"]).weights * GB, 66.6),
        ("parameters of 8B, billions", MODELS["qwen3-vl-8b"].parameters / 1e9, 8.767),
        ("vision tower of 32B, billions", MODELS["qwen3-vl-32b"].vision_parameters / 1e9, 0.5953),
        ("adapter with optimizer, GB", 134_217_728 * 14 / 1e9, 1.88),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sizes_are_those_that_were_published(fact: str, found: float, published: float) -> None:
    assert found == pytest.approx(published, rel=0.02 if fact.endswith("GB") or "each" in fact else 0.001)


def test_offload_moves_state_to_the_pods_cpu_memory() -> None:
    model = MODELS["qwen3-vl-32b"]
    here = memory_of(parsed(B32, training=FULL), model)
    moved = memory_of(parsed(B32, training=FULL, deepspeed=OFFLOAD), model)
    everything = memory_of(parsed(B32, training=FULL, deepspeed={"stage": 3, "offload": "all"}), model)
    assert (here.host, moved.state, everything.weights) == (0, 0, 0)
    # Beside the sums of gradients the optimizer's own: 5 numbers of 4 bytes a weight, not 4.
    assert moved.host == pytest.approx(8 * 5 / 4 * here.state)
    assert everything.host == pytest.approx(8 * (5 / 4 * here.state + here.weights))
    made = preflight(parsed(B32, training=FULL, deepspeed=OFFLOAD))
    assert made is not None
    assert made.estimate.note is not None
    assert "610.2 in each pod's CPU memory by deepspeed.offload" in made.estimate.note


def test_logits_of_a_frozen_head_are_computed_a_few_at_a_time() -> None:
    model = MODELS["qwen3-vl-32b"]
    assert memory_of(parsed(B32), model).logits == 1.5
    whole = 8192 * 151_936 * 12 / 1024**3
    assert memory_of(parsed(B32, training=FULL), model).logits == pytest.approx(whole)
    assert memory_of(parsed(B32, lora={"targetModules": ["q_proj", "lm_head"]}), model).logits == pytest.approx(whole)
    assert memory_of(parsed(B32, training={"maxLength": 100}), model).logits < 0.2


def test_an_update_in_fp32_takes_more_memory_and_time() -> None:
    model, update = MODELS["qwen3-vl-32b"], 134_217_728
    inputs = 5 * 5120 + 64 * 128 + 25_600
    for stage, ranks in ((2, 1), (3, 8)):
        usual, wide = (memory_of(parsed(B32, stage, lora={"precision": one}), model) for one in (None, "fp32"))
        assert wide.weights - usual.weights == pytest.approx(2 * update / ranks / 1024**3)
        # What goes into a layer's seven updates, in fp32 where dropout left it in bf16.
        assert wide.activations - usual.activations == pytest.approx(2 * 8192 * inputs / 1024**3)
    none, wide = (memory_of(parsed(B32, lora={"precision": one, "dropout": 0}), model) for one in (None, "fp32"))
    assert wide.activations - none.activations == pytest.approx(4 * 8192 * inputs / 1024**3)
    times = [step_time(parsed(B32, lora={"precision": one}), model, gpu(A100)) for one in (None, "fp32")]
    usual_time, wide_time = (one.seconds for one in times if one is not None)
    # 8 operations for each of its parameters beside 6 for each of the model's, each twice as long.
    assert wide_time / usual_time == pytest.approx(1 + 2 * 8 * update / (6 * model.active_parameters))
    assert 1.01 < wide_time / usual_time < 1.02


def test_pictures_take_memory_of_the_frozen_tower_by_the_pixel_window() -> None:
    small, large = (
        memory_of(parsed(B32, pixels={"minPixels": 1024, "maxPixels": pixels}), MODELS["qwen3-vl-32b"])
        for pixels in (50_176, 451_584)
    )
    assert small.least == large.least
    # 6 pictures of 441 tokens, 4 patches each, in one layer of width 1,152.
    assert large.activations - small.activations == pytest.approx(6 * (441 - 49) * 4 * 1152 * 34 / 1024**3, rel=0.01)


SPECS = st.builds(
    lambda model, gpus, batch, length: parsed(
        model, gpus=gpus, training={"perDeviceBatchSize": batch, "maxLength": length}
    ),
    st.sampled_from(sorted(MODELS)), st.sampled_from([1, 2, 4, 8, 64]), st.integers(1, 8), st.integers(32, 32768),
)  # fmt: skip


@settings(max_examples=examples(25), deadline=None)
@given(spec=SPECS)
def test_more_sharding_never_needs_more_weights_and_the_peak_is_above_the_least(spec: FineTuneRunSpec) -> None:
    model = model_facts(spec.model.name or "")
    assert model is not None
    one, whole, sharded = (memory_of(spec.replace(deepspeed=DeepSpeed(stage=stage)), model) for stage in (1, 2, 3))
    assert sharded.weights <= whole.weights
    assert one.state >= sharded.state == whole.state
    for memory in (one, whole, sharded):
        assert 0 < memory.least < memory.peak


def test_without_zero_each_rank_holds_gradients_and_moments_whole_and_no_second_copy_of_weights() -> None:
    model = model_facts(B32)
    assert model is not None
    trained = model.lora_parameters(16, TARGET_MODULES)
    fp32 = {"training": {"precision": "fp32"}}
    none, one, two = (memory_of(parsed(B32, deepspeed={"stage": stage}, **fp32), model).state for stage in (0, 1, 2))
    assert none * 1024**3 == pytest.approx(12 * trained)
    assert one * 1024**3 == pytest.approx((12 / 8 + 4) * trained)
    assert two * 1024**3 == pytest.approx(16 / 8 * trained)
    made = preflight(parsed(B32, deepspeed={"stage": 0}, **fp32))
    assert made is not None and "weights without ZeRO, all of them on every rank" in made.message


def test_what_a_recipe_trains_beside_the_language_model_is_counted() -> None:
    """A narrator's mappings, over a language model of LLaMA-2-7B's width that stays as it is."""
    from fabula_api.recipes.audio_description.tune import AudioDescriptionTuneSpec

    wire = spec_of(B32) | {"recipe": "audio-description", "deepspeed": {"stage": 2}}
    narrator = AudioDescriptionTuneSpec.model_validate(wire)
    words = narrator.replace(
        audio_description=narrator.audio_description.replace(objective="text", language_model="lora")
    )
    assert narrator.weights_beside(4096) == pytest.approx(0.812e9, rel=0.01) and not narrator.learns_language
    assert words.weights_beside(4096) == 0 and words.learns_language
    model = model_facts(B32)
    assert model is not None
    beside = narrator.weights_beside(model.hidden)
    assert memory_of(narrator, model).state * 1024**3 == pytest.approx(beside * (12 + 4) / 8)
    small = narrator.replace(topology=narrator.topology.replace(product="Tesla-T4"))
    made = preflight(small)
    assert made is not None and made.verdict == "does not fit"
    assert "nf4" not in made.message and "deepspeed.stage 3" in made.message, "a narrator is not held in 4 bits"
    assert memory_of(words, model).state * 1024**3 == pytest.approx(model.lora_parameters(16, TARGET_MODULES) * 16 / 8)


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
    assert made.status.estimate.least_gib == pytest.approx(440.7, abs=0.5)
    assert made.status.estimate.available_gib == 80.0
    assert made.status.failure is not None
    assert "440.7 GiB" in made.status.failure.message


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
    assert condition(made.status, "Accepted") == ("True", "Valid")
    assert len(launches(made)) == 1


def test_hours_follow_the_dataset_and_stay_when_it_goes() -> None:
    built = {("DatasetBuild", "data"): reference("DatasetBuild", samples=5005, train_samples=4004)}
    seen, made = step(observed("FineTuneRun", spec_of("Qwen3-VL-32B"), references=built))
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.estimate is not None
    assert made.status.estimate.hours == 0.67
    gone = {("DatasetBuild", "data"): reference("DatasetBuild", None, exists=False)}
    seen, _ = step(observed("FineTuneRun", spec_of("Qwen3-VL-32B"), references=gone, run=seen.run))
    assert isinstance(seen.run.status, FineTuneRunStatus)
    assert seen.run.status.estimate is not None
    assert seen.run.status.estimate.hours == 0.67


def test_an_unknown_model_is_said_and_not_refused() -> None:
    made = plan(observed("FineTuneRun", spec_of("some/model")), NOW)
    assert condition(made.status, "Accepted") == ("True", "Valid")
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.estimate is not None
    assert "billionParameters" in (made.status.estimate.note or "")


@pytest.mark.parametrize("training", [{}, {"packing": True}, {"keepLayers": 3}, {"maxLength": 4096}])
def test_the_layers_that_are_said_to_find_room_do_and_one_more_does_not(training: dict[str, Any]) -> None:
    card, spec = gpu(A100), parsed(B32, training=training)
    model = model_facts(B32)
    assert card is not None and model is not None
    room = USABLE * card.memory_gib
    kept = layers_with_room(spec, model, room)
    assert training.get("keepLayers", 0) < kept < model.layers

    def peak(layers: int) -> float:
        return memory_of(parsed(B32, training=training | {"keepLayers": layers}), model).peak

    assert peak(kept) <= room < peak(kept + 1)
    said = preflight(spec)
    assert said is not None and f"training.keepLayers {kept} finds room too" in said.message
    shorter = step_time(parsed(B32, training=training | {"keepLayers": kept}), model, card)
    usual = step_time(spec, model, card)
    assert shorter is not None and usual is not None and shorter.seconds < usual.seconds


def test_no_layers_are_proposed_where_another_field_says_which() -> None:
    model = model_facts(B32)
    assert model is not None
    for training in ({"recomputeEvery": 2}, {"gradientCheckpointing": False}, {"keepLayers": model.layers}):
        assert layers_with_room(parsed(B32, training=training), model, 1000) == 0
