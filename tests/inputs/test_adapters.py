"""An adapter or model that is not whole, or not of this base, is refused before it answers, in words that say where."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fabula_workloads.recipes.podcast.illustration.by_model import open_painter
from fabula_workloads.recipes.podcast.prompt import PROMPT_VERSION
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages import infer
from tests.inputs.adapters import ADAPTERS, MODELS, PIPELINES, Flaw
from tests.support.stage_context import stage_context
from tests.support.worker_process import run_worker_process, worker_config

pytestmark = pytest.mark.torch
PIXELS = {"minPixels": 1024, "maxPixels": 8192}
SPEC: dict[str, Any] = {
    "samples": {"uri": "none"},
    "pixels": PIXELS,
    "arms": [
        {"name": "base", "model": {"uri": "model"}, "gpusPerShard": 0},
        {"name": "tuned", "model": {"uri": "model"}, "adapter": {"uri": "tuned"}, "gpusPerShard": 0},
    ],
    "generation": {"maxNewTokens": 2},
}


@pytest.fixture(scope="module")
def whole(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a model, an adapter's files that change its answers, and one sample."""
    import torch
    from peft import LoraConfig, get_peft_model

    from fabula_workloads.models.loading import load_for_training

    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(model_folder, root / "model")
    torch.manual_seed(0)
    targets = ["q_proj", "v_proj"]
    tuned = get_peft_model(
        load_for_training(root / "model", precision="fp32"),
        LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    tuned.save_pretrained(root / "tuned")
    (root / "tuned" / "README.md").unlink()
    samples = open_store(f"file://{root}/select")
    Image.effect_noise((90, 60), 60).convert("RGB").save(root / "photo.jpg")
    line = json.dumps({"id": "one", "images": ["photo.jpg"]}) + "\n"
    parts = [add_part(samples, "photo.jpg", root / "photo.jpg"), add_part(samples, "samples.jsonl", line.encode())]
    commit(samples, kind="sample-set", parts=parts)
    return root


def world(whole: Path, tmp_path: Path, flaw: Flaw | None, folder: str) -> Path:
    """A copy of it with the flaw, the adapter committed as it then is."""
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    if flaw is not None:
        flaw.do(root / folder)
    store = open_store(f"file://{root}/tuned")
    digest = "sha256:" + hashlib.sha256((root / "model" / "config.json").read_bytes()).hexdigest()
    details = {"pixels": PIXELS, "promptVersion": PROMPT_VERSION, "base": {"uri": "model", "digest": digest}}
    parts = [add_part(store, file.name, file) for file in sorted((root / "tuned").iterdir())]
    commit(store, kind="adapter", parts=parts, details=details)
    return root


def answers(root: Path, arm: str) -> dict[str, float]:
    inputs = {"select": "select", "adapter": "tuned"}
    return infer.run(stage_context(root, "EvalRun", "infer", SPEC, f"out-{arm}", inputs, arm=arm)).counts


def test_a_whole_adapter_answers(whole: Path, tmp_path: Path) -> None:
    assert answers(world(whole, tmp_path, None, "tuned"), "tuned")["answer/ok"] == 1


@pytest.mark.parametrize("flaw", ADAPTERS, ids=lambda flaw: flaw.kind)
def test_an_unfit_adapter_answers_nothing(whole: Path, tmp_path: Path, flaw: Flaw) -> None:
    root = world(whole, tmp_path, flaw, "tuned")
    with pytest.raises(InputInvalid, match=rf"^arms\[tuned\]\.adapter: tuned .*{flaw.words}"):
        answers(root, "tuned")
    assert not list((root / "out-tuned").rglob("*.json"))


@pytest.mark.parametrize("flaw", MODELS, ids=lambda flaw: flaw.kind)
def test_an_unfit_model_answers_nothing(whole: Path, tmp_path: Path, flaw: Flaw) -> None:
    root = world(whole, tmp_path, flaw, "model")
    with pytest.raises(InputInvalid, match=rf"^arms\[base\]\.model: model cannot be loaded: .*{flaw.words}"):
        answers(root, "base")


def test_a_worker_ends_with_bad_input_and_says_where(whole: Path, tmp_path: Path) -> None:
    flaw = next(flaw for flaw in ADAPTERS if flaw.kind == "another library's names")
    root = world(whole, tmp_path, flaw, "tuned")
    places = {"select": "select", "adapter": "tuned"}
    given = [{"name": name, "uri": uri, "digest": "unknown"} for name, uri in places.items()]
    run = {"kind": "EvalRun", "namespace": "default", "name": "trial", "uid": "1"}
    ended = run_worker_process(
        tmp_path, worker_config(root, "infer", SPEC, run=run, arm="tuned", inputs=given), anew=True
    )
    assert ended.code == 65, ended.output
    assert ended.result["failure"]["reason"] == "InputInvalid"
    assert "it lacks 8 of 8 tensors, first base_model.model." in ended.result["failure"]["message"]
    assert "Traceback" not in ended.output


def test_an_adapter_is_loaded_as_peft_loads_it(whole: Path) -> None:
    import torch
    from peft import PeftModel

    from fabula_workloads.models.loading import load_base, load_with_adapter

    ours = load_with_adapter(whole / "model", whole / "tuned", device="cpu", precision="fp32")
    base = load_base(whole / "model", device="cpu", precision="fp32")
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    theirs = PeftModel.from_pretrained(base, str(whole / "tuned")).merge_and_unload().state_dict()
    changed = 0
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
        changed += not torch.equal(tensor, before[name])
    assert changed == 4


def test_loading_depends_on_no_import_of_its_callers(whole: Path) -> None:
    script = (
        "import sys; from fabula_workloads.models.loading import load_with_adapter; "
        f"load_with_adapter({str(whole / 'model')!r}, {str(whole / 'tuned')!r}, device='cpu', precision='fp32')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("flaw", MODELS[:2], ids=lambda flaw: flaw.kind)
def test_an_unfit_clip_scores_nothing(tmp_path: Path, flaw: Flaw) -> None:
    from fabula_quickstart.tiny import clip
    from fabula_workloads.metrics.clip_model import ClipModel
    from fabula_workloads.models.stored_files import DamagedFile

    clip.build(tmp_path, ["a b"])
    flaw.do(tmp_path)
    with pytest.raises(DamagedFile, match=flaw.words):
        ClipModel(tmp_path)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fabula_quickstart.tiny import sd3

    folder = tmp_path_factory.mktemp("pipeline") / "sd3"
    sd3.build(folder)
    return folder


@pytest.mark.parametrize("flaw", PIPELINES, ids=lambda flaw: flaw.kind)
def test_an_unfit_pipeline_draws_nothing(pipeline: Path, tmp_path: Path, flaw: Flaw) -> None:
    shutil.copytree(pipeline, tmp_path / "sd3")
    flaw.do(tmp_path / "sd3")
    images = {"provider": "diffusers", "model": {"uri": "sd3"}, "device": "cpu"}
    spec = {"source": {"uri": "s"}, "images": images}
    context = stage_context(tmp_path, "DatasetBuild", "illustrate", spec, "pics", {"extract": "extract"})
    words = rf"^podcast\.images\.model: sd3 is not a Stable Diffusion 3 pipeline: .*{flaw.words}"
    with pytest.raises(InputInvalid, match=words):
        open_painter(context)
