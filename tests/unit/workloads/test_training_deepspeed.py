"""The DeepSpeed config of a spec, word by word, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.training.launcher.deepspeed_config import problems, render
from fabula_workloads.training.model.model_files import hidden_size_of


def spec(**changes: dict[str, object]) -> FineTuneRunSpec:
    wire: dict[str, object] = {"dataset": {"uri": "d"}, "model": {"name": "m"}}
    return FineTuneRunSpec.model_validate(wire | changes)


PUBLISHED = {
    "train_micro_batch_size_per_gpu": 1,
    "gradient_accumulation_steps": 4,
    "train_batch_size": 32,
    "gradient_clipping": 0.3,
    "bf16": {"enabled": True},
    "fp16": {"enabled": False},
    "data_types": {"grad_accum_dtype": "fp32"},
    "communication_data_type": "fp32",
    "zero_optimization": {
        "stage": 3,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_bucket_size": 26_214_400,
        "sub_group_size": 1_000_000_000,
        "stage3_prefetch_bucket_size": 23_592_960,
        "stage3_param_persistence_threshold": 409_600,
        "stage3_max_live_parameters": 1_000_000_000,
        "stage3_max_reuse_distance": 1_000_000_000,
        "stage3_gather_16bit_weights_on_model_save": True,
    },
    "zero_force_ds_cpu_optimizer": False,
    "steps_per_print": 1_000_000_000,
    "wall_clock_breakdown": False,
}


def test_the_published_run_with_clipping_that_clips() -> None:
    """Of the 32B, whose longest matrix is 25,600 long: at rank 16 every factor stays on every rank."""
    assert render(spec(), 5120, 25_600) == PUBLISHED


@pytest.mark.parametrize(
    ("changes", "threshold"),
    [
        ({"lora": {"rank": 64}}, 1_638_400),
        ({"lora": {"rank": 1}}, 100_000),
        ({"training": {"method": "full"}}, 100_000),
    ],
)
def test_what_stays_on_every_rank_follows_the_low_rank_factors(changes: dict[str, Any], threshold: int) -> None:
    zero = render(spec(**changes), 5120, 25_600)["zero_optimization"]
    assert zero["stage3_param_persistence_threshold"] == threshold


def test_zero_2_on_a_laptop() -> None:
    config = render(
        spec(
            deepspeed={"stage": 2},
            topology={"gpusPerNode": 2, "device": "cpu"},
            training={"precision": "fp32", "maxGradNorm": 0, "perDeviceBatchSize": 3},
        ),
        64,
    )
    assert config["zero_optimization"] == {
        "stage": 2, "overlap_comm": False, "contiguous_gradients": True, "reduce_bucket_size": 500_000,
    }  # fmt: skip
    assert (config["train_batch_size"], config["gradient_clipping"]) == (24, 0)
    assert config["bf16"] == {"enabled": False}
    assert not {"data_types", "communication_data_type"} & config.keys()


@pytest.mark.parametrize("stage", [0, 1])
def test_plain_data_parallelism_and_zero_1(stage: int) -> None:
    whole = spec(deepspeed={"stage": stage}, training={"precision": "fp32"})
    zero = render(whole, 64)["zero_optimization"]
    shards = {"overlap_comm", "contiguous_gradients", "reduce_bucket_size"} if stage else set()
    assert zero["stage"] == stage and zero.keys() == {"stage"} | shards
    assert problems(render(whole, 64), whole) == []


def test_offload_and_several_nodes() -> None:
    config = render(spec(deepspeed={"offload": "all"}, topology={"nodes": 2}), 5120)
    assert config["zero_optimization"]["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    assert config["zero_optimization"]["offload_param"] == {"device": "cpu", "pin_memory": True}
    assert config["checkpoint"] == {"use_node_local_storage": True}
    assert config["train_batch_size"] == 64


def test_weights_of_a_node_of_its_own() -> None:
    near = spec(deepspeed={"withinNode": True}, topology={"nodes": 2})
    config = render(near, 5120)
    assert config["zero_optimization"]["zero_hpz_partition_size"] == 8
    assert problems(config, near) == []
    assert "set it to 1" in problems(config, spec(topology={"nodes": 2}))[0]


def test_weights_stay_on_the_gpu_under_stage_2() -> None:
    both = spec(deepspeed={"stage": 2, "offload": "all"})
    assert "use offload optimizer, or stage 3" in problems(render(both, 5120), both)[0]


def test_an_update_in_fp32_is_not_brought_to_bf16() -> None:
    """Under ZeRO-3 the base's shards are made in bf16; under ZeRO-2 DeepSpeed would cast the update with the rest."""
    wide: dict[str, Any] = {"lora": {"precision": "fp32"}}
    assert render(spec(**wide), 5120, 25_600) == PUBLISHED
    whole = render(spec(**wide, deepspeed={"stage": 2}), 5120, 25_600)
    assert whole["bf16"] == {"enabled": False}
    assert (whole["data_types"], whole["communication_data_type"]) == ({"grad_accum_dtype": "fp32"}, "fp32")
    (problem,) = problems(whole | {"bf16": {"enabled": True}}, spec(**wide, deepspeed={"stage": 2}))
    assert problem == (
        "training.precision is bf16 and lora.precision fp32, but the DeepSpeed config has bf16 True and fp16 False: "
        "set bf16 to False and fp16 to False"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"deepspeed": {"stage": 2}},
        {"deepspeed": {"stage": 2}, "lora": {"precision": "fp32"}},
        {"training": {"precision": "fp32"}, "lora": {"precision": "fp32"}},
        {"training": {"precision": "fp32"}},
        {"deepspeed": {"stage": 2, "offload": "optimizer"}},
        {"deepspeed": {"offload": "all"}},
    ],
)
def test_what_is_rendered_has_no_problems(changes: dict[str, Any]) -> None:
    assert problems(render(spec(**changes), 5120), spec(**changes)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gradient_clipping": 0}, ["training.maxGradNorm is 0.3", "gradient_clipping 0"]),
        ({"gradient_clipping": "auto"}, ["gradient_clipping 'auto'"]),
        ({"train_batch_size": 64}, ["64", "8 ranks is 32"]),
        ({"gradient_accumulation_steps": 8}, ["gradient_accumulation_steps 8"]),
        ({"bf16": {"enabled": False}}, ["training.precision is bf16"]),
        ({"fp16": {"enabled": True}}, ["fp16 True"]),
        ({"data_types": {}}, ["added up in fp32", "grad_accum_dtype None", "communication_data_type 'fp32'"]),
        ({"communication_data_type": "bf16"}, ["communication_data_type 'bf16'", "set both to fp32"]),
        ({"zero_optimization": {"stage": 2}}, ["deepspeed.stage is 3", "2"]),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}},
            ["deepspeed.offload is none", "zero_optimization.offload_optimizer is {'device': 'cpu'}"],
        ),
    ],
)
def test_what_the_config_would_not_do_is_refused_by_name(change: dict[str, Any], words: list[str]) -> None:
    (problem,) = problems(PUBLISHED | change, spec())
    for word in words:
        assert word in problem


def test_a_config_without_clipping_is_refused() -> None:
    config = {key: value for key, value in PUBLISHED.items() if key != "gradient_clipping"}
    assert "maxGradNorm" in problems(config, spec())[0]


def test_hidden_size_of_a_vision_language_model_is_its_text_parts() -> None:
    assert hidden_size_of({"hidden_size": 1, "text_config": {"hidden_size": 5120}}) == 5120
    with pytest.raises(KeyError):
        hidden_size_of({"vision_config": {}})
