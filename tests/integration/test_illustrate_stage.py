"""Drawing on the real pipeline: restarts draw nothing twice, and any number of shards ends with the same pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.stage_context import stage_context

from fabula_workloads.painting.png import SIGNATURE, chunks_of, encode_png, flaw_of
from fabula_workloads.painting.scene import Picture, Refusal, Scene, height_of, picture_path, scene_seed
from fabula_workloads.painting.style import full_prompt
from fabula_workloads.recipes.podcast.illustrate import run
from fabula_workloads.recipes.podcast.illustration.by_model import illustrate
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store

EPISODES = ("0123456789abcdef", "fedcba9876543210")


def write_extract(root: Path) -> list[str]:
    """An extract ledger of two episodes with an excerpt each and three scenes in each, and two without any."""
    ledger = Ledger(open_store(f"file://{root}/extract"))
    keys = []
    for episode in EPISODES:
        scenes = [{"index": k, "prompt": f"Scene {k}: a boat with {k} sails"} for k in (1, 2, 3)]
        excerpts = [{"index": 0, "text": episode, "words": 1, "scenes": scenes}]
        ledger.put(episode, {"outcome": "ok", "podcast": "show", "excerpts": excerpts})
        keys += [f"{episode}-0-{k}" for k in (1, 2, 3)]
    ledger.put("aaaaaaaaaaaaaaaa", {"outcome": "skipped", "reason": "NotVisual"})
    ledger.put("bbbbbbbbbbbbbbbb", {"outcome": "ok", "podcast": "show", "excerpts": []})
    return sorted(keys)


def context(root: Path, *, shard: int = 0, shards: int = 1, output: str = "pics", **images: Any) -> StageContext:
    spec = {
        "source": {"uri": "s"},
        "images": {
            "provider": "diffusers", "model": {"uri": "sd3"}, "device": "cpu", "width": 128, "steps": 2, "batchSize": 2,
            **images,
        },
    }  # fmt: skip
    inputs = {"extract": "extract", "ingest": "ingest"}
    return stage_context(root, "DatasetBuild", "illustrate", spec, output, inputs, shard=shard, shards=shards)


class Sketcher:
    """Draws each scene's seed as colours; can be told to refuse, to draw badly, or to stop the stage after some."""

    model = "sketch"

    def __init__(self, stop: tuple[StageContext, int] | None = None, bad: dict[str, Picture | Refusal] | None = None):
        self.drawn: list[str] = []
        self._stop, self._bad = stop, bad or {}

    def __call__(self, _: StageContext) -> Sketcher:
        return self

    def draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        self.drawn += [scene.key for scene in scenes]
        if self._stop and len(self.drawn) >= self._stop[1]:
            self._stop[0].stopping.set()
        return [self._bad.get(scene.key) or self._sketch(scene) for scene in scenes]

    def _sketch(self, scene: Scene) -> Picture:
        image = Image.new("RGB", (scene.width, scene.height), (scene.seed % 256, 80, 90))
        image.putpixel((1, 1), (255, 255, 255))
        return Picture(encode_png(image))


def test_a_stopped_shard_goes_on_and_draws_nothing_twice(tmp_path: Path) -> None:
    keys = write_extract(tmp_path)
    first_context = context(tmp_path)
    first = Sketcher(stop=(first_context, 3))
    with pytest.raises(TryAgain, match="told to stop"):
        illustrate(first_context, first)
    second = Sketcher()
    result = illustrate(context(tmp_path), second)
    assert sorted(first.drawn + second.drawn) == keys
    assert len(first.drawn) == 4, "the batch in hand is finished"
    assert result.counts == {"image/ok": 6}
    third = Sketcher()
    assert illustrate(context(tmp_path), third).counts == {"image/ok": 6}
    assert third.drawn == []


def outcomes(root: Path, output: str) -> dict[str, dict[str, Any]]:
    return dict(Ledger(open_store(f"file://{root}/{output}")).items())


