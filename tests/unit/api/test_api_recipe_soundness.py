"""A recipe that cannot be carried out is refused when it is loaded, by name and place; no other recipe is touched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest
from pydantic import Field

from fabula_api.base import SpecModel, Text, Uri
from fabula_api.dataset_build import DatasetBuildSpec, Target
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.metrics import Definition, Metric
from fabula_api.quota import Quota
from fabula_api.recipes import ENTRY_POINTS, Column, Installed, Paid, ReadModel, Recipe, Stage, recipes
from fabula_api.recipes.loading import load
from fabula_api.recipes.platform import EVALUATION, TRAINING
from fabula_api.recipes.soundness import problem_of
from fabula_api.rubrics import STORY
from fabula_api.summary import DatasetSummary


class Captions(SpecModel):
    pictures: Uri
    """Folder with pictures."""
    provider: Text = "studio"
    """Who writes."""
    quota: Quota = Field(default_factory=Quota)
    """What the provider allows."""
    workers: int = 1
    """Pods."""


class Build(DatasetBuildSpec):
    captions: Captions
    """What to caption."""


class Tune(FineTuneRunSpec):
    captions: Captions
    """What to pay."""


class OwnTarget(DatasetBuildSpec):
    target: Target = Field(default_factory=Target)
    captions: Captions


PAID = Paid(
    when=("captions.provider", ("studio",)), model="captions.provider", region="captions.provider",
    quota="captions.quota", concurrency="captions.workers",
)  # fmt: skip
DESCRIBE = Stage("describe", "sharded", runs="captions.work:describe", reads=("captions.provider",), paid=PAID)
ASSEMBLE = Stage(
    "assemble", "single", runs="captions.work:assemble", reads=(), after=("describe",), summary=DatasetSummary
)
METRIC = Metric(
    "captions/short", "Short", "words", ".1f", definitions={"v2": Definition("words", "captions.work:short")}
)
SOUND = Recipe(
    name="captions",
    stages={"DatasetBuild": (DESCRIBE, ASSEMBLE), "FineTuneRun": TRAINING, "EvalRun": EVALUATION},
    specs={"DatasetBuild": Build},
    metrics=(METRIC,),
)


def _build(*stages: Stage, **fields: Any) -> Recipe:
    return replace(SOUND, stages={**SOUND.stages, "DatasetBuild": stages}, **fields)


def test_a_recipe_without_ingest_is_one() -> None:
    assert problem_of(SOUND) is None


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (_build(DESCRIBE, DESCRIBE, ASSEMBLE), "its DatasetBuild has two stages describe; call one of them otherwise"),
        (
            _build(DESCRIBE, replace(ASSEMBLE, after=("descibe",))),
            "stage assemble of its DatasetBuild comes after descibe, which is no stage before it; did you mean desc",
        ),
        (
            _build(replace(DESCRIBE, device="tpu"), ASSEMBLE),
            "stage describe of its DatasetBuild has the device 'tpu', which is neither cpu nor cuda, nor a field",
        ),
        (
            _build(replace(DESCRIBE, reads=("captions.provder",)), ASSEMBLE),
            "has captions.provder in its reads, which is no field of the spec; did you mean captions.provider?",
        ),
        (_build(replace(DESCRIBE, shape="group"), ASSEMBLE), "is a group of ranks, which only a FineTuneRun has"),
        (_build(replace(DESCRIBE, shape="many"), ASSEMBLE), "is many, which is no shape; there is single, sharded"),
        (_build(replace(DESCRIBE, shape="single"), ASSEMBLE), "is paid and single; make it sharded"),
        (_build(replace(DESCRIBE, for_each="arms"), ASSEMBLE), "runs for each of arms; only an EvalRun has such lists"),
        (
            _build(replace(DESCRIBE, entry_key="captions.work:asked"), ASSEMBLE),
            "has the entry_key 'captions.work:asked'; name a function as `module:function`, of a stage with for_each",
        ),
        (
            _build(replace(DESCRIBE, paid=replace(PAID, entry_usd="captions.work:part")), ASSEMBLE),
            "runs for each of None and has the paid.entry_usd 'captions.work:part'; say the part of budget.usd",
        ),
        (_build(replace(DESCRIBE, runs="captions.work"), ASSEMBLE), "runs 'captions.work'; name it as `module:"),
        (_build(replace(DESCRIBE, name="Describe"), ASSEMBLE), "stage Describe of its DatasetBuild has no name that a"),
        (
            _build(replace(DESCRIBE, paid=replace(PAID, model="captions.modell")), ASSEMBLE),
            "has captions.modell in its paid.model, which is no field of the spec",
        ),
        (
            _build(replace(DESCRIBE, paid=replace(PAID, quota="captions.provider")), ASSEMBLE),
            "has captions.provider as its quota, which is no Quota or RequestQuota",
        ),
        (_build(), "its DatasetBuild has no stages; leave the kind out"),
        (
            replace(SOUND, stages={"FineTuneRun": (DESCRIBE, *TRAINING)}, specs={"FineTuneRun": Tune}),
            "stage describe of its FineTuneRun is paid, but a FineTuneRun has no budget and no prices; pay in a stage "
            "of a DatasetBuild or an EvalRun",
        ),
        (
            replace(SOUND, dry_run={"DatasetBuild": (DESCRIBE,)}),
            "stage describe of a dry run of its DatasetBuild is paid, but a dry run spends nothing",
        ),
        (replace(SOUND, stages={"Datasets": (DESCRIBE,)}), "stages are of Datasets, which is no kind; did you mean"),
        (replace(SOUND, stages={}), "it has no stages; name those of one kind at least"),
        (replace(SOUND, name="Captions"), "its name is none that spec.recipe can have: small letters"),
        (
            replace(SOUND, name="target", specs={"DatasetBuild": Build}),
            "its block would be called target, which every DatasetBuild has already; call the recipe otherwise",
        ),
        (
            replace(SOUND, specs={"DatasetBuild": OwnTarget}),
            "OwnTarget has target anew, which every DatasetBuild has; put it into the block captions",
        ),
        (replace(SOUND, parts="captions.work.PARTS"), "its parts are 'captions.work.PARTS'; name them as"),
        (replace(SOUND, fixed={"DatasetBuild": ("captions.picture",)}), "its fixed of a DatasetBuild have captions."),
        (replace(SOUND, unused={"FineTuneRun": ("pixel",)}), "its unused of a FineTuneRun have pixel, which"),
        (
            replace(SOUND, models={"DatasetBuild": (ReadModel("painter", "captions.pictures"),)}),
            "its painter, which a DatasetBuild reads, is to be named by captions.pictures, which is no ModelSource or",
        ),
        (replace(SOUND, columns={"DatasetBuild": (Column("Words", "status.w"),)}), "its column Words shows 'status.w'"),
        (
            replace(SOUND, metrics=(replace(METRIC, name="podcast/short"),)),
            "its metric podcast/short must be called captions/short",
        ),
        (replace(SOUND, metrics=(METRIC, METRIC)), "it has two metrics captions/short"),
        (replace(SOUND, metrics=(replace(METRIC, name="captions/Short"),)), "has a name that no run can ask for"),
        (replace(SOUND, metrics=(replace(METRIC, shown="three"),)), "is shown as 'three', which formats no number"),
        (replace(SOUND, metrics=(replace(METRIC, reads="dialogue"),)), "reads dialogue, which the recipe does not"),
        (replace(SOUND, metrics=(replace(METRIC, definitions={}),)), "its metric captions/short has no definition"),
        (
            replace(SOUND, metrics=(replace(METRIC, definitions={"v3": METRIC.definitions["v2"]}),)),  # type: ignore[dict-item]
            "is defined under v3, which is no profile; there is v2, paper-v1",
        ),
        (replace(SOUND, usual_metrics=("wordz",)), "usual_metrics have wordz, which is none of Fabula's; did you"),
        (replace(SOUND, rubrics=(STORY, STORY)), "it has two rubrics story"),
        (replace(SOUND, sample_formats=()), "it reads no layout of samples"),
    ],
    ids=lambda one: one[:60] if isinstance(one, str) else "",
)  # fmt: skip
def test_what_cannot_be_carried_out_is_told_with_its_place(recipe: Recipe, said: str) -> None:
    assert said in (problem_of(recipe) or "")


Module = Callable[[str], object]


def _raises(error: BaseException) -> Module:
    def attribute(name: str) -> object:
        raise error

    return attribute


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        (_raises(SystemExit(3)), "captions.recipe:CAPTIONS cannot be imported: SystemExit: 3"),
        (_raises(RuntimeError("no licence")), "cannot be imported: RuntimeError: no licence"),
        (
            _raises(TypeError("Recipe.__init__() got an unexpected keyword argument 'moods'")),
            "Recipe.__init__() got an unexpected keyword argument 'moods'",
        ),
        (lambda _: replace(SOUND, stages=("describe",)), "has fields of other types than a Recipe's: AttributeError"),  # type: ignore[arg-type]
        (lambda _: _build(DESCRIBE), "its DatasetBuild ends with describe, whose summary is Summary"),
    ],
    ids=["exits", "raises", "a newer contract's", "nonsense", "unsound"],
)
def test_a_broken_recipe_breaks_no_other(monkeypatch: pytest.MonkeyPatch, attribute: Module, said: str) -> None:
    module = ModuleType("captions.recipe")
    module.__getattr__ = attribute  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "captions", ModuleType("captions"))
    monkeypatch.setitem(sys.modules, "captions.recipe", module)
    blocks = {recipe.name: recipe.block for recipe in recipes().values()}
    points = [
        EntryPoint(name, f"fabula_api.recipes.{block}:{block.upper()}", ENTRY_POINTS) for name, block in blocks.items()
    ]
    found: Installed = load([*points, EntryPoint("captions", "captions.recipe:CAPTIONS", ENTRY_POINTS)])
    assert found.recipes == recipes()
    assert list(found.broken) == ["captions"]
    assert found.broken["captions"].startswith("recipe captions of an unnamed package cannot be used: ")
    assert said in found.broken["captions"] and "Mend or uninstall the package" in found.broken["captions"]
