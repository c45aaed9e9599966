"""Weights that each node holds besides: nothing but who is asked for them changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.patience import SECONDS
from tests.support.training_dataset import build_model

pytestmark = [
    pytest.mark.torch,
    pytest.mark.invariant,
    pytest.mark.skipif("FABULA_SOAK" not in os.environ, reason="twelve ranks, twice: `make soak`"),
]


@pytest.mark.parametrize("mixed", [[], ["mixed"]], ids=["fp32", "an update in fp32 on a base in bf16"])
def test_frozen_weights_do_not_travel_between_nodes_and_no_bit_changes(mixed: list[str], tmp_path: Path) -> None:
    build_model(tmp_path / "model")
    command = [sys.executable, "-m", "tests.support.gathered_between_nodes", str(tmp_path), *mixed]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    far, near, went_on = told["far"], told["near"], told["went_on"]
    assert near["losses"] == far["losses"]
    assert len(set(near["losses"])) == 4, "it learns"
    assert went_on["losses"] == near["losses"][2:]
    assert far["near"] == 0
    # In each of 4 steps: forwards in their parts, and whatever of them is padded to the ranks.
    assert 0 < near["everywhere"] <= 4 * 1.05 * near["trained"]
    assert near["everywhere"] < far["everywhere"] / 5
    assert near["near"] + near["everywhere"] == pytest.approx(far["everywhere"], rel=0.02)
