"""The published training run as an example: accepted as it is, with the published arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.observations import observed

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_operator.plan.acceptance.refusal import Accepted
from fabula_operator.plan.lifecycle.accept import accept
from fabula_workloads.training.schedule.steps import plan_steps

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def published() -> dict[str, Any]:
    wire: dict[str, Any] = yaml.safe_load((EXAMPLES / "podcast/finetune.yaml").read_text())["spec"]
    return wire


def test_it_is_accepted_as_it_is(published: dict[str, Any]) -> None:
    seen = observed("FineTuneRun")
    accepted = accept(replace(seen, run=replace(seen.run, spec=published)))
    assert isinstance(accepted, Accepted), accepted


def test_it_has_the_published_steps(published: dict[str, Any]) -> None:
    spec = FineTuneRunSpec.model_validate(published)
    plan = plan_steps(spec, 4004)
    assert spec.global_batch_size == 32
    assert (plan.steps, plan.warmup_steps, plan.checkpoint_steps) == (126, 13, (62, 124, 126))


def test_the_defaults_are_the_published_numbers(published: dict[str, Any]) -> None:
    spec = FineTuneRunSpec.model_validate(published)
    bare = FineTuneRunSpec.model_validate({key: published[key] for key in ("dataset", "model")})
    for block in ("lora", "training", "pixels", "deepspeed", "checkpoints", "retries"):
        assert getattr(spec, block) == getattr(bare, block), block
