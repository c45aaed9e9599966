"""JSON nested deeper than a parser goes: each reader of what others wrote names its file, as for other damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabula_workloads.models.stored_files import INDEX, DamagedFile, weight_shapes
from fabula_workloads.recipes.podcast.sequences.vist import read_vist
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger, item_path
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.model.model_files import check_architecture

DEEP = b"[" * 200_000


def test_annotations(tmp_path: Path) -> None:
    (tmp_path / "stories.json").write_bytes(DEEP)
    with pytest.raises(InputInvalid, match=r"stories\.json is no VIST annotation file"):
        read_vist(open_store(f"file://{tmp_path}"), "stories.json")


def test_an_outcome_in_a_ledger(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    store.write(item_path("one"), DEEP)
    with pytest.raises(InputInvalid, match="is no outcome"):
        dict(Ledger(store).items())


def test_a_models_config() -> None:
    with pytest.raises(InputInvalid, match=r"somebody/model has a config\.json"):
        check_architecture(DEEP, "somebody/model")


def test_an_index_of_weights(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(DEEP)
    with pytest.raises(DamagedFile, match="no index of weights"):
        weight_shapes(tmp_path)
