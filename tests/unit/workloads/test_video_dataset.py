"""A build of videos with replies, stage by stage: each video is decoded once, and every row is accounted for."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.drawn_video import colour_of, draw_video
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.visual_instruction import assemble, decode, ingest
from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, VideoSample
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.samples.dataset import read_samples

GREY, SIGN = (120, 120, 120), (220, 30, 30)


def said(start: float, end: float, text: str = "Hello!") -> dict[str, Any]:
    return {"from": "gpt", "value": text, "time": (start + end) / 2, "timespan": [start, end]}


def row(video: str, *said: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"video": video, "proactive": True, "conversations": list(said), **more}


def write(root: Path, *records: dict[str, Any], **more: Any) -> dict[str, Any]:
    (root / "own").mkdir(exist_ok=True, parents=True)
    (root / "own/rows.json").write_text(json.dumps(records))
    return {"name": "own", "annotations": "own/rows.json", "videos": "own/videos", "task": "wake-up", **more}


def build(root: Path, *sources: dict[str, Any], shards: int = 1, **block: Any) -> StageResult:
    spec = {
        "recipe": "visual-instruction",
        "visualInstruction": {"sources": list(sources), "split": {"validation": 0.5}, "frames": {"side": 32}, **block},
    }
    read = ingest.run(stage_context(root, "DatasetBuild", "ingest", spec, "ingest"))
    assert read.uri is not None
    inputs = {"ingest": read.uri.removeprefix(f"file://{root}/")}
    for shard in range(shards):
        decode.run(stage_context(root, "DatasetBuild", "decode", spec, "decode", inputs, shard=shard, shards=shards))
    inputs["decode"] = "decode"
    return assemble.run(stage_context(root, "DatasetBuild", "assemble", spec, "dataset", inputs))


def samples(root: Path) -> dict[str, VideoSample]:
    splits = ("train", "validation")
    return {one.id: one for split in splits for one in read_samples(root / "dataset", split, kind=VideoSample)}


def videos(root: Path) -> None:
    draw_video(root / "own/videos/a.mp4", [(0, GREY), (2, SIGN), (4, GREY)], seconds=6, tone=500)
    draw_video(root / "own/videos/b.mp4", [(0, SIGN), (1, GREY)], seconds=3)
    (root / "own/videos/c.mp4").write_bytes(b"no video")


def test_every_row_is_accounted_for_and_none_takes_anothers_place(tmp_path: Path) -> None:
    videos(tmp_path)
    source = write(
        tmp_path,
        row("a.mp4", said(2, 4)),
        row("b.mp4", said(0, 1)),
        row("c.mp4", said(0, 1)),
        row("d.mp4", said(0, 1)),
        row("a.mp4", said(20, 24)),
        row("a.mp4", {"from": "human", "value": "?", "time": 5}, {"from": "gpt", "value": "x", "time": 1}),
        row("b.mp4", said(0, 1), task_type="juggling"),
        row("a.mp4", said(1, 2), video_start_time=0.0, video_end_time=2.0),
    )
    del source["task"]
    made = build(tmp_path, source, maxBadFraction=0.2)
    assert made.counts["sample/ok"] == 3
    told = [json.loads(line) for line in (tmp_path / "dataset/rows.jsonl").read_text().splitlines()]
    assert [one["reason"] for one in told] == [
        None, None, "Undecodable", "NoVideo", "SpanOutsideVideo", "AnswerBeforeQuestion", None,
    ]  # fmt: skip
    reasons = ("Undecodable", "NoVideo", "SpanOutsideVideo", "AnswerBeforeQuestion")
    assert all(made.counts[f"sample/skipped/{reason}"] == 1 for reason in reasons)
    card = (tmp_path / "dataset/README.md").read_text()
    assert "| own | NoVideo | 1 |" in card and "Seconds of a span" in card and "![Moments" in card


def test_pictures_are_those_of_their_moments_and_sound_is_kept_where_there_is_any(tmp_path: Path) -> None:
    videos(tmp_path)
    build(tmp_path, write(tmp_path, row("a.mp4", said(2, 4)), row("b.mp4", said(0, 1))), sound=True)
    found = samples(tmp_path)
    sample = found["own-000000"]
    assert sample.frames == (0, 1, 2, 3, 4, 5) and sample.sound and not found["own-000001"].sound
    with tarfile.open(tmp_path / "dataset" / sample.shard) as tar:
        names = tar.getnames()
        pictures = [Image.open(io.BytesIO((tar.extractfile(name) or io.BytesIO()).read())) for name in names[:-1]]
        sound = tar.extractfile(SOUND_NAME)
        assert sound is not None and len(sound.read()) == 6 * 16_000 * 2
    assert names == [f"{second * 1000:010d}.jpg" for second in range(6)] + [SOUND_NAME]
    red = [colour_of(picture)[0] - colour_of(picture)[1] > 100 for picture in pictures]
    assert red == [False, False, True, True, False, False]
    sheet = Image.open(tmp_path / "dataset/moments.jpg")
    assert sheet.width > 900 and sheet.height > 300


def test_offline_samples_of_videos_and_pictures_are_asked_at_their_end(tmp_path: Path) -> None:
    videos(tmp_path)
    Image.new("RGB", (40, 30), SIGN).save(tmp_path / "own/videos/still.png")
    asked = [{"from": "human", "value": "<image>\nWhich colour?"}, {"from": "gpt", "value": "Red."}]
    source = write(
        tmp_path,
        {"video": "b.mp4", "conversations": asked},
        {"image": "still.png", "conversations": asked},
        {"image": "gone.png", "conversations": asked},
    )
    made = build(tmp_path, source)
    assert made.counts["sample/skipped/NoVideo"] == 1
    found = samples(tmp_path)
    assert [turn.at for turn in found["own-000000"].turns] == [3.0, 3.0]
    still = found["own-000001"]
    assert (still.frames, still.end, still.turns[0].text) == ((0.0,), 1.0, "Which colour?")
    with tarfile.open(tmp_path / "dataset" / still.shard) as tar:
        picture = Image.open(io.BytesIO((tar.extractfile(tar.getnames()[0]) or io.BytesIO()).read()))
    assert picture.size == (32, 32) and colour_of(picture)[0] > 180


def test_a_file_of_sound_beside_the_video_is_heard_in_the_place_of_its_own(tmp_path: Path) -> None:
    videos(tmp_path)
    draw_video(tmp_path / "own/videos/told.mp4", [(0, GREY)], seconds=3, tone=900)
    source = write(
        tmp_path,
        row("b.mp4", said(0, 1), audio="told.mp4"),
        row("b.mp4", said(0, 1)),
        row("a.mp4", said(2, 4), audio="gone.wav"),
    )
    made = build(tmp_path, source, sound=True)
    assert made.counts["sample/skipped/NoSound"] == 1
    found = samples(tmp_path)
    told, silent = found["own-000000"], found["own-000001"]
    assert told.sound and not silent.sound and told.shard != silent.shard and told.frames == silent.frames


def test_equal_inputs_give_an_equal_dataset_however_many_pods_decode(tmp_path: Path) -> None:
    digests = set()
    for shards in (1, 3):
        root = tmp_path / str(shards)
        videos(root)
        made = build(root, write(root, row("a.mp4", said(2, 4)), row("b.mp4", said(0, 1))), shards=shards)
        assert made.artifact is not None
        digests.add(made.artifact.digest)
    assert len(digests) == 1


def test_a_restarted_shard_decodes_no_video_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos(tmp_path)
    source = write(tmp_path, row("a.mp4", said(2, 4)), row("b.mp4", said(0, 1)))
    first = build(tmp_path, source)
    monkeypatch.setattr(decode, "_decoded", lambda *_: pytest.fail("it was decoded again"))
    assert build(tmp_path, source).counts == first.counts
    assert len(list(Ledger(open_store(f"file://{tmp_path}/decode")).items())) == 2


def test_no_video_is_in_both_splits_and_a_source_may_be_all_validation(tmp_path: Path) -> None:
    videos(tmp_path)
    build(tmp_path, write(tmp_path, row("a.mp4", said(2, 4)), row("b.mp4", said(0, 1)), row("a.mp4", said(2, 3))))
    split = {
        name: {one.video for one in read_samples(tmp_path / "dataset", name, kind=VideoSample)}
        for name in ("train", "validation")
    }
    assert split["train"] and split["validation"] and not split["train"] & split["validation"]


def test_a_build_without_a_sample_says_what_became_of_its_rows(tmp_path: Path) -> None:
    videos(tmp_path)
    with pytest.raises(InputInvalid, match=r"2 for NoVideo, such as own, row 0 \(x\.mp4\)"):
        build(tmp_path, write(tmp_path, row("x.mp4", said(0, 1)), row("x.mp4", said(1, 2))))


def test_a_video_that_is_cut_loses_its_own_rows_only(tmp_path: Path) -> None:
    whole = draw_video(tmp_path / "own/videos/cut.ts", [(float(s), GREY) for s in range(12)], seconds=12)
    data = whole.read_bytes()
    draw_video(tmp_path / "own/videos/b.mp4", [(0, SIGN), (1, GREY)], seconds=3)
    whole.write_bytes(data[: len(data) // 2])
    source = write(
        tmp_path,
        row("b.mp4", said(0, 1)),
        row("cut.ts", said(1, 2), video_start_time=0, video_end_time=3),
        row("cut.ts", said(9, 10), video_start_time=8, video_end_time=11),
    )
    build(tmp_path, source)
    told = [json.loads(line) for line in (tmp_path / "dataset/rows.jsonl").read_text().splitlines()]
    assert [one["reason"] for one in told][:2] == [None, None]
    assert told[2]["reason"] in ("Cut", "SpanOutsideVideo")
