"""How many threads a pod takes, and what a wrong model gets."""

from __future__ import annotations

import os
from pathlib import Path

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
