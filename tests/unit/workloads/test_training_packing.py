"""Packing changes how samples travel and nothing else: plan, batches, loss and gradients."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.fine_tune_run import FineTuneRunSpec, Lora
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.training.schedule.order import epoch_order, rank_batches
from fabula_workloads.training.schedule.packing import fill, pack, singly
from fabula_workloads.training.schedule.steps import plan_steps

pytestmark = pytest.mark.invariant

lengths_and_capacity = st.integers(32, 400).flatmap(
    lambda capacity: st.tuples(st.lists(st.integers(1, capacity), min_size=1, max_size=200), st.just(capacity))
)


@given(lengths_and_capacity, st.integers(0, 99), st.integers(1, 64))
def test_every_sample_is_in_one_sequence_that_is_not_too_long(
    case: tuple[list[int], int], seed: int, window: int
) -> None:
    lengths, capacity = case
    plan = pack(lengths, capacity, seed, window)
    assert Counter(index for row in plan for index in row) == Counter(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= capacity for row in plan)
    assert pack(lengths, capacity, seed, window) == plan


def test_short_samples_fill_the_room() -> None:
    # The shape of the published dataset: 1 to 5 pictures of 405 tokens, about 1,150 tokens of text.
    lengths = [1150 + 405 * (1 + index % 5) + index % 37 for index in range(4004)]
    plan = pack(lengths, 8192, seed=42)
    assert fill(plan, lengths, 8192) > 0.95
    assert fill(plan, lengths, 8192) > 2 * fill(singly(4004), lengths, 8192)
    assert pack(lengths, 8192, seed=43) != plan


def test_a_sample_longer_than_a_sequence_is_refused_by_number() -> None:
    with pytest.raises(ValueError, match="sample 1 has 101 tokens, more than the 100"):
        pack([5, 101], 100, seed=0)


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_any_number_of_ranks_sees_each_sample_once_an_epoch_in_the_same_order(ranks: int) -> None:
    lengths = [100 + 17 * index % 300 for index in range(96)]
    rows = pack(lengths, 800, seed=1)
    wire: dict[str, Any] = {"dataset": {"uri": "d"}, "model": {"name": "m"}, "topology": {"gpusPerNode": ranks}}
    spec = FineTuneRunSpec.model_validate(wire | {"training": {"packing": True, "gradientAccumulationSteps": 2}})
    plan = plan_steps(spec, len(rows))
    assert plan.batches == -(-len(rows) // ranks)
    assert plan.steps == plan.updates == -(-plan.batches // 2)
    for epoch in (0, 1):
        shares = [list(rank_batches(plan, epoch_order(plan.items, 1, epoch), rank)) for rank in range(ranks)]
        woven = [row for step in range(plan.batches) for share in shares for row in share[step]]
        assert woven[: plan.items] == epoch_order(len(rows), 1, epoch)
        seen = Counter(sample for row in woven[: plan.items] for sample in rows[row])
        assert seen == Counter(range(96))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder, samples(4, images=(1, 3, 2, 5)))
    encoder = Encoder(load_processor(model_folder, PixelWindow(min_pixels=1024, max_pixels=8192)), folder)
    return [encoder.encode(sample) for sample in read_samples(folder, "train")]


def load(
    model_folder: Path, *, packed: bool, checkpointing: bool = False, device: str = "cpu", precision: Any = "fp32"
) -> Any:
    """The tiny model with LoRA factors that matter (peft starts with zeros), the same each time."""
    import torch

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.models.segments import packed_attention
    from fabula_workloads.training.model.recompute import recompute_layers
    from fabula_workloads.training.model.trained_weights import add_lora

    attention = packed_attention() if packed else "sdpa"
    base = load_for_training(model_folder, precision=precision, attention=attention)
    torch.manual_seed(7)
    model = add_lora(base, Lora(dropout=0.0), "m").train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            # Drawn in fp32: some versions of torch draw other numbers in bf16.
            parameter.data.copy_(0.05 * torch.randn(parameter.shape))
    if checkpointing:
        recompute_layers(base, 1)
    return model.to(device)


def near(expected: float, device: str) -> Any:
    """Equal but for the order of sums, in fp32; a GPU's kernels differ in it by the shape of the batch."""
    return pytest.approx(expected, rel=1e-6 if device == "cpu" else 1e-5)


def assert_near(found: Any, expected: Any, device: str) -> None:
    import torch

    rtol, atol = (1e-4, 1e-6) if device == "cpu" else (1e-3, 1e-5)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


def on_device(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """The batch as the model takes it."""
    import torch

    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "measures"
    }


