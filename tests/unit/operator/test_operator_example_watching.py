"""The examples of visual instruction: accepted as they are, and with the published settings of each stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tests.support.observations import observed

from fabula_api.recipes import Kind
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune, VisualInstructionTuneSpec
from fabula_api.specs import parse_spec
from fabula_operator.plan.acceptance.refusal import Accepted
from fabula_operator.plan.lifecycle.accept import accept

FOLDER = Path(__file__).parents[3] / "examples" / "visual-instruction"
DOCUMENTS = [
    (f"{path.stem}/{document['metadata']['name']}", document)
    for path in sorted(FOLDER.glob("**/*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("document", [one for _, one in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])
def test_an_example_is_accepted_as_it_is(document: dict[str, Any]) -> None:
    kind = cast(Kind, document["kind"])
    seen = observed(kind)
    accepted = accept(replace(seen, run=replace(seen.run, spec=document["spec"])))
    assert isinstance(accepted, Accepted), accepted


@pytest.mark.parametrize(
    ("name", "stage", "learning_rate", "projector", "batch", "epochs", "pooling", "begin"),
    [
        ("watcher-align", "align", 5e-4, None, 4, 1, 1, None),
        ("watcher-finetune", "finetune", 1e-4, 1e-5, 2, 1, 1, "watcher-align"),
        ("watcher-stream", "streaming", 1e-4, 1e-5, 2, 1, 2, "watcher-finetune"),
        ("watcher-instruct", "instruct", 1e-4, 1e-5, 2, 2, 2, "watcher-stream"),
    ],
)
def test_stages_have_the_published_settings_and_are_chained(
    name: str, stage: str, learning_rate: float, projector: float | None, batch: int, epochs: int, pooling: int,
    begin: str | None,
) -> None:  # fmt: skip
    document = next(one for _, one in DOCUMENTS if one["metadata"]["name"] == name)
    spec = parse_spec("FineTuneRun", document["spec"])
    assert isinstance(spec, VisualInstructionTuneSpec)
    tune, training = spec.visual_instruction, spec.training
    assert (tune.stage, tune.projector_learning_rate, tune.pooling) == (stage, projector, pooling)
    assert (tune.begin.ref if tune.begin else None) == begin
    assert (training.learning_rate, training.epochs, training.per_device_batch_size) == (learning_rate, epochs, batch)
    assert (training.gradient_accumulation_steps, training.warmup_ratio, training.max_length) == (4, 0.03, 6200)
    if tune.updates:
        assert (spec.lora.rank, spec.lora.alpha, spec.lora.dropout) == (128, 256, 0.05)


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "tiny"], ids=["published", "tiny"])
def test_all_that_a_run_waits_for_is_applied_with_it(folder: Path) -> None:
    """`kubectl apply -f` takes a folder; a run whose dataset nobody builds would wait for good."""
    documents = [one for path in folder.glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    made = {(one["kind"], one["metadata"]["name"]) for one in documents}
    wanted = set()
    for one in documents:
        spec, block = one["spec"], one["spec"]["visualInstruction"]
        wanted |= {("DatasetBuild", ref) for at in ("dataset", "samples") if (ref := spec.get(at, {}).get("ref"))}
        wanted |= {("FineTuneRun", arm["adapter"]["ref"]) for arm in spec.get("arms", []) if "adapter" in arm}
        wanted |= {("FineTuneRun", block["begin"]["ref"])} if "begin" in block else set()
    assert wanted and wanted <= made, wanted - made


def test_the_last_stage_says_what_it_begins_with() -> None:
    """The reference's script left it out, and ended in its own parser."""
    rules = VisualInstructionTune.cel
    assert [rule["rule"] for rule in rules] == ["self.stage != 'instruct' || has(self.begin)"]
    crd = (FOLDER.parents[1] / "crds" / "fabula.dev_finetuneruns.yaml").read_text()
    assert rules[0]["rule"] in crd and "name its run in begin.ref" in " ".join(crd.split())
