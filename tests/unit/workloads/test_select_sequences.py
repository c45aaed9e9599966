"""The choice of sequences: what counts as one, that file order decides nothing, and that photos carry no metadata."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.support.stage_context import stage_context
from tests.support.vist_folder import annotation, draw_photo, write_vist

from fabula_workloads.recipes.podcast.sequences.choice import Sequence, choose
from fabula_workloads.recipes.podcast.sequences.directories import read_directories, story_text
from fabula_workloads.recipes.podcast.sequences.photo import bare_photo
from fabula_workloads.recipes.podcast.sequences.vist import read_vist
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import select


def spec(uri: str = "vist", **samples: object) -> dict[str, object]:
    return {"samples": {"uri": uri, **samples}, "arms": [{"name": "base", "model": {"uri": "m"}}]}


def chosen(root: Path, output: str) -> list[dict[str, object]]:
    (file,) = (root / output).glob("*/samples.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_order_of_the_file_decides_nothing(tmp_path: Path) -> None:
    digests = set()
    for shuffle in (None, 1, 2):
        write_vist(tmp_path / "vist", 8, shuffle=shuffle)
        result = select.run(stage_context(tmp_path, "EvalRun", "select", spec(count=5), f"out-{shuffle}"))
        assert result.artifact is not None
        digests.add(result.artifact.digest)
        assert result.counts == {"sequence/ok": 5}
    assert len(digests) == 1
    other = select.run(stage_context(tmp_path, "EvalRun", "select", spec(count=5, seed=7), "other"))
    assert other.artifact is not None
    assert other.artifact.digest not in digests


def test_pictures_come_in_photo_order_and_bare(tmp_path: Path) -> None:
    write_vist(tmp_path / "vist", 3, shuffle=3)
    result = select.run(stage_context(tmp_path, "EvalRun", "select", spec(count=3), "out"))
    for record in chosen(tmp_path, "out"):
        story = str(record["id"]).rpartition("_")[2]
        assert record["images"] == [f"pictures/{record['id']}/image_{k}.jpg" for k in range(1, 6)]
        assert record["story"] == " ".join(f"sentence {order} of {story} ." for order in range(5))
        for order, path in enumerate(record["images"]):  # type: ignore[arg-type, var-annotated]
            data = (local_path(result.uri or "") / path).read_bytes()
            assert b"Secret" not in data
            source = Image.open(tmp_path / "vist" / "images" / f"{int(story) - 4000:03d}{order}.jpg")
            assert _difference(Image.open(io.BytesIO(data)), source) < 12


def _difference(one: Image.Image, other: Image.Image) -> float:
    pairs = zip(one.convert("L").tobytes(), other.convert("L").tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (one.width * one.height)


def test_unusable_stories_are_counted_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "vist"
    write_vist(folder, 3)
    (folder / "images" / "0012.jpg").unlink()
    (folder / "images" / "0020.jpg").write_bytes(b"no picture")
    file = folder / "test.story-in-sequence.json"
    annotations = json.loads(file.read_text())["annotations"]
    annotations += [annotation("9000", order, f"000{order}") for order in range(4)]
    annotations += [annotation("9001", 0, "0000"), annotation("9001", 0, "0001"), [{"story_id": "x"}], []]
    file.write_text(json.dumps({"annotations": annotations}))
    result = select.run(stage_context(tmp_path, "EvalRun", "select", spec(count=10), "out"))
    assert result.counts == {
        "record/rejected/MalformedAnnotation": 2, "sequence/ok": 1, "sequence/skipped/NotFivePhotos": 2,
        "sequence/skipped/PhotoMissing": 1, "sequence/skipped/PhotoUnreadable": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no test.story-in-sequence.json"),
        ("[1]", "no VIST annotation file"),
        ("{", "no VIST annotation file"),
        ('{"annotations": []}', "no usable sequence"),
    ],
)
def test_what_is_no_vist_folder_says_so(tmp_path: Path, content: str | None, message: str) -> None:
    (tmp_path / "vist").mkdir()
    if content is not None:
        (tmp_path / "vist" / "test.story-in-sequence.json").write_text(content)
    with pytest.raises(InputInvalid, match=message):
        select.run(stage_context(tmp_path, "EvalRun", "select", spec(), "out"))


@given(st.lists(st.lists(st.integers(0, 12), min_size=2, max_size=3, unique=True), max_size=12), st.integers(0, 9))
def test_no_photo_is_in_two_chosen_sequences(photos: list[list[int]], seed: int) -> None:
    sequences = [Sequence(str(i), tuple(map(str, ids)), tuple(map(str, ids))) for i, ids in enumerate(photos)]
    skipped: Counter[str] = Counter()
    taken = list(choose(sequences, seed=seed, skipped=skipped))
    used = [photo for sequence in taken for photo in sequence.photos]
    assert len(used) == len(set(used))
    assert len(taken) + skipped.total() == len(sequences)
    assert taken == list(choose(reversed(sequences), seed=seed, skipped=Counter()))
    left = [sequence for sequence in sequences if sequence not in taken]
    assert all(set(sequence.photos) & set(used) for sequence in left), "greedy: whatever is free is taken"


def test_sample_folders_with_both_story_formats(tmp_path: Path) -> None:
    headed = "Story ID: 7\n" + "=" * 60 + "\nA title\n[Image 1]: first one .\n[Image 2]: second one .\n"
    for name, story in (("sample_02_story_7", headed), ("sample_01_story_5", "one .\ntwo .\n")):
        for number in (1, 2):
            draw_photo(tmp_path / "d" / name / f"image_{number}_9{number}{name[-1]}.jpg", int(f"{number}{name[-1]}"))
        (tmp_path / "d" / name / "ground_truth_story.txt").write_text(story)
    draw_photo(tmp_path / "d" / "sample_03_story_8" / "image_2_1.jpg", 1)
    draw_photo(tmp_path / "d" / "other" / "image_1_1.jpg", 1)
    sequences, tally = read_directories(open_store(f"file://{tmp_path}/d"))
    assert [(s.name, s.story_id, s.photos, s.story) for s in sequences] == [
        ("sample_01_story_5", "5", ("915", "925"), "one . two ."),
        ("sample_02_story_7", "7", ("917", "927"), "first one . second one ."),
    ]
    assert tally == {"sequence/skipped/PhotoMissing": 1}
    result = select.run(stage_context(tmp_path, "EvalRun", "select", spec("d", format="directories"), "out"))
    assert sorted(str(record["id"]) for record in chosen(tmp_path, "out")) == ["sample_01_story_5", "sample_02_story_7"]
    assert result.counts["sequence/ok"] == 2
    with pytest.raises(InputInvalid, match="no folder named like"):
        read_directories(open_store(f"file://{tmp_path}/out"))


def test_a_plain_story_is_taken_whole() -> None:
    assert story_text("one .  two .\n") == "one . two ."


def test_a_turned_photo_is_set_upright() -> None:
    image, exif, buffer = Image.new("RGB", (40, 20), "red"), Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    image.save(buffer, "JPEG", exif=exif)
    upright = Image.open(io.BytesIO(bare_photo(buffer.getvalue()).jpeg))
    assert upright.size == (20, 40)
    assert not upright.getexif()


def test_annotations_named_in_a_subfolder(tmp_path: Path) -> None:
    write_vist(tmp_path / "vist", 1)
    (tmp_path / "vist" / "sis").mkdir()
    (tmp_path / "vist" / "test.story-in-sequence.json").rename(
        tmp_path / "vist" / "sis" / "test.story-in-sequence.json"
    )
    sequences, _ = read_vist(open_store(f"file://{tmp_path}/vist"))
    assert [sequence.story_id for sequence in sequences] == ["4000"]
