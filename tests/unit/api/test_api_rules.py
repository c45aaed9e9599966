"""What the rules between a spec's fields refuse, by the engine that the laptop's cluster has."""

from __future__ import annotations

from typing import Any

import pytest

from fabula_api.crd import crd
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes import API_KINDS, Kind
from fabula_local.schema.cel import CelRules
from fabula_local.schema.cel_soundness import compile_errors

SCHEMA = crd("FineTuneRun")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
RULES = CelRules(SCHEMA)


def refusals(**fields: Any) -> list[str]:
    """Messages for a FineTuneRun with its defaults filled in, as the API server does."""
    wire = {"dataset": {"uri": "d"}, "model": {"name": "m"}, **fields}
    spec = FineTuneRunSpec.model_validate(wire).model_dump(mode="json", by_alias=True, exclude_none=True)
    return [f"{error.field}: {error.message}" for error in RULES.check({"spec": spec}, None)]


@pytest.mark.parametrize("kind", API_KINDS)
def test_the_rules_of_a_kind_are_all_ones_that_the_laptops_server_can_judge(kind: Kind) -> None:
    assert compile_errors(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"training": {"method": "full"}},
        {"lora": {"quantization": "nf4", "rank": 8}},
        {"lora": {"precision": "fp32"}, "deepspeed": {"stage": 2}},
        {"lora": {"quantization": "nf4"}, "deepspeed": {"stage": 3, "offload": "all"}},
        {"deepspeed": {"stage": 2, "offload": "optimizer"}},
        {"deepspeed": {"stage": 1}},
        {"deepspeed": {"stage": 0}, "training": {"precision": "fp32"}},
    ],
)
def test_what_goes_together(fields: dict[str, Any]) -> None:
    assert refusals(**fields) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"training": {"method": "full"}, "lora": {"rank": 8}}, "lora is for training.method lora"),
        ({"training": {"method": "full"}, "lora": {"dropout": 0}}, "lora is for training.method lora"),
        ({"training": {"method": "full"}, "lora": {"targetModules": ["q_proj"]}}, "leave it out with full"),
        ({"training": {"method": "full"}, "lora": {"quantization": "nf4"}}, "leave it out with full"),
        ({"training": {"method": "full"}, "lora": {"precision": "fp32"}}, "leave it out with full"),
        ({"lora": {"quantization": "nf4", "precision": "fp32"}}, "rounded before an update can be added"),
        ({"deepspeed": {"stage": 2, "offload": "all"}}, "only stage 3 can move weights"),
        ({"deepspeed": {"stage": 1, "offload": "optimizer"}}, "offload is for the stages 2 and 3"),
        ({"deepspeed": {"stage": 0}}, "stage 0 is for training.precision fp32"),
    ],
)
def test_what_would_do_nothing_is_refused(fields: dict[str, Any], words: str) -> None:
    (refusal,) = refusals(**fields)
    fields_named = ("spec.lora: ", "spec.lora.precision: ", "spec.deepspeed.offload: ", "spec.deepspeed.stage: ")
    assert refusal.startswith(fields_named)
    assert words in refusal