def losses_and_gradients(model: Any, batches: list[dict[str, Any]], head: Any = None) -> tuple[float, dict[str, Any]]:
    """Loss of an update over these batches, and its gradients by parameter; `head` is told the labels."""
    from fabula_workloads.training.model.loss import token_loss

    count = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        inputs = on_device(batch, model.device)
        labels = inputs.pop("labels")
        if head is not None:
            head.labels = labels
        loss = token_loss(model(**inputs), labels, count)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.torch
@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients_are_those_of_unpacked_training(
    model_folder: Path, encoded: list[dict[str, Any]], checkpointing: bool, device: str
) -> None:
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index

    plain = load(model_folder, packed=False, device=device)
    apart = [Collator(0)([[sample]]) for sample in encoded]
    expected, gradients = losses_and_gradients(plain, apart)
    packed = load(model_folder, packed=True, checkpointing=checkpointing, device=device)
    collate = PackedCollator(rope_index(packed))
    for rows in ([[encoded[:2], encoded[2:]]], [[encoded[:3]], [encoded[3:]]]):
        packed.zero_grad()
        loss, found = losses_and_gradients(packed, [collate(row) for row in rows])
        assert loss == near(expected, device)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            assert gradient.abs().max() > 0, name
            assert_near(found[name], gradient, device)


