"""Each stage runs once under a recorder of every file it opens: what no digest in its key covers fails the test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.model_folder import write_model
from tests.support.opened_files import opened
from tests.support.stage_context import stage_context
from tests.support.training_dataset import samples, write_dataset
from tests.support.vist_folder import write_vist

from fabula_api.externals import externals
from fabula_api.recipes import Kind, Stage, recipes
from fabula_quickstart.prepare import episodes_gz, read_scripts
from fabula_workloads.inference.opening import TUNED_KINDS, asked_of
from fabula_workloads.inference.request import Answer, Answers, Interrupted, Work
from fabula_workloads.models.model_folder import model_folder
from fabula_workloads.painting.scene import Picture, Scene
from fabula_workloads.recipes.podcast import assemble, estimate, extract, ingest
from fabula_workloads.recipes.podcast.illustration import by_model as illustrate
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import infer, resolve, score, select
from fabula_workloads.training.launcher.prepare import prepare

BUILD: dict[str, Any] = {
    "source": {"uri": "source.jsonl.gz", "licenseAccepted": True},
    "extraction": {"provider": "rules"},
    "images": {
        "provider": "diffusers", "model": {"uri": "model"}, "device": "cpu", "width": 64, "perSample": 2,
        "aspectRatio": "1:1",
    },
}  # fmt: skip
TUNE: dict[str, Any] = {
    "dataset": {"uri": "dataset"}, "model": {"uri": "model"}, "topology": {"gpusPerNode": 2, "device": "cpu"},
    "lora": {"targetModules": ["q_proj", "up_proj"]},
}  # fmt: skip
EVAL: dict[str, Any] = {
    "samples": {"uri": "vist", "count": 2},
    "arms": [{"name": "tuned", "model": {"uri": "model"}, "adapter": {"uri": "adapter"}, "gpusPerShard": 0}],
    "clipModel": {"uri": "model"},
    "metrics": ["words", "turns"],
}


class Drawing:
    """Draws noise, with a model that it opens as the real one does."""

    model = "noise"

    def __init__(self, context: StageContext) -> None:
        read_all(model_folder(context, context.config.spec.podcast.images.model, "podcast.images.model", "imageModel"))

    def draw(self, scenes: Sequence[Scene]) -> list[Any]:
        return [Picture(_noise(scene.width, scene.height)) for scene in scenes]


class Answering:
    """Says one sentence, with weights that it opens as the real one does."""

    def __init__(self, context: StageContext) -> None:
        _, arm = asked_of(context)
        store, manifest = context.open_artifact("adapter", *TUNED_KINDS)
        read_all(context.fetch_artifact(store, manifest))
        read_all(model_folder(context, arm.model, "model"))

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        while taken := work(1):
            for request in taken:
                for picture in request.pictures:
                    picture.read_bytes()
                yield request, Answer("Speaker 1: a boat\n\nSpeaker 2: a gull", 9, 0.1, "stop")


def _noise(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(data, "PNG")
    return data.getvalue()


def read_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def train(context: StageContext) -> StageResult:
    """The part of the stage that reads from stores."""
    spec: Any = context.config.spec
    prepared = prepare(context, spec, lambda: model_folder(context, spec.model, "model"))
    return StageResult(lineage=prepared.lineage)


RUN: dict[tuple[Kind, str], Callable[[StageContext], StageResult]] = {
    ("DatasetBuild", "resolve"): resolve.run,
    ("DatasetBuild", "ingest"): ingest.run,
    ("DatasetBuild", "extract"): extract.run,
    ("DatasetBuild", "illustrate"): lambda context: illustrate.illustrate(context, Drawing),
    ("DatasetBuild", "assemble"): assemble.run,
    ("DatasetBuild", "estimate"): estimate.run,
    ("FineTuneRun", "resolve"): resolve.run,
    ("FineTuneRun", "train"): train,
    ("EvalRun", "resolve"): resolve.run,
    ("EvalRun", "select"): select.run,
    ("EvalRun", "infer"): lambda context: infer.infer(context, Answering),
    ("EvalRun", "score"): score.run,
}


@dataclass
class Ran:
    """One stage as it ran, and what it opened below the root."""

    kind: Kind
    stage: Stage
    context: StageContext
    result: StageResult
    read: set[Path]


def life(root: Path, kind: Kind, spec: dict[str, Any], *, dry: bool = False) -> Iterator[Ran]:
    """All stages of a run, one after the other, each with the inputs that the operator would give it."""
    recipe, places, digests = recipes()["podcast"], dict[str, str](), dict[str, str]()
    stages = (recipe.dry_run if dry else recipe.stages)[kind]
    for stage in stages:
        if stage.for_each == "judges":  # of which the run has none
            continue
        arm = "tuned" if stage.for_each else None
        name = f"{stage.name}/{arm}" if arm else stage.name
        wanted = {one for one in places if one.partition("/")[0] in stage.after}
        given = {one: places[one] for one in wanted}
        known = {one: digests[one] for one in wanted}
        bare = stage_context(root, kind, stage.name, spec, f"{kind}/{stage.name}", arm=arm)
        for one in externals(bare.config.spec):
            if one.input in stage.external and one.arm in (None, arm):
                given[one.input], known[one.input] = str(one.source.uri), digests[one.name]
        context = stage_context(root, kind, stage.name, spec, f"{kind}/{stage.name}", given, arm=arm, digests=known)
        with opened() as record:
            result = RUN[kind, stage.name](context)
        yield Ran(
            kind, stage, context, result, {path for path in record if path.is_relative_to(root) and path.is_file()}
        )
        digests |= result.digests
        if not stage.resolves:
            places[name] = result.uri or context.store.uri
            # A ledger's digest is the key of its stage.
            digests[name] = result.artifact.digest if result.artifact else context.config.key


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "source.jsonl.gz").write_bytes(episodes_gz(read_scripts()[:3]))
    write_model(tmp_path / "model")
    write_dataset(tmp_path / "dataset", samples(8), samples(2, seed=1))
    write_vist(tmp_path / "vist", 3)
    store = open_store(f"file://{tmp_path}/adapter")
    commit(store, kind="adapter", parts=[add_part(store, "adapter_model.safetensors", b"weights")])
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "spec", "dry"),
    [("DatasetBuild", BUILD, False), ("DatasetBuild", BUILD | {"dryRun": True}, True), ("FineTuneRun", TUNE, False),
     ("EvalRun", EVAL, False)],
)  # fmt: skip
def test_no_stage_opens_what_no_digest_covers(root: Path, kind: Kind, spec: dict[str, Any], dry: bool) -> None:
    ran = list(life(root, kind, spec, dry=dry))
    assert [one.stage.name for one in ran] == [
        stage.name
        for stage in (recipes()["podcast"].dry_run if dry else recipes()["podcast"].stages)[kind]
        if stage.for_each != "judges"
    ]
    for one in ran:
        config = one.context.config
        own = [root / config.output, one.context.cache]
        covered = [local_path(one.context.resolve(given.uri)) for given in config.inputs if "uri:" not in given.digest]
        outside = {path for path in one.read if not any(path.is_relative_to(place) for place in own + covered)}
        if one.stage.resolves:
            _decided_by(one, outside, lambda again: again.result.digests, root, spec)
        elif one.stage.by_content:
            _decided_by(one, outside, lambda again: again.result.uri, root, spec)
        else:
            assert outside == set(), f"{one.stage.name} reads what is not in its key"
            assert one.read or one.stage.name == "score", f"{one.stage.name} was not heard to read"


def _decided_by(one: Ran, files: set[Path], place: Callable[[Ran], object], root: Path, spec: dict[str, Any]) -> None:
    """Whatever such a stage opens, when it changes, another digest or another folder comes of it, or a refusal."""
    assert files, f"{one.stage.name} was not heard to read"
    before = place(one)
    for file in sorted(files):
        data = file.read_bytes()
        file.write_bytes(_changed(file, data))
        context = stage_context(root, one.kind, one.stage.name, spec, one.context.config.output)
        try:
            result = RUN[one.kind, one.stage.name](context)
        except InputInvalid:
            pass
        else:
            again = Ran(one.kind, one.stage, context, result, set())
            assert place(again) != before, f"{one.stage.name} does not see that {file.relative_to(root)} has changed"
        finally:
            file.write_bytes(data)


def _changed(file: Path, data: bytes) -> bytes:
    if file.suffix != ".jpg":
        return data[:-1] + bytes([data[-1] ^ 1])
    other = io.BytesIO()
    Image.eval(Image.open(io.BytesIO(data)), lambda value: 255 - value).save(other, "JPEG")
    return other.getvalue()
