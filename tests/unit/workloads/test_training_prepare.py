"""What a training run is refused for before a rank starts: exit codes that are never retried, and words that help."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_folder import TENSORS, safetensors, write_model
from tests.support.stage_context import stage_context
from tests.support.training_dataset import samples, write_dataset

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.worker import FINAL_EXIT_CODES
from fabula_workloads.models.family import liger_missing
from fabula_workloads.models.stored_files import INDEX, SINGLE
from fabula_workloads.runtime.failures import WorkerError
from fabula_workloads.training.launcher.prepare import Prepared, prepare
from fabula_workloads.training.model.model_files import read_model


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_model(tmp_path / "model")
    write_dataset(tmp_path / "dataset", samples(8), samples(2, seed=1))
    return tmp_path


def prepared(root: Path, **changes: Any) -> Prepared:
    spec = {
        "dataset": {"uri": "dataset"},
        "model": {"uri": "model"},
        "topology": {"gpusPerNode": 2, "device": "cpu"},
        "lora": {"targetModules": ["q_proj", "up_proj"]},
        **changes,
    }
    context = stage_context(root, "FineTuneRun", "train", spec, "out", {"dataset": "dataset"})
    parsed = context.config.spec
    assert isinstance(parsed, FineTuneRunSpec)
    return prepare(context, parsed, lambda: root / "model")


def refused(root: Path, **changes: Any) -> WorkerError:
    with pytest.raises(WorkerError) as raised:
        prepared(root, **changes)
    assert raised.value.exit_code in FINAL_EXIT_CODES
    return raised.value


def test_what_is_in_order_is_prepared(root: Path) -> None:
    ready = prepared(root)
    assert ready.resumed_from is None
    assert ready.job.deepspeed["train_batch_size"] == 8


def test_a_dataset_of_another_recipe_is_refused(root: Path) -> None:
    message = refused(root, recipe="audio-description", audioDescription={}).message
    assert "is a dataset of recipe 'podcast', but the run's recipe is 'audio-description'" in message


def test_an_empty_split_is_refused(root: Path) -> None:
    write_dataset(root / "empty", [], samples(2))
    context = stage_context(root, "FineTuneRun", "train", {"dataset": {"uri": "empty"}, "model": {"uri": "model"}},
                            "out", {"dataset": "empty"})  # fmt: skip
    assert isinstance(context.config.spec, FineTuneRunSpec)

    def downloaded() -> Path:
        raise AssertionError("a model is not downloaded for a dataset that cannot be trained on")

    with pytest.raises(WorkerError, match="dataset: empty has an empty training split; build a larger one"):
        prepare(context, context.config.spec, downloaded)


@pytest.mark.parametrize(
    ("gpus", "size", "instead"),
    [
        (3, 3, "3 ranks x 3 = 9 samples, but the training split gives 8; set it to at most 2"),
        (9, 1, "use at most 8 ranks with perDeviceBatchSize 1, or a larger dataset"),
    ],
)
def test_a_pass_that_takes_more_samples_than_there_are_is_refused(
    root: Path, gpus: int, size: int, instead: str
) -> None:
    changes = {"topology": {"gpusPerNode": gpus, "device": "cpu"}, "training": {"perDeviceBatchSize": size}}
    error = refused(root, **changes)
    assert error.message.startswith("training.perDeviceBatchSize: ")
    assert instead in error.message


def test_a_picture_that_is_not_there_is_named_before_ranks_start(root: Path) -> None:
    (root / "dataset/samples/s0-003/image_2.png").unlink()
    assert "sample s0-003: samples/s0-003/image_2.png is not in the dataset" in refused(root).message


def test_bad_samples_are_left_to_the_ranks_where_they_may_be_skipped(root: Path) -> None:
    (root / "dataset/samples/s0-003/image_2.png").unlink()
    assert prepared(root, training={"badSamples": "skip"}).resumed_from is None


def test_a_target_module_that_the_model_lacks_is_refused_with_those_it_has(root: Path) -> None:
    error = refused(root, lora={"targetModules": ["q_proj", "query", "embed_tokens"]})
    assert error.message == (
        "lora.targetModules: embed_tokens, query is no linear layer of model; it has lm_head, q_proj, up_proj"
    )
    assert error.reason == "ConfigInvalid"


def test_targets_of_quantised_weights_are_left_to_the_ranks(root: Path) -> None:
    write_model(root / "awq", quantization_config={"quant_method": "awq"})
    assert read_model(root / "awq", "awq").linear_layers == {}


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        ({"quantization_config": {}}, {"lora": {"quantization": "nf4"}}, "lora.quantization: nf4 needs weights that"),
        ({"quantization_config": {}}, {"training": {"method": "full"}}, "training.method: full needs weights that are"),
        ({"model_type": "qwen3_vl_moe"}, {"lora": {"quantization": "nf4"}}, "whose experts are one tensor for all"),
    ],
)
def test_weights_that_cannot_be_trained_as_asked_are_refused(
    root: Path, config: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    (root / "model").rename(root / "model.old")
    write_model(root / "model", **config)
    error = refused(root, **changes)
    assert error.reason == "ConfigInvalid"
    assert words in error.message


def test_another_architecture_is_refused_with_what_would_work(root: Path) -> None:
    write_model(root / "other", model_type="llama", hidden_size=4)
    (root / "other").rename(root / "model.new")
    (root / "model").rename(root / "model.old")
    (root / "model.new").rename(root / "model")
    message = refused(root).message
    assert "model is a llama (Qwen3VL); this worker trains qwen3_vl and qwen3_vl_moe" in message
    assert "template.image" in message


def _cut(model: Path) -> None:
    data = (model / SINGLE).read_bytes()
    (model / SINGLE).write_bytes(data[:-10])


def _lfs(model: Path) -> None:
    (model / SINGLE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def _index(model: Path, weights: dict[str, str]) -> None:
    (model / INDEX).write_text(json.dumps({"weight_map": weights}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda m: (m / "config.json").unlink(), "holds no model: config.json: No such file"),
    "no JSON": (lambda m: (m / "config.json").write_text("{"), "config.json that is no config of a language model"),
    "no width": (lambda m: (m / "config.json").write_text("{}"), "config.json that is no config of a language model"),
    "cut short": (_cut, f"is damaged: {SINGLE}: it has "),
    "no weights": (lambda m: (m / SINGLE).unlink(), f"neither {SINGLE} nor {INDEX} is in its folder"),
    "an LFS pointer": (_lfs, "it is a Git LFS pointer, not the file itself; fetch it again"),
    "noise": (lambda m: (m / SINGLE).write_bytes(b"\xff" * 90), "it does not begin as safetensors do"),
    "a broken header": (
        lambda m: (m / SINGLE).write_bytes(struct.pack("<Q", 4) + b"{{{{"),
        "its header cannot be read",
    ),
    "a lost shard": (lambda m: _index(m, {"a.weight": "model-1.safetensors"}), "model-1.safetensors: No such file"),
    "a lost tensor": (
        lambda m: _index(m, {"a.weight": SINGLE}),
        "the index places a.weight there, but it is not in it",
    ),
    "a broken index": (lambda m: (m / INDEX).write_text("[]"), f"{INDEX}: it is no index of weights"),
    "no tokenizer": (lambda m: (m / "tokenizer.json").unlink(), "has no tokenizer: none of tokenizer.json, vocab.json"),
    "no pictures": (lambda m: (m / "preprocessor_config.json").unlink(), "has no image processor"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_refused_by_the_file(root: Path, damage: str) -> None:
    harm, words = DAMAGE[damage]
    harm(root / "model")
    error = refused(root)
    assert error.message.startswith("model: model ")
    assert words in error.message


def test_a_model_in_shards_is_read_whole(root: Path) -> None:
    names = list(TENSORS)
    model = root / "model"
    for number, part in enumerate((names[:3], names[3:])):
        (model / f"part-{number}").write_bytes(safetensors({name: TENSORS[name] for name in part}))
    (model / SINGLE).unlink()
    _index(model, {name: f"part-{int(number >= 3)}" for number, name in enumerate(names)})
    assert read_model(model, "m").linear_layers.keys() == {"q_proj", "up_proj", "lm_head"}


def checkpoint(ready: Prepared, **details: Any) -> None:
    """A committed checkpoint of a run like this one."""
    saved = ready.job.saved / "checkpoint-5"
    saved.mkdir()
    (saved / "trainer_state.json").write_text('{"log_history": []}')
    ready.checkpoints.save(5, saved, details=ready.checkpoint_details(5, saved).to_wire() | details)


def test_a_run_goes_on_from_its_own_checkpoint(root: Path) -> None:
    checkpoint(prepared(root))
    assert prepared(root).resumed_from == 5


def test_a_checkpoint_of_another_base_is_refused(root: Path) -> None:
    checkpoint(prepared(root))
    config = root / "model/config.json"
    config.write_text(config.read_text().replace("Qwen3VL", "Another"))
    error = refused(root)
    assert error.message.startswith("output.uri: the checkpoint ")
    assert "is of a base model whose config.json is sha256:" in error.message
    assert error.message.endswith("give the run another output.uri")


def test_a_checkpoint_of_another_batch_is_refused(root: Path) -> None:
    checkpoint(prepared(root))
    message = refused(root, training={"gradientAccumulationSteps": 3}).message
    assert "was made with 8 samples an optimizer step, but the run's are 6" in message


def test_a_checkpoint_that_was_changed_is_refused(root: Path) -> None:
    ready = prepared(root)
    checkpoint(ready)
    (folder,) = (root / "out/checkpoints/step-000005").glob("attempt-*")
    (folder / "trainer_state.json").write_text('{"log_history": [ ]}')
    assert "has changed since it was committed" in refused(root).message


def test_kernels_that_cannot_run_are_refused_before_ranks_start(root: Path) -> None:
    liger = {"kernels": "liger"}
    on_cpu = refused(root, training=liger, topology={"gpusPerNode": 1, "device": "cpu"})
    assert on_cpu.message == "training.kernels: liger's kernels run on GPUs only; set it to torch"
    if liger_missing():
        error = refused(root, training=liger, topology={"gpusPerNode": 1})
        assert "this image has no liger-kernel or no triton; add the kernels extra" in error.message
    (root / "model").rename(root / "dense")
    write_model(root / "model", model_type="qwen3_vl_moe")
    other = refused(root, training=liger, topology={"gpusPerNode": 1})
    assert "model is a qwen3_vl_moe, and liger's kernels are proved equal" in other.message
