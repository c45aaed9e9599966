"""What training touches of its libraries behind their interface is still what it was written against.

When this fails after an upgrade: read what changed in the named function, mend `training/libraries`, write the new
digest here, and raise `WRITTEN_AGAINST`. The tests of resumption and equality then say whether it is right.
"""

from __future__ import annotations

import hashlib
import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.training.libraries.versions import WRITTEN_AGAINST, check_versions

ZERO3 = "deepspeed.runtime.zero.stage3:DeepSpeedZeroOptimizer_Stage3"
ZERO2 = "deepspeed.runtime.zero.stage_1_and_2:DeepSpeedZeroOptimizer"
RENDEZVOUS = "torch.distributed.elastic.rendezvous.dynamic_rendezvous"
SOURCES = {
    f"{ZERO3}._get_fp32_opt_state_partition": "17cbde2b",
    f"{ZERO3}._get_param_partition_rank": "b88a5ede",
    f"{ZERO3}._reassign_or_swap_out_partitioned_parameters": "89aab0f8",
    f"{ZERO3}.checkpoint_event_prologue": "01713a52",
    f"{ZERO3}.checkpoint_event_epilogue": "9b05d627",
    f"{ZERO2}.update_lp_params": "3cdce069",
    "transformers:Trainer._prepare_for_training": "f5595059",
    "transformers:Trainer._run_epoch": "31aff00f",
    "transformers:Trainer._save_optimizer_and_scheduler": "c5ef974d",
    "transformers:Trainer.training_step": "e9760c8e",
    "transformers:Trainer.get_batch_samples": "0b372738",
    "transformers.models.qwen3_vl.modeling_qwen3_vl:apply_rotary_pos_emb": "ea234325",
    f"{RENDEZVOUS}:get_method_name": "a49d8ae6",
}
"""Digests of the source of what is called or replaced."""
NAMES = {
    ZERO3: ("self.fp16_groups", "self.fp32_partitioned_groups_flat", "self.optimizer"),
    ZERO2: ("self.single_partition_of_fp32_groups", "self.optimizer"),
    "deepspeed.utils.tensor_fragment:tensor_fragment": (
        "lp_fragment_address", "hp_fragment_address", "param_group_index",
    ),
    "deepspeed.utils.tensor_fragment": ("_hp_mapping",),
    f"{RENDEZVOUS}:DynamicRendezvousHandler._record": ("{get_method_name()}",),
    "deepspeed.runtime.zero.parameter_offload:DeepSpeedZeRoOffload._register_deepspeed_module": (
        "module.pre_bwd_fn = PreBackwardFunctionForModule", "module.post_bwd_fn = PostBackwardFunctionModule",
    ),
    "torch.utils.data:DataLoader.check_worker_number_rationality": ("This DataLoader will create",),
    "torch.autograd.function:Function.apply": ("inspect.signature(func)",),
    "peft:PeftModel.save_pretrained": ("self.create_or_update_model_card(save_directory)",),
    "transformers.modeling_layers:GradientCheckpointingLayer": ("_gradient_checkpointing_func",),
}  # fmt: skip
"""What is looked up by name, by the source that has to have it."""


def found(where: str) -> Any:
    module, _, path = where.partition(":")
    place: Any = import_module(module)
    for name in filter(None, path.split(".")):
        place = getattr(place, name)
    return inspect.unwrap(place) if callable(place) else place


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    pytest.importorskip("deepspeed")
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()


@pytest.mark.torch
@pytest.mark.parametrize("where", SOURCES)
def test_a_private_function_reads_as_it_did(where: str) -> None:
    digest = hashlib.sha256(inspect.getsource(found(where)).encode()).hexdigest()[:8]
    assert digest == SOURCES[where], f"{where} has changed: read it anew"


@pytest.mark.torch
@pytest.mark.parametrize("where", NAMES)
def test_private_names_are_still_there(where: str) -> None:
    source = inspect.getsource(found(where))
    assert [name for name in NAMES[where] if name not in source] == []


@pytest.mark.torch
def test_moves_of_a_rendezvous_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous

    from fabula_workloads.training.libraries.torchrun import without_call_stacks

    def recorded(depth: int) -> str:
        return dynamic_rendezvous.get_method_name(depth)

    own = [recorded(depth) for depth in (1, 2, 1000)]
    assert own[0] == "recorded"
    monkeypatch.setattr(dynamic_rendezvous, "get_method_name", None)
    without_call_stacks()
    assert [recorded(depth) for depth in (1, 2, 1000)] == own


@pytest.mark.torch
def test_hooks_have_their_signature_at_hand() -> None:
    import torch

    from fabula_workloads.training.libraries.zero import keep_signatures

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(outputs: Any, factor: int = 2) -> Any:
            return outputs * factor

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx: Any, *above: Any) -> Any:
            return above[0] * ctx.factor, None

    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    module[0].pre_bwd_fn = Doubled  # type: ignore[assignment]  # as DeepSpeed does
    signature = inspect.signature(Doubled.forward)
    keep_signatures(SimpleNamespace(module=module))
    assert vars(Doubled.forward)["__signature__"] == signature
    given = torch.ones(2, requires_grad=True)
    Doubled.apply(given).sum().backward()
    assert given.grad is not None and given.grad.tolist() == [2.0, 2.0]


@pytest.mark.torch
def test_an_adapter_is_saved_as_peft_does_but_for_a_card(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from fabula_workloads.training.chat import save_adapter

    config = LoraConfig(r=2, target_modules=["0"])
    tuned: Any = get_peft_model(torch.nn.Sequential(torch.nn.Linear(4, 4)), config)  # type: ignore[arg-type]
    tuned.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    save_adapter(tuned, tmp_path / "ours", write=True, gathered=lambda: None)
    ours, theirs = ({file.name: file for file in (tmp_path / one).iterdir()} for one in ("ours", "theirs"))
    assert theirs.keys() - ours.keys() == {"README.md"}
    weights = "adapter_model.safetensors"
    assert ours[weights].read_bytes() == theirs[weights].read_bytes()


@pytest.mark.torch
def test_the_op_that_a_cpu_does_without_is_known_by_its_name() -> None:
    import deepspeed

    assert "deepspeed_shm_comm" in deepspeed.ops.__compatible_ops__


def test_training_is_written_against_what_is_pinned() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    pins = dict(pin.split("==") for pin in project["optional-dependencies"]["train"])
    assert {name: ".".join(pins[name].split(".")[:2]) for name in WRITTEN_AGAINST} == WRITTEN_AGAINST


def test_an_image_with_another_version_is_refused_at_the_start() -> None:
    check_versions({"deepspeed": "0.19.8", "transformers": "5.23.1"}.__getitem__)
    with pytest.raises(ConfigInvalid, match=r"has deepspeed 0\.20\.1, and training is written against deepspeed 0\.19"):
        check_versions({"deepspeed": "0.20.1", "transformers": "5.23.0"}.__getitem__)
