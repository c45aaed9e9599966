"""An evaluation's clips: out of the validation split, with all that a narrator is shown of them beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from tests.support.narration_world import write_narration
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.samples.sample_set import read_sample_set
from fabula_workloads.stages import select


def selected(root: Path, count: int, **samples: Any) -> list[NarrationEvaluationSample]:
    spec = {
        "recipe": "audio-description", "samples": {"uri": "dataset", "count": count, **samples},
        "arms": [{"name": "one", "model": {"uri": "model"}}], "audioDescription": {}, "metrics": ["words"],
    }  # fmt: skip
    made = select.run(stage_context(root, "EvalRun", "select", spec, "set"))
    assert made.uri is not None
    return read_sample_set(open_store(made.uri), NarrationEvaluationSample)


def test_a_clip_comes_with_its_features_its_characters_and_what_a_person_said(tmp_path: Path) -> None:
    write_narration(tmp_path / "dataset", 4, 6)
    found = selected(tmp_path, 50)
    assert [sample.start for sample in found] == list(range(6))
    first, second = found[0], found[1]
    assert first.previous is None and second.previous is not None and second.reference.startswith(second.named[0])
    folder = next((tmp_path / "set").glob("*/manifest.json")).parent
    features = load_file(folder / second.features)
    assert set(features) == {"clip", "before", "nm01", "nm02"}
    assert second.narration().exemplars == second.features


def test_a_draw_of_fewer_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path) -> None:
    write_narration(tmp_path / "dataset", 4, 12)
    draws = [[one.start for one in selected(tmp_path, 5, seed=seed)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert all(draw == sorted(draw) for draw in draws)


def test_a_dataset_that_held_nothing_out_says_how_it_would(tmp_path: Path) -> None:
    write_narration(tmp_path / "dataset", 4, 0)
    with pytest.raises(InputInvalid, match=r"held nothing out; build it with audioDescription\.split"):
        selected(tmp_path, 5)
