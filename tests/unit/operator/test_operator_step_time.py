"""How long a step takes, by formula: the published run, what changes it, a network between nodes, the docs' table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.training_specs import A100, B32, parsed, spec_of

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import gpu
from fabula_api.model_families import MODELS
from fabula_operator.plan.acceptance.preflight import preflight
from fabula_operator.plan.acceptance.step_time import REACHED, REACHED_PACKED, hours, step_time


def test_hours_of_the_published_run() -> None:
    made = preflight(parsed("Qwen3-VL-32B"), samples=4004)
    assert made is not None
    # 126 updates of 32 samples of 3,405 tokens, 6 FLOPs a parameter and token, at 45 % of 8 A100.
    assert (made.estimate.step_seconds, made.estimate.hours, made.estimate.basis) == (19, 0.67, "sizes")
    assert preflight(parsed("Qwen3-VL-32B"), samples=None).estimate.hours is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"gradientCheckpointing": False}, 4 / 6),
        ({"method": "full"}, 8 / 6),
        # Packing changes how samples travel, not how many tokens there are; only the last step is not filled up.
        ({"packing": True}, 4004 / (126 * 32) * REACHED / REACHED_PACKED),
        ({"maxSteps": 252}, 2),
        ({"maxSteps": 126, "packing": True}, 0.95 * 8192 / 3405 * REACHED / REACHED_PACKED),
    ],
)
def test_hours_follow_what_is_computed(training: dict[str, Any], expected: float) -> None:
    model = MODELS["qwen3-vl-32b"]
    base = hours(parsed(B32), model, gpu(A100), 4004)
    found = hours(parsed(B32, training=training), model, gpu(A100), 4004)
    assert base is not None
    assert found == pytest.approx(base * expected, rel=0.06)  # two digits are told


@pytest.mark.parametrize(
    ("situation", "spec", "words"),
    [
        (
            "ZeRO-3 over Ethernet has a way out",
            {"topology": {"nodes": 2, "product": A100}, "model": {"name": "Qwen3-VL-8B"}},
            "142 GB travel in each step, expected to take 14 s beside 5 s of computing; deepspeed.stage 2 sends 0.7 GB "
            "and needs 24.0 GiB at the peak, or topology.rdma",
        ),
        (
            "32B does not fit under ZeRO-2 with long samples",
            {"topology": {"nodes": 2, "product": A100}},
            "s of computing; deepspeed.withinNode sends 3.2 GB and needs 25.4 GiB at the peak, or topology.rdma",
        ),
        (
            "weights within a node",
            {"topology": {"nodes": 2, "product": A100}, "deepspeed": {"withinNode": True}},
            None,
        ),
        (
            "past the kernel it is no longer than computing",
            {"topology": {"nodes": 2, "product": A100, "rdma": {"resources": {"rdma/hca": "1"}}}},
            None,
        ),
        ("one node", {}, None),
        ("ZeRO-2", {"topology": {"nodes": 2, "product": A100}, "deepspeed": {"stage": 2}}, None),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 50 else "",
)
def test_a_network_that_takes_longer_than_computing_is_told(
    situation: str, spec: dict[str, Any], words: str | None
) -> None:
    made = preflight(FineTuneRunSpec.model_validate(spec_of(B32) | spec))
    assert made is not None
    assert ("between its nodes" in made.message) is (words is not None), made.message
    assert words is None or words in made.message, made.message


ROW = re.compile(r"^\| (?P<what>[^|]+) \| `(?P<training>\{.*?\})` \| (?P<seconds>\d+) \|", re.MULTILINE)


def test_the_table_of_step_times_is_what_the_formula_gives() -> None:
    rows = list(ROW.finditer((Path(__file__).parents[3] / "docs/training.md").read_text()))
    assert len(rows) >= 4
    for row in rows:
        spec = parsed(B32, **yaml.safe_load(row["training"]))
        step = step_time(spec, MODELS["qwen3-vl-32b"], gpu(A100))
        assert step is not None
        assert f"{step.seconds:.0f}" == row["seconds"], row["what"]
