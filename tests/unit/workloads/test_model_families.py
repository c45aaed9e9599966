"""Kinds of models are found by their entry points, and one that is none of them is named with those that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabula_workloads.models.family import families, family_of, family_of_processor, trainable
from fabula_workloads.runtime.failures import ConfigInvalid


def test_the_installed_families_serve_their_models_and_processors() -> None:
    assert "qwen3_vl" in families()
    assert set(trainable()) >= {"qwen3_vl", "qwen3_vl_moe"}
    family = family_of("qwen3_vl_moe")
    assert family.name == "qwen3_vl"
    assert family_of_processor(type("Qwen3VLProcessor", (), {})()) is family
    assert set(family.packable) | set(family.liger) <= set(family.model_types)


def test_other_models_and_processors_are_refused_by_name() -> None:
    with pytest.raises(ConfigInvalid, match=r"a llava is of no installed model family; there are .*qwen3_vl"):
        family_of("llava")
    with pytest.raises(ConfigInvalid, match="no installed model family encodes samples with a Path"):
        family_of_processor(type("Path", (), {})())


def test_looking_for_families_loads_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from fabula_workloads.models.family import families; families(); "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
