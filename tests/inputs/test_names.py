"""Names of runs that Kubernetes allows are names that another run can refer to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fabula_api.shared_spec import ArtifactSource
from fabula_api.worker import RunReference
from fabula_workloads.tracking.clients import TensorBoard
from fabula_workloads.tracking.tracker import About


@pytest.mark.parametrize("name", ["stories", "stories.v2", "2026-11.stories.v2", "a" * 64, "a" * 253, "a.b-c.d"])
def test_a_run_may_be_named_so(name: str) -> None:
    assert ArtifactSource(ref=name).ref == name


@pytest.mark.parametrize("name", ["", "Stories", "stories_v2", ".stories", "stories-", "a" * 254, "a b"])
def test_and_no_other_way(name: str) -> None:
    with pytest.raises(ValidationError):
        ArtifactSource(ref=name)


@pytest.mark.parametrize("name", ["stories.v2", "a" * 253])
def test_a_folder_is_named_after_it(name: str, tmp_path: Path) -> None:
    made = []
    for uid in ("first-of-them", "other-of-them"):
        run = RunReference(kind="FineTuneRun", namespace="n" * 63, name=name, uid=uid)
        board = TensorBoard(About(run, 1, 0, {}, {}), {"TENSORBOARD_LOGGING_DIR": str(tmp_path)})
        made.append(Path(board._folder))
        made[-1].mkdir()
    assert len(set(made)) == 2