@pytest.mark.torch
def test_in_bf16_packing_is_as_near_to_fp32_as_unpacked_training(
    model_folder: Path, encoded: list[dict[str, Any]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fabula_workloads.models import segments
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index

    calls = []
    one_call = segments._in_one_call
    monkeypatch.setattr(segments, "_in_one_call", lambda *given: calls.append(1) or one_call(*given))

    def vector(gradients: dict[str, Any]) -> Any:
        return torch.cat([gradients[name].float().flatten() for name in sorted(gradients)])

    apart = [Collator(0)([[sample]]) for sample in encoded]
    expected, exact = losses_and_gradients(load(model_folder, packed=False, device=device), apart)
    off = {}
    for packed in (False, True):
        model = load(model_folder, packed=packed, device=device, precision="bf16")
        batches = [PackedCollator(rope_index(model))([encoded])] if packed else apart
        loss, found = losses_and_gradients(model, batches)
        assert loss == pytest.approx(expected, rel=1e-2)
        off[packed] = float((vector(found) - vector(exact)).norm() / vector(exact).norm())
    assert 1e-4 < off[True] < 1.5 * off[False] < 0.2
    # On a GPU through the varlen kernel, once a layer; elsewhere there is none.
    assert len(calls) == (len(model.get_decoder().layers) if device == "cuda" else 0)


@pytest.mark.torch
@pytest.mark.parametrize("packed", [False, True])
def test_a_head_that_holds_few_logits_at_once_gives_the_same_loss_and_gradients(
    model_folder: Path, encoded: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, packed: bool, device: str
) -> None:
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index
    from fabula_workloads.training.model import loss

    model = load(model_folder, packed=packed, device=device)
    collate = PackedCollator(rope_index(model)) if packed else Collator(0)
    batches = [collate([encoded[:2], encoded[2:]] if packed else [[sample] for sample in encoded])]
    expected, found = losses_and_gradients(model, batches)
    gradients = {name: gradient.clone() for name, gradient in found.items()}
    model.zero_grad()
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", 7 * model.config.text_config.vocab_size)
    head = loss.LossHead.attach(model)
    assert head is not None
    for _ in range(2):
        model.zero_grad()
        loss, found = losses_and_gradients(model, batches, head)
        assert loss == near(expected, device)
        for name, gradient in gradients.items():
            assert_near(found[name], gradient, device)
    with pytest.raises(ValueError, match="not told"):
        losses_and_gradients(model, batches)


@pytest.mark.torch
def test_a_head_that_is_trained_stays_as_it_is(model_folder: Path) -> None:
    from fabula_workloads.training.model.loss import LossHead

    model = load(model_folder, packed=False)
    model.get_output_embeddings().weight.requires_grad_(True)
    assert LossHead.attach(model) is None


@pytest.mark.torch
def test_packing_a_mixture_of_experts_is_equal_too(
    encoded: list[dict[str, Any]], model_folder: Path, device: str
) -> None:
    import torch
    from transformers import AutoConfig, Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index
    from fabula_workloads.models.segments import packed_attention
    from fabula_workloads.training.model.trained_weights import add_lora

    wire = AutoConfig.from_pretrained(model_folder).to_dict()
    parts = {part: {**wire[part]} for part in ("text_config", "vision_config")}
    for part in parts.values():
        del part["model_type"]
    parts["text_config"] |= {"moe_intermediate_size": 48, "num_experts": 8, "num_experts_per_tok": 2}
    tokens = {name: wire[name] for name in wire if name.endswith("_token_id") and name != "pad_token_id"}
    config = Qwen3VLMoeConfig(**parts, **tokens, tie_word_embeddings=False)
    attention = Lora(dropout=0.0, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    results = []
    for packed in (False, True):
        torch.manual_seed(7)
        base = Qwen3VLMoeForConditionalGeneration._from_config(config, attn_implementation="sdpa")
        base.config.use_cache = base.config.text_config.use_cache = False
        if packed:
            base.set_attn_implementation({"text_config": packed_attention()})
        model = add_lora(base, attention, "m").train()
        torch.manual_seed(8)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(0, 0.1)  # the router's start at zero, and would treat all experts alike
        collate = PackedCollator(rope_index(base)) if packed else Collator(0)
        batches = [collate([encoded])] if packed else [collate([[sample]]) for sample in encoded]
        results.append(losses_and_gradients(model.to(device), batches))
    (expected, gradients), (loss, found) = results
    assert loss == near(expected, device)
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 0, name
        assert_near(found[name], gradient, device)


@pytest.mark.torch
def test_the_varlen_kernel_of_a_gpu_gives_what_each_sample_alone_gives(device: str) -> None:
    import torch

    from fabula_workloads.models.segments import segment_attention

    if device == "cpu" or torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("needs --device cuda and a GPU with bf16 flash attention")
    module = torch.nn.Module()
    module.num_key_value_groups, module.is_causal = 4, True
    shapes = ((1, 8, 300, 64), (1, 2, 300, 64), (1, 2, 300, 64))
    given = [torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for shape in shapes]
    segments = (70, 1, 200, 29)
    together, _ = segment_attention(module, *given, None, scaling=0.125, segments=segments)
    gradients = torch.autograd.grad(together.float().square().sum(), given)
    exact = [part.detach().float().requires_grad_() for part in given]
    alone, _ = segment_attention(module, *exact, None, scaling=0.125, segments=segments)
    torch.testing.assert_close(together.float(), alone, rtol=2e-2, atol=2e-2)
    for found, expected in zip(gradients, torch.autograd.grad(alone.square().sum(), exact), strict=True):
        torch.testing.assert_close(found.float(), expected, rtol=5e-2, atol=5e-2)


@pytest.mark.torch
def test_the_test_above_sees_samples_that_see_each_other(model_folder: Path, encoded: list[dict[str, Any]]) -> None:
    from fabula_workloads.models.qwen3_vl.batches import PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index

    model = load(model_folder, packed=True)
    batch = PackedCollator(rope_index(model))([encoded])
    right, _ = losses_and_gradients(model, [batch])
    crossing, _ = losses_and_gradients(model, [batch | {"segments": (batch["input_ids"].shape[1],)}])
    assert crossing != pytest.approx(right, rel=1e-4)
    with pytest.raises(ValueError, match="lengths of its samples"):
        losses_and_gradients(model, [batch | {"segments": (3,)}])


@pytest.mark.torch
def test_positions_start_anew_with_each_sample_as_the_model_counts_them(
    model_folder: Path, encoded: list[dict[str, Any]]
) -> None:
    import torch

    from fabula_workloads.models.qwen3_vl.batches import PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index

    model = load(model_folder, packed=True)
    batch = PackedCollator(rope_index(model))([encoded[:2], encoded[2:]])
    assert batch["segments"] == tuple(len(sample["input_ids"]) for sample in encoded)
    start = 0
    for sample, length in zip(encoded, batch["segments"], strict=True):
        own = batch["position_ids"][:, 0, start : start + length]
        assert own[0].tolist() == list(range(length))
        expected, _ = model.base_model.model.model.get_rope_index(
            sample["input_ids"][None],
            mm_token_type_ids=sample["mm_token_type_ids"][None],
            image_grid_thw=sample["image_grid_thw"],
        )
        torch.testing.assert_close(own[1:], expected[:, 0])
        start += length
    assert batch["input_ids"].shape == (1, start)
    answers = sum(int((sample["labels"] != -100).sum()) for sample in encoded)
    assert len(batch["logits_to_keep"]) == answers


@pytest.mark.torch
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_an_update_is_computed_in_the_bases_precision(model_folder: Path, precision: Any) -> None:
    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.training.model.trained_weights import add_lora

    model = add_lora(load_for_training(model_folder, precision=precision), Lora(), "m")
    assert len({parameter.dtype for parameter in model.parameters()}) == 1


@pytest.mark.torch
def test_an_update_in_fp32_begins_as_one_in_bf16(model_folder: Path) -> None:
    import torch

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.training.model.trained_weights import add_lora

    begun = []
    for lora in (Lora(), Lora(precision="fp32")):
        torch.manual_seed(0)
        model = add_lora(load_for_training(model_folder, precision="bf16"), lora, "m")
        begun.append({name: value for name, value in model.named_parameters() if value.requires_grad})
    usual, wide = begun
    assert {value.dtype for value in wide.values()} == {torch.float32}
    assert all(torch.equal(value, usual[name].float()) for name, value in wide.items())
