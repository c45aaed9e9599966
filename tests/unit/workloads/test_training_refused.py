"""What only the chat recipes are trained with is refused by the others in the worker too, which knows no CRD."""

from __future__ import annotations

from typing import Any

import pytest

from fabula_api.specs import parse_spec
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.training.refused import refuse_chat_settings

NARRATOR = {"recipe": "audio-description", "dataset": {"ref": "d"}, "model": {"name": "m"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"training": {"packing": True}}, "training.packing: a narrator is not trained so; set it to false"),
        ({"training": {"method": "full"}}, "training.method: a narrator is not trained so; set it to lora"),
        ({"training": {"kernels": "liger"}}, "training.kernels: a narrator is not trained so; set it to torch"),
        ({"lora": {"quantization": "nf4"}}, "lora.quantization: a narrator is not trained so; set it to none"),
        ({"lora": {"precision": "fp32"}}, "lora.precision: a narrator is not trained so; leave it out"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else None,
)
def test_a_setting_is_refused_by_its_field_and_with_what_works(given: dict[str, Any], words: str) -> None:
    spec: Any = parse_spec("FineTuneRun", {**NARRATOR, **given})
    with pytest.raises(ConfigInvalid, match=f"^{words}$"):
        refuse_chat_settings(spec, "a narrator")


def test_a_run_that_asks_for_nothing_of_it_is_taken() -> None:
    refuse_chat_settings(parse_spec("FineTuneRun", NARRATOR), "a narrator")  # type: ignore[arg-type]
