"""What of an evaluation is refused before a pod is made, because of what is known of the runs that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.in_blocks import changed
from tests.support.observations import NOW, SPECS, condition, launches, observed, reference, step

from fabula_api.recipes import Kind
from fabula_api.status import RunStatus
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed, Reference

TUNE: tuple[Kind, str] = ("FineTuneRun", "tune")
DATA: tuple[Kind, str] = ("DatasetBuild", "data")
MODEL = {"name": "Qwen/Qwen3-VL-8B-Instruct"}
SMALL = {"pixels": {"minPixels": 1024, "maxPixels": 4096}}
IN_4_BITS = {"quantization": "nf4"}


def tuned(spec: dict[str, Any] | None = None, **changes: Any) -> Reference:
    """A FineTuneRun that has made an adapter."""
    wire = changed("FineTuneRun", SPECS["FineTuneRun"], spec or {})
    return reference("FineTuneRun", **{"spec": wire, "begun": True, **changes})


def given(spec: dict[str, Any] | None = None, tune: Reference | None = None, arm: dict[str, Any] | None = None,
          **data: Any) -> Observed:  # fmt: skip
    """An evaluation of that adapter."""
    arms = [dict(one) for one in SPECS["EvalRun"]["arms"]]
    arms[1] |= arm or {}
    references = {TUNE: tune or tuned(), DATA: reference("DatasetBuild", **data)}
    return observed("EvalRun", {"arms": arms, **(spec or {})}, references=references)


def message(status: RunStatus | None, type_: str = "Accepted") -> str:
    assert status is not None
    return next(one.message for one in status.conditions if one.type == type_)


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        pytest.param(
            given(SMALL),
            "PixelsDiffer",
            "spec.pixels: 1024 to 4096, but the adapter of arm finetuned is trained with 12544 to 451584 (spec.pixels "
            "of FineTuneRun tune); give both the same window",
            id="pixels",
        ),
        pytest.param(
            given(arm={"model": {"name": "Qwen/Qwen3-VL-32B-Instruct"}}, tune=tuned({"model": MODEL})),
            "BaseModelDiffers",
            "spec.arms[1].model: Qwen/Qwen3-VL-32B-Instruct, but the adapter of arm finetuned is trained on "
            "Qwen/Qwen3-VL-8B-Instruct (spec.model of FineTuneRun tune)",
            id="another base",
        ),
        pytest.param(
            given(arm={"quantization": "none"}, tune=tuned({"lora": IN_4_BITS})),
            "QuantizationDiffers",
            "spec.arms[1].quantization: none, but the adapter of arm finetuned is trained on a base in nf4",
            id="another quantization",
        ),
        pytest.param(
            given({"engine": "vllm"}, tune=tuned({"lora": {"precision": "fp32"}})),
            "EngineUnfit",
            "spec.arms[1].engine: vllm, but FineTuneRun tune trains the adapter of arm finetuned with lora.precision "
            "fp32, which vllm is not asked for; set engine: transformers for this arm",
            id="an fp32 update behind vLLM",
        ),
        pytest.param(
            given(arm={"engine": "vllm"}, tune=tuned({"lora": IN_4_BITS})),
            "EngineUnfit",
            "FineTuneRun tune trains the adapter of arm finetuned on a base in nf4, which vllm is not asked for",
            id="a base in 4 bits behind vLLM",
        ),
        pytest.param(
            given(tune=tuned(recipe="visual-instruction")),
            "WrongRecipe",
            "spec.arms[1].adapter.ref: FineTuneRun tune trains for recipe visual-instruction, but spec.recipe is "
            "podcast; set spec.recipe to visual-instruction, or name a run of recipe podcast",
            id="an adapter of another recipe",
        ),
        pytest.param(
            given({"samples": {"ref": "data"}}, recipe="audio-description"),
            "WrongRecipe",
            "spec.samples.ref: DatasetBuild data builds for recipe audio-description, but spec.recipe is podcast",
            id="samples of another recipe",
        ),
        pytest.param(
            given({"samples": {"ref": "data"}}, samples=6, train_samples=6),
            "EmptySplit",
            "spec.samples.ref: DatasetBuild data held nothing out that could be asked about",
            id="nothing held out",
        ),
    ],
)
def test_it_is_refused_with_the_field_and_both_values_before_a_pod_is_made(
    seen: Observed, reason: str, words: str
) -> None:
    made = plan(seen, NOW)
    assert launches(made) == []
    assert condition(made.status, "Accepted") == ("False", reason)
    assert condition(made.status, "Finished") == ("True", reason)
    assert words in message(made.status)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(given(), id="the same"),
        pytest.param(given(arm={"quantization": "nf4"}, tune=tuned({"lora": IN_4_BITS})), id="both in nf4"),
        pytest.param(given(tune=tuned({"lora": IN_4_BITS})), id="held as in training"),
        pytest.param(given(arm={"model": {"uri": "my/qwen"}}, tune=tuned({"model": MODEL})), id="a model's other name"),
        pytest.param(given(SMALL, tune=tuned({"template": {"image": "i", "command": ["x"]}})), id="a foreign trainer"),
    ],
)
def test_what_may_go_well_begins(seen: Observed) -> None:
    made = plan(seen, NOW)
    assert condition(made.status, "Accepted")[0] == "True"
    assert launches(made)


def test_a_training_that_has_not_begun_may_be_edited_so_the_run_waits_until_one_of_both_is() -> None:
    early = tuned(state="Pending", begun=False, uri=None, digest=None)
    seen, made = step(given(SMALL, tune=early))
    assert made.actions == ()
    assert condition(made.status, "Stalled") == ("True", "PixelsDiffer")
    assert "spec.pixels: 1024 to 4096, but" in message(made.status, "Stalled")
    agreed = tuned(SMALL)
    _, made = step(replace(seen, references={TUNE: agreed}))
    assert condition(made.status, "Stalled") == ("False", "Progressing")
    assert launches(made)


def test_a_run_that_has_started_keeps_to_what_it_began_with() -> None:
    seen, made = step(given())
    assert launches(made)
    made = plan(replace(seen, references={TUNE: tuned(SMALL)}), NOW)
    assert condition(made.status or seen.run.status, "Accepted")[0] == "True"


@pytest.mark.parametrize("recipe", ["audio-description", "visual-instruction"])
def test_a_recipe_with_an_engine_of_its_own_is_not_asked_of_vllm(recipe: str) -> None:
    made = plan(given({"recipe": recipe, "samples": {"ref": "data"}, "gates": []}, arm={"engine": "vllm"}), NOW)
    assert condition(made.status, "Accepted") == ("False", "InvalidSpec")
    assert f"spec.arms[1].engine: {recipe} has an engine of its own" in message(made.status)