def test_any_number_of_shards_ends_the_same(tmp_path: Path) -> None:
    write_extract(tmp_path)
    for shards in (1, 2, 4):
        for shard in range(shards):
            illustrate(context(tmp_path, shard=shard, shards=shards, output=f"pics-{shards}"), Sketcher())
    assert outcomes(tmp_path, "pics-1") == outcomes(tmp_path, "pics-2") == outcomes(tmp_path, "pics-4")
    assert len(outcomes(tmp_path, "pics-1")) == 6


def test_what_is_no_picture_is_an_outcome_and_not_a_file(tmp_path: Path) -> None:
    keys = write_extract(tmp_path)
    good = Image.new("RGB", (128, 64))
    bad: dict[str, Picture | Refusal] = {
        keys[0]: Refusal("Filtered"),
        keys[1]: Picture(encode_png(Image.new("RGB", (128, 64), "red"))),
        keys[2]: Picture(encode_png(good)[:60]),
        keys[3]: Picture(encode_png(good.resize((64, 64)))),
        keys[4]: Picture(b"\xff\xd8\xff"),
    }
    result = illustrate(context(tmp_path, aspectRatio="16:9", width=112), Sketcher(bad=bad))
    assert result.counts["image/failed/Filtered"] == 1
    assert result.counts["image/ok"] == 1
    assert sum(result.counts.values()) == 6
    found = outcomes(tmp_path, "pics")
    assert {found[key]["reason"] for key in keys[2:5]} <= {"UnreadablePng", "WrongSize", "NotPng"}
    files = [entry.path for entry in open_store(f"file://{tmp_path}/pics").list("pictures")]
    assert files == [picture_path(Scene(keys[5], "", 0, 0, 0))]


def test_a_flat_picture_and_metadata_are_flaws() -> None:
    flat = Image.new("RGB", (32, 16), "navy")
    assert flaw_of(encode_png(flat), 32, 16) == "FlatPicture"
    flat.putpixel((3, 3), (255, 255, 255))
    assert flaw_of(encode_png(flat), 32, 16) is None
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    flat.save(buffer, "PNG", exif=exif)
    assert flaw_of(buffer.getvalue(), 32, 16) == "HasMetadata"


@pytest.mark.parametrize(
    ("width", "ratio", "height"),
    [(1344, "16:9", 752), (256, "16:9", 144), (1280, "16:9", 720), (512, "1:1", 512), (64, "4:3", 48)],
)
def test_heights(width: int, ratio: str, height: int) -> None:
    assert height_of(width, ratio) == height


def test_seed_and_prompt_belong_to_the_scene() -> None:
    assert scene_seed(0, "a-0-1") == scene_seed(0, "a-0-1") != scene_seed(0, "a-0-2") != scene_seed(1, "a-0-2")
    assert full_prompt("Scene 2: a  red\nboat").endswith(": a red boat")


@pytest.mark.torch
def test_the_production_pipeline_draws_and_a_finished_shard_loads_no_torch(tmp_path: Path) -> None:
    from fabula_quickstart.tiny import sd3

    write_extract(tmp_path)
    sd3.build(tmp_path / "sd3")
    assert run(context(tmp_path)).counts == {"image/ok": 6}
    for key, outcome in outcomes(tmp_path, "pics").items():
        png = (tmp_path / "pics" / outcome["path"]).read_bytes()
        assert png.startswith(SIGNATURE)
        assert set(chunks_of(png)) == {b"IHDR", b"IDAT", b"IEND"}
        assert Image.open(io.BytesIO(png)).size == (128, 64) == (outcome["width"], outcome["height"])
        assert (outcome["model"], outcome["seed"]) == ("sd3", scene_seed(0, key))
    with pytest.raises(InputInvalid, match="no model folder"):
        run(context(tmp_path, output="other", model={"uri": "nowhere"}))
    script = (
        "import sys; from pathlib import Path; from tests.integration.test_illustrate_stage import context, run;"
        f"print(run(context(Path({str(tmp_path)!r}))).counts, 'torch' in sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'image/ok': 6.0} False"
