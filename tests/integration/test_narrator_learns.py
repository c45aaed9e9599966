"""That training teaches: in worlds drawn from three seeds a narrator names and tells what its base model cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.stage_context import stage_context
from tests.support.training_world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="three trainings: FABULA_SOAK=1 runs them"),
]
TINY = Path(__file__).resolve().parents[2] / "examples/audio-description/tiny"


def spec_of(kind: str) -> dict[str, Any]:
    return dict(yaml.safe_load((TINY / f"{kind}.yaml").read_text())["spec"])


def built(root: Path, seed: int) -> None:
    """The example's films, drawn by another seed, as a dataset below `root`."""
    from fabula_quickstart import narration
    from fabula_quickstart.tiny import llama
    from fabula_workloads.recipes.audio_description import assemble, collect, ingest

    narration.write(root / "narration/films", seed)
    llama.build(root / "narration/tiny-llama", narration.corpus())
    spec = spec_of("dataset")
    read = ingest.run(stage_context(root, "DatasetBuild", "ingest", spec, "ingest"))
    inputs = {"ingest": (read.uri or "").removeprefix(f"file://{root}/")}
    collect.run(stage_context(root, "DatasetBuild", "collect", spec, "collect", inputs))
    inputs["collect"] = "collect"
    assemble.run(stage_context(root, "DatasetBuild", "assemble", spec, "dataset", inputs))


def described(root: Path, samples: Sequence[Any], folder: Path, tuned: Path | None) -> Mapping[str, str]:
    """What an arm says of each sample."""
    from fabula_api.arms import Generation
    from fabula_api.recipes.audio_description.tell import AudioDescriptionTell
    from fabula_workloads.inference.request import Answer, request
    from fabula_workloads.recipes.audio_description.narrator.engine import NarratorEngine

    engine = NarratorEngine(
        root / "narration/tiny-llama", tuned, cuda=False, tell=AudioDescriptionTell(),
        generation=Generation.model_validate({"maxNewTokens": 24}),
    )  # fmt: skip
    said: dict[str, str] = {}
    for start in range(0, len(samples), 8):
        batch = [request(sample, 0, folder, "") for sample in samples[start : start + 8]]
        for one, answer in zip(batch, engine.answer(batch, lambda: False), strict=True):
            assert isinstance(answer, Answer)
            said[one.sample] = answer.text
    return said


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_paired_interval_of_cider_and_of_names_is_above_zero(
    tmp_path: Path, training_libraries: Path, seed: int
) -> None:
    from fabula_workloads.metrics.statistics.paired import compare
    from fabula_workloads.recipes.audio_description.annotations.names import named_in
    from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
    from fabula_workloads.recipes.audio_description.scoring.cider import Cider, DocumentFrequencies
    from fabula_workloads.recipes.audio_description.scoring.names import names_of
    from fabula_workloads.recipes.audio_description.scoring.ptb import tokens
    from fabula_workloads.runtime.open_store import open_store
    from fabula_workloads.samples.sample_set import read_sample_set
    from fabula_workloads.stages import select

    root = tmp_path / "root"
    built(root, seed)
    (tmp_path / "cache").mkdir()
    tuning = spec_of("finetune")
    tuning |= {"dataset": "dataset", "training": tuning["training"] | {"seed": seed}}
    world = World(tmp_path, training_libraries)
    try:
        code, result = world.run("tuned", **tuning)
        assert code == 0, world.log("tuned")
    finally:
        world.close()
    asked = {**spec_of("eval"), "samples": {"uri": "dataset", "count": 100}}
    chosen = select.run(stage_context(root, "EvalRun", "select", asked, "set"))
    samples = read_sample_set(open_store(chosen.uri or ""), NarrationEvaluationSample)
    folder = root / (chosen.uri or "").removeprefix(f"file://{root}/")
    scorer = Cider(DocumentFrequencies.of(tokens(one.reference) for one in samples))
    ciders, recalls = [], []
    for tuned in (world.output("tuned"), None):
        said = described(root, samples, folder, tuned)
        told = {
            one.id: (scorer.vectors(tokens(said[one.id])), scorer.vectors(tokens(one.reference))) for one in samples
        }
        ciders.append({name: 100 * scorer.score(*pair) for name, pair in told.items()})
        recalls.append({one.id: float(set(one.named) <= named_in(said[one.id], names_of(one))) for one in samples})
    cider, names = compare(*ciders).estimate, compare(*recalls).estimate
    first, last = result.metrics["firstLoss"], result.metrics["loss"]
    print(f"seed {seed}: loss {first:.3f} to {last:.3f}; CIDEr {cider}; names {names}")
    assert cider.low is not None and cider.low > 0
    assert names.low is not None and names.low > 0
