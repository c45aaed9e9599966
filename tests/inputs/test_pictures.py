"""Each kind of picture through every reader: used as a person sees it, or refused, left out or counted by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.pictures.opening import MAX_RATIO, UnfitPicture, is_flat, open_picture, picture_size
from fabula_workloads.recipe_parts import Sample
from fabula_workloads.report.thumbnails import thumbnail
from fabula_workloads.runtime.failures import InputInvalid, WorkerError
from fabula_workloads.stages import select
from tests.inputs.pictures import SIZE, UNFIT, USABLE, Unfit, Usable, saved, scene, sized, turned
from tests.support.stage_context import stage_context
from tests.support.training_dataset import PROMPT
from tests.support.vist_folder import draw_photo, write_vist
from tests.support.worker_process import run_worker_process, worker_config

PIXELS = PixelWindow(min_pixels=1024, max_pixels=8192)


def by_kind(rows: list[Any]) -> Callable[..., Any]:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.kind)


def assert_shows_the_scene(picture: Image.Image, row: Usable) -> None:
    assert (picture.mode, picture.size) == ("RGB", SIZE)
    values = np.asarray(picture.convert("L")).astype(int)
    disc, left, right = values[20, 22], values[60, 20], values[60, 110]
    if row.sky_is_white:
        assert (disc, left, right) == (0, 255, 255)
    elif "holes" in row.kind:
        assert disc > 240 and left < 60 < right < 160
    elif "signed" in row.kind:
        assert disc > 240 and left + 60 < right < 160
    else:
        assert disc > 240 and left == pytest.approx(37, abs=6) and right == pytest.approx(130, abs=6)


@by_kind(USABLE)
def test_a_usable_picture_is_what_a_person_sees(row: Usable, tmp_path: Path) -> None:
    assert_shows_the_scene(open_picture(row.make()), row)
    file = tmp_path / "picture"
    file.write_bytes(row.make())
    assert picture_size(file) == open_picture(file).size == SIZE
    assert thumbnail(file).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("behind", [False, True], ids=["ahead of its pixels", "behind them"])
def test_the_size_of_a_png_is_known_before_its_pixels_are_there(behind: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXIF may turn it from either place; only the one behind them is worth decoding for."""
    data = turned(6, "PNG")
    at = data.index(b"eXIf") - 4
    exif = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
    if behind:
        data = data.replace(exif, b"")
        data = data[:-12] + exif + data[-12:]
    assert picture_size(data) == open_picture(data).size == SIZE
    if not behind:
        monkeypatch.setattr(PngImageFile, "load", lambda image: pytest.fail("it is decoded"))
        assert picture_size(data) == SIZE


def test_a_flat_picture_is_told_from_one_with_a_single_other_pixel() -> None:
    picture = Image.new("RGB", (200, 100), (90, 90, 90))
    assert is_flat(picture)
    picture.putpixel((101, 3), (99, 90, 90))
    assert not is_flat(picture)


@by_kind(UNFIT)
def test_an_unfit_picture_is_named_before_its_pixels_are_there(row: Unfit, tmp_path: Path) -> None:
    with pytest.raises(UnfitPicture, match=row.words) as refused:
        open_picture(row.make())
    assert refused.value.reason == row.reason
    file = tmp_path / "picture"
    file.write_bytes(row.make())
    with pytest.raises(UnfitPicture) as refused:
        thumbnail(file)
    assert (refused.value.reason, refused.value.path) == (row.reason, file)


@pytest.mark.torch
@given(st.integers(4, 4000), st.integers(4, 4000))
def test_what_passes_is_taken_by_the_real_processors(width: int, height: int) -> None:
    prepare_torchvision()
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    fits = max(width, height) <= MAX_RATIO * min(width, height)
    try:
        smart_resize(height, width, 32, PIXELS.min_pixels, PIXELS.max_pixels)
        assert fits
    except ValueError:
        assert not fits


