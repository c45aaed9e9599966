"""A model that the rows of inputs are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL; tests must not write to it."""
    from tests.support.training_dataset import build_model

    return build_model(tmp_path_factory.mktemp("model"))
