"""How many threads a pod takes, and what a wrong model gets."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.stage_context import stage_context

from fabula_api.shared_spec import ModelSource, Resources
from fabula_workloads.models.model_folder import model_folder, model_label
from fabula_workloads.models.threads import cpu_threads
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid


def test_pods_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [cpu_threads(Resources(), pods) for pods in (1, 2, 3, 100)] == [8, 4, 2, 1]
    asked = Resources.model_validate({"requests": {"cpu": "3"}, "limits": {}})
    limited = Resources.model_validate({"requests": {"cpu": "3"}, "limits": {"cpu": "1500m"}})
    assert (cpu_threads(asked, 4), cpu_threads(limited, 4)) == (3, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert cpu_threads(limited, 4) == 5


def test_a_model_that_is_not_there_is_named_by_its_field(tmp_path: Path) -> None:
    context = stage_context(
        tmp_path, "EvalRun", "score", {"samples": {"uri": "s"}, "arms": [{"name": "a", "model": {"uri": "m"}}]}, "out"
    )
    with pytest.raises(InputInvalid, match=r"clipModel\.uri: there is no model folder"):
        model_folder(context, ModelSource(uri="models/none"), "clipModel")
    with pytest.raises(ConfigInvalid, match=r"clipModel names no model"):
        model_folder(context, ModelSource(), "clipModel")
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    assert model_folder(context, ModelSource(uri="models/tiny"), "clipModel") == tmp_path / "models" / "tiny"


def test_a_model_is_labelled_by_name_or_folder() -> None:
    assert model_label(ModelSource(name="a/b", revision="main")) == "a/b@main"
    assert model_label(ModelSource(uri="file:///x/models/tiny/")) == "tiny"


class Limited(Exception):
    """Threads were limited before anything was loaded."""


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_pods_that_draw_or_see_share_the_cores_of_their_node_with_a_gpu_too(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fabula_workloads.recipes.audio_description.films import embed
    from fabula_workloads.recipes.podcast.illustration import by_model

    def limit(resources: Resources, pods: int) -> None:
        raise Limited(resources.requests.get("cpu"), pods)

    for module in (by_model, embed):
        monkeypatch.setattr(module, "limit_threads", limit)
        monkeypatch.setattr(module, "model_folder", lambda *_: tmp_path)
    resources = {"requests": {"cpu": "3"}}
    images = {"provider": "diffusers", "model": {"uri": "sd3"}, "device": device, "resources": resources}
    spec = {"source": {"uri": "s"}, "images": images}
    with pytest.raises(Limited, match=r"'3', 1"):
        by_model.open_painter(stage_context(tmp_path, "DatasetBuild", "illustrate", spec, "pics"))
    encoder = SimpleNamespace(model=ModelSource(uri="clip"), device=device, resources=Resources(**resources))
    block: Any = SimpleNamespace(encoder=encoder)
    with pytest.raises(Limited, match=r"'3', 1"):
        embed.open_sight(stage_context(tmp_path, "DatasetBuild", "embed", spec, "seen"), block)