def test_a_disk_that_cannot_be_read_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as failed:
        open_picture(tmp_path / ("n" * 300))
    assert not isinstance(failed.value, UnfitPicture)


def write_folders(root: Path, contents: dict[str, bytes]) -> None:
    """A sample folder for each picture, which stands second of two."""
    for number, (name, content) in enumerate(contents.items(), 1):
        folder = root / f"sample_{number:02d}_story_{name}"
        draw_photo(folder / "image_1_a.png", number)
        (folder / "image_1_a.png").rename(folder / f"image_1_{name}a.jpg")
        (folder / f"image_2_{name}b.jpg").write_bytes(content)


def test_select_leaves_out_what_is_unfit_and_counts_it(tmp_path: Path) -> None:
    """In a process of its own, as a pod would: it ends well, with every reason counted."""
    contents = {f"bad{number}": row.make() for number, row in enumerate(UNFIT)}
    write_folders(tmp_path / "root" / "photos", contents | {"good1": sized(90, 60), "good2": sized(80, 60)})
    spec = {
        "samples": {"uri": "photos", "format": "directories"},
        "arms": [{"name": "base", "model": {"uri": "m"}}],
    }
    run = {"kind": "EvalRun", "namespace": "default", "name": "trial", "uid": "1"}
    ended = run_worker_process(tmp_path, worker_config(tmp_path / "root", "select", spec, run=run))
    assert ended.code == 0, ended.output
    expected: dict[str, float] = {"sequence/ok": 2}
    for row in UNFIT:
        name = f"sequence/skipped/Photo{row.reason}"
        expected[name] = expected.get(name, 0) + 1
    assert ended.result["counts"] == expected
    for number, row in enumerate(UNFIT):
        assert f"story bad{number} is left out (Photo{row.reason})" in ended.output
    assert "Traceback" not in ended.output


def chosen(root: Path, **samples: Any) -> tuple[dict[str, float], list[str], Path]:
    spec = {
        "samples": {"uri": "photos", "format": "directories", **samples},
        "arms": [{"name": "base", "model": {"uri": "m"}}],
    }
    result = select.run(stage_context(root, "EvalRun", "select", spec, "out"))
    assert result.uri is not None
    folder = Path(result.uri.removeprefix("file://"))
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return result.counts, [line["id"].rpartition("_")[2] for line in lines], folder


def test_select_commits_what_a_person_sees(tmp_path: Path) -> None:
    rows = {f"kind{number}": row for number, row in enumerate(USABLE) if not row.sky_is_white}
    # One at a time: several show the very same pixels.
    for name, row in list(rows.items())[1:4]:
        root = tmp_path / name
        write_folders(root / "photos", {name: row.make()})
        _, _, folder = chosen(root)
        assert_shows_the_scene(Image.open(next(folder.glob("pictures/*/image_2.jpg"))), row)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_one_card_under_many_ids_is_no_photo(tmp_path: Path, format: str) -> None:
    card = saved(Image.effect_noise((90, 60), 9).convert("RGB"), format)
    # The same pixels in a file of other bytes: one with a comment of the site's.
    again = saved(Image.open(io.BytesIO(card)), "PNG")
    write_folders(tmp_path / "photos", {"c1": card, "g1": sized(90, 60), "c2": again, "g2": sized(80, 60), "c3": card})
    counts, names, _ = chosen(tmp_path)
    assert counts == {"sequence/ok": 2, "sequence/skipped/PhotoRepeated": 3}
    assert sorted(names) == ["g1", "g2"]


@pytest.mark.parametrize("colour", ["white", "black", "#2f7fbf"])
def test_a_flat_picture_is_no_photo(tmp_path: Path, colour: str) -> None:
    flat = saved(Image.new("RGB", (90, 60), colour), "PNG")
    write_folders(tmp_path / "photos", {"f1": flat, "g1": sized(90, 60)})
    counts, names, _ = chosen(tmp_path)
    assert (counts, names) == ({"sequence/ok": 1, "sequence/skipped/PhotoFlat": 1}, ["g1"])


