"""What training and evaluation ask a recipe for is found by its name, and said clearly where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest

from fabula_api.recipes import Recipe, recipes
from fabula_workloads.recipe_parts import RecipeParts, Sample, parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.training.samples.dataset import read_samples


class Captioned(Sample):
    """A sample that has a title as well."""

    title: str


CAPTIONS = RecipeParts(prompt_version="captions-v1", inference_prompt=lambda: "Write a caption.", sample=Captioned)


def installed(monkeypatch: pytest.MonkeyPatch, parts: str | None) -> None:
    found = {"captions": Recipe(name="captions", stages={}, parts=parts)}
    monkeypatch.setattr("fabula_workloads.runtime.installed.recipes", lambda: MappingProxyType(found))


def test_a_recipes_parts_are_the_object_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, f"{__name__}:CAPTIONS")
    assert parts_of("captions") is CAPTIONS


@pytest.mark.parametrize("name", ["podcast", "audio-description", "visual-instruction"])
def test_vllm_is_offered_where_no_engine_of_the_recipe_s_own_answers(name: str) -> None:
    assert recipes()[name].in_vllm is (evaluation_of(name).open_engine is None)


def test_the_podcast_asks_as_it_trained() -> None:
    parts = parts_of("podcast")
    assert parts.prompt_version == "podcast-v3"
    assert "Speaker 1:" in parts.inference_prompt()


@pytest.mark.parametrize(
    ("name", "parts", "told"),
    [
        ("captoins", None, r"recipe 'captoins' is not installed in this image; it has captions"),
        ("captions", None, r"names no parts, so nothing of it can be trained or asked"),
        ("captions", "captions.gone:PARTS", r"names its parts captions.gone:PARTS, which this image cannot import"),
        ("captions", "fabula_workloads.recipe_parts:messages", r"recipe_parts:messages, which is a function"),
    ],
)
def test_parts_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, parts: str | None, told: str
) -> None:
    installed(monkeypatch, parts)
    with pytest.raises(ConfigInvalid, match=told):
        parts_of(name)


def test_a_recipe_may_ask_more_of_its_samples(tmp_path: Path) -> None:
    line = {"id": "a", "images": ["a.png"], "prompt": "Caption", "response": "A boat."}
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(line | {"title": "Boat"}) + "\n")
    (sample,) = read_samples(tmp_path, "train", kind=Captioned)
    assert isinstance(sample, Captioned) and sample.title == "Boat"
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(InputInvalid, match=r"train.jsonl line 1 \(sample a\): title"):
        read_samples(tmp_path, "train", kind=Captioned)