def test_nothing_skipped_is_not_called_a_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_vist(tmp_path / "photos", 2)
    with caplog.at_level("WARNING"):
        counts, _, _ = chosen(tmp_path, format="vist", count=5)
    assert counts == {"sequence/ok": 2}
    assert "5 samples were asked for, 2 are usable: the source has no more" in caplog.text


@pytest.fixture
def encoder(model_folder: Path, tmp_path: Path) -> Any:
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.encode import Encoder

    return Encoder(load_processor(model_folder, PIXELS), tmp_path)


@pytest.mark.torch
def test_training_refuses_what_is_unfit_by_sample_and_path(encoder: Any, tmp_path: Path) -> None:
    for row in UNFIT:
        (tmp_path / "odd.jpg").write_bytes(row.make())
        sample = Sample(id="s9", images=["odd.jpg"], prompt=PROMPT, response="r")
        with pytest.raises(InputInvalid, match=rf"^sample s9: odd\.jpg .*{row.words}"):
            encoder.check(sample)
        if row.words != "is a damaged picture":  # which its header does not tell
            with pytest.raises(InputInvalid, match=rf"^sample s9: odd\.jpg .*{row.words}"):
                encoder.length(sample)


@pytest.mark.torch
def test_training_sees_what_evaluation_sees(encoder: Any, tmp_path: Path) -> None:
    for row in USABLE:
        (tmp_path / "odd").write_bytes(row.make())
        saved_upright = open_picture(row.make())
        saved_upright.save(tmp_path / "upright.png")
        odd, upright = (Sample(id="s", images=[name], prompt=PROMPT, response="r") for name in ("odd", "upright.png"))
        assert encoder.length(odd) == encoder.length(upright) == len(encoder.encode(odd)["input_ids"]), row.kind
        assert (encoder.encode(odd)["pixel_values"] == encoder.encode(upright)["pixel_values"]).all(), row.kind


@pytest.mark.torch
def test_one_unfit_photo_costs_one_answer(model_folder: Path, tmp_path: Path) -> None:
    from fabula_workloads.inference.request import Answer, Failure, Request
    from fabula_workloads.inference.transformers_engine import TransformersEngine

    answerer = TransformersEngine(
        model_folder, None, device="cpu", pixels=PIXELS, generation=Generation(max_new_tokens=2)
    )
    (tmp_path / "good.jpg").write_bytes(saved(scene(), "JPEG"))
    good = Request("good", 0, (tmp_path / "good.jpg",), PROMPT)
    alone = answerer.answer([good], lambda: False)[0]
    assert isinstance(alone, Answer)
    requests: list[Request] = [good]
    expected: list[Failure] = []
    for number, row in enumerate(UNFIT):
        file = tmp_path / f"bad{number}.jpg"
        file.write_bytes(row.make())
        requests.append(Request(f"bad{number}", 0, (tmp_path / "good.jpg", file), PROMPT))
        expected.append(Failure(f"Photo{row.reason}"))
    first, *others = answerer.answer(requests, lambda: False)
    assert isinstance(first, Answer) and first.text == alone.text
    assert others == expected
    assert answerer.answer(requests[1:2], lambda: False) == expected[:1]


@pytest.mark.torch
def test_clip_sees_the_upright_picture(tmp_path: Path) -> None:
    from fabula_quickstart.tiny import clip
    from fabula_workloads.metrics.clip_model import ClipModel

    clip.build(tmp_path / "clip", ["a b"])
    model = ClipModel(tmp_path / "clip")
    for row in USABLE:
        (tmp_path / "odd").write_bytes(row.make())
        open_picture(row.make()).save(tmp_path / "upright.png")
        for encode in (model.encode_pictures, model.encode_pictures_paper_v1):
            odd, upright = encode([tmp_path / "odd", tmp_path / "upright.png"])
            assert odd == pytest.approx(upright, abs=1e-6), row.kind
