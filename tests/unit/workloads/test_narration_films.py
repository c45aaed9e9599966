"""One's own films: pictures, features and exemplars, film by film, and a dataset of them as of any published one."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tests.support.own_films import ADA, BRUNO, CAST, NOBODY, write_films
from tests.support.stage_context import stage_context

from fabula_api.crd import crd
from fabula_api.recipes.audio_description.build import NarrationSource
from fabula_api.specs import parse_spec
from fabula_local.schema.cel import CelRules
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.audio_description import assemble, collect, ingest, refine
from fabula_workloads.recipes.audio_description.annotations.own_films import own_rows, read_spoken
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.annotations.subtitles import Spoken, seconds_of
from fabula_workloads.recipes.audio_description.films import embed, frames
from fabula_workloads.recipes.audio_description.films.looks import exemplar, most_alike
from fabula_workloads.recipes.audio_description.films.stored import spread
from fabula_workloads.recipes.audio_description.sample import NarrationSample
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.training.samples.dataset import read_samples

VTT = """WEBVTT

00:00:01.000 --> 00:00:02.500
Ada <i>opens</i>
the door.

01:00:01.000 --> 01:00:02.000
He &amp; she.
"""
SRT = """1
00:00:01,000 --> 00:00:02,500
Ada {\\an8}opens
the door.

2
01:00:01,000 --> 01:00:02,000
He & she.
"""


@pytest.mark.parametrize(("name", "text"), [("Signs.vtt", VTT), ("Signs.srt", "\ufeff" + SRT.replace("\n", "\r\n"))])
def test_subtitles_are_read_without_their_styles(name: str, text: str) -> None:
    assert list(read_spoken({name: text.encode()}, "own")) == [
        Spoken("cue 1", "Signs", 1.0, 2.5, "Ada opens the door."),
        Spoken("cue 2", "Signs", 3601.0, 3602.0, "He & she."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [("62.5", 62.5), ("1:02,5", 62.5), ("00:01:02.500", 62.5), ("1:00:00", 3600)]
)
def test_times_are_seconds_or_clocks(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_rows_of_a_table_that_are_none_are_told_by_line() -> None:
    table = "Movie,Begin,To,AD,Characters\na,1,2,She smiles.,Ada; Bo\na,soon,2,x,\na,1,2,,\n,1,2,x,\n"
    found = list(read_spoken({"ads.csv": table.encode()}, "own"))
    assert found[0] == Spoken("line 2", "a", 1.0, 2.0, "She smiles.", ("Ada", "Bo"))
    assert [one.why for one in found if isinstance(one, Unreadable)] == [
        "'soon' is no time: write seconds, or 00:01:02.500", "it has no text", "it names no film",
    ]  # fmt: skip
    with pytest.raises(InputInvalid, match=r"own: ads\.csv has no column end, text; it has film, start"):
        list(read_spoken({"ads.csv": b"film,start\n"}, "own"))
    with pytest.raises(InputInvalid, match="is not in UTF-8"):
        list(read_spoken({"a.srt": b"\xff\xfe1\x00"}, "own"))
    assert list(read_spoken({"a.vtt": b"nothing"}, "own")) == [Unreadable("a", "it has no cues")]


def test_descriptions_follow_each_other_in_time_and_know_who_is_named() -> None:
    from fabula_workloads.recipes.audio_description.annotations.layouts import CharacterRecord

    source = NarrationSource.model_validate(
        {"name": "own", "format": "video", "annotations": "a.csv", "films": "f", "photos": "p"}
    )
    spoken = [Spoken("l2", "a.mp4", 9, 10, "Bruno's hat falls."), Spoken("l3", "a", 1, 2, "Ada nods."),
              Spoken("l4", "b", 1, 2, "Adam nods.")]  # fmt: skip
    casts = {"a": [CharacterRecord.model_validate(one) for one in CAST]}
    made = list(own_rows(spoken, source, {"a": "a.mp4"}, casts, frozenset({"nm0000001"}), {"a": "tt1"}))
    rows = [one for one in made if isinstance(one, Row)]
    assert [(one.film, one.text, one.named) for one in rows] == [
        ("a", "Ada nods.", ("Ada",)), ("a", "Bruno's hat falls.", ("Bruno",)), ("b", "Adam nods.", ()),
    ]  # fmt: skip
    assert rows[0].before is None and rows[1].before is not None and rows[1].before.text == "Ada nods."
    assert [face.exemplar for face in rows[1].characters] == ["a_nm0000001", None] and rows[1].title == "tt1"


def test_the_five_pictures_are_ten_seconds_apart_and_their_mean_is_of_unit_vectors() -> None:
    pictures = np.zeros((100, 2), np.float32)
    pictures[:, 1] = 5.0
    for place, strength in ((10, 9.0), (12, 8.0), (40, 3.0), (70, 2.0)):
        pictures[place] = (strength, 0.1)
    photo = np.array([[2.0, 0.0]], np.float32)
    taken = most_alike(photo, pictures, fps=1.0)
    assert taken[0] == 10 and {40, 70} <= set(taken[:3]) and 12 not in taken
    assert all(abs(one - other) > 10 for one in taken for other in taken if one != other) and len(taken) == 5
    found = exemplar(pictures, taken[:3])
    assert found.shape == (1, 2) and found[0, 0] == pytest.approx(1.0, abs=2e-3)
    assert most_alike(photo, pictures[:8], fps=1.0) == [0], "a film of eight seconds has one place"


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, 9))
def test_shown_pictures_are_different_ones_of_the_clip(start: int, length: int, count: int) -> None:
    found = spread(start, start + length, count)
    assert len(found) == len(set(found)) == min(count, length)
    assert found == sorted(found) and all(start <= one < start + length for one in found)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"films": None}, "format video needs films"), ({"bank": {"uri": "b"}}, "format video needs films"),
     ({"characters": "refined"}, "no scores were published"), ({"format": "tvad"}, "every other format needs a bank")],
)  # fmt: skip
def test_fields_that_do_not_go_together_are_refused_at_the_spec(changes: dict[str, Any], why: str) -> None:
    given = {"name": "own", "format": "video", "annotations": "a.csv", "films": "f", **changes}
    wire = {"recipe": "audio-description", "audioDescription": {"sources": [{k: v for k, v in given.items() if v}]}}
    spec = parse_spec("DatasetBuild", wire).model_dump(mode="json", by_alias=True, exclude_none=True)
    rules = CelRules(crd("DatasetBuild")["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    (refusal,) = [error.message for error in rules.check({"spec": spec}, None)]
    assert why in refusal


class Colours:
    """Features of a picture: its mean colour, as a stand-in that tells the two people apart."""

    def __init__(self) -> None:
        self.seen = 0

    def features(self, pictures: list[Any]) -> Any:
        self.seen += len(pictures)
        return np.stack([np.asarray(one, np.float32).mean(axis=(0, 1)) for one in pictures])


def spec_of(source: dict[str, Any], **block: Any) -> dict[str, Any]:
    films = {"fps": 2, "side": 32, "shown": 2}
    return {
        "recipe": "audio-description",
        "audioDescription": {
            "sources": [source], "films": films, "split": {"validation": 0.3},
            "encoder": {"model": {"uri": "clip"}, "device": "cpu", "batchSize": 7}, **block,
        },
    }  # fmt: skip


class Build:
    """The stages one after the other, with a stand-in for the encoder where none is given."""

    def __init__(self, root: Path, spec: dict[str, Any]) -> None:
        self.root, self.spec = root, spec
        self.inputs: dict[str, str] = {}

    def context(self, stage: str, output: str, **more: Any) -> StageContext:
        return stage_context(self.root, "DatasetBuild", stage, self.spec, output, self.inputs, **more)

    def ingest(self) -> StageResult:
        made = ingest.run(self.context("ingest", "ingest"))
        self.inputs["ingest"] = (made.uri or "").removeprefix(f"file://{self.root}/")
        return made

    def sharded(self, name: str, stage: Any, shards: int = 1) -> StageResult:
        for shard in range(shards):
            made = stage(self.context(name, name, shard=shard, shards=shards))
        self.inputs[name] = name
        return made

    def finish(self, shards: int = 1) -> StageResult:
        self.ingest()
        self.sharded("frames", frames.run, shards)
        self.sharded("embed", embed.run, shards)
        self.sharded("collect", collect.run, shards)
        if "characters" not in self.spec["audioDescription"]["sources"][0]:
            refine.run(self.context("refine", "refine"))
            self.inputs["refine"] = "refine"
        return assemble.run(self.context("assemble", "dataset"))

    def samples(self) -> list[NarrationSample]:
        splits = (read_samples(self.root / "dataset", split, kind=NarrationSample) for split in ("train", "validation"))
        return sorted((one for members in splits for one in members), key=lambda one: one.id)


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> Colours:
    sight = Colours()
    monkeypatch.setattr(embed, "open_sight", lambda context, block: sight)
    return sight


def test_films_become_a_dataset_in_which_who_is_seen_is_told_of(tmp_path: Path, colours: Colours) -> None:
    build = Build(tmp_path, spec_of(write_films(tmp_path)))
    made = build.finish(shards=2)
    assert made.counts["sample/ok"] == 18 and made.counts["sample/withPrevious"] == 15
    found = build.samples()
    first = found[0]
    assert (first.film, first.start, first.end, first.text, first.named) == ("film-0", 0, 3, "Ada looks up.", ("Ada",))
    features = load_file(tmp_path / "dataset" / first.features)
    assert features[first.clip].shape == (7, 3), "two pictures a second, from second 0 to 3"
    faces = load_file(tmp_path / "dataset/exemplars.safetensors")
    assert faces["own/film-0_nm0000001"].argmax() == 0 and faces["own/film-0_nm0000002"].argmax() == 2
    told = [[one.short_name or one.role for one in sample.characters] for sample in found]
    assert told == [["Ada"] if "Ada" in sample.text else ["Mr. Bruno Vale"] for sample in found]
    card = (tmp_path / "dataset/README.md").read_text()
    assert "| own | 18 | 18 | 18 | 1.000 | 1.000 |" in card
    assert "| validation | 0.5 | 6 | 1.000 | 1.000 |" in card
    with tarfile.open(tmp_path / "dataset" / (first.pictures or "")) as tar:
        assert set(first.shown) <= set(tar.getnames()) and len(first.shown) == 2


def test_a_restart_decodes_and_encodes_no_film_twice(tmp_path: Path, colours: Colours) -> None:
    build = Build(tmp_path, spec_of(write_films(tmp_path)))
    build.ingest()
    build.sharded("frames", frames.run)
    (tmp_path / "films/film-0.mp4").unlink()
    again = build.sharded("frames", frames.run)
    assert again.counts["film/ok"] == 3 and again.counts["picture/ok"] == 3 * 48
    build.sharded("embed", embed.run)
    seen = colours.seen
    assert seen == 3 * (48 + 2)
    assert build.sharded("embed", embed.run).counts["face/ok"] == 6 and colours.seen == seen


def test_what_is_wrong_with_a_film_or_a_photo_is_counted_by_what_it_is(tmp_path: Path, colours: Colours) -> None:
    source = write_films(tmp_path) | {"characters": "candidates"}
    (tmp_path / "films/film-0.mp4").write_bytes(b"not a film")
    (tmp_path / "films/film-1.mp4").unlink()
    (tmp_path / "photos/nm0000002.jpg").write_bytes(b"not a photo")
    with (tmp_path / "ads.csv").open("a") as table:
        table.write("film-2,500,501,The end.\nfilm-2,-3,-1,Before.\n")
    build = Build(tmp_path, spec_of(source))
    made = build.finish()
    assert {name: count for name, count in made.counts.items() if "skipped" in name} == {
        "sample/skipped/Undecodable": 6, "sample/skipped/NoFilm": 6, "sample/skipped/BeyondFilm": 1,
        "sample/skipped/NegativeTime": 1,
    }  # fmt: skip
    reasons = [one.get("reason") for one in
               (Ledger(build.context("embed", "embed").store).get(item) or {} for item in
                Ledger(build.context("embed", "embed").store).ids())]  # fmt: skip
    assert sorted(filter(None, reasons)) == ["NoFilm", "Undecodable"]
    assert all(len(sample.characters) == 2 and sample.characters[1].exemplar is None for sample in build.samples())


def test_one_film_is_too_few_to_learn_who_is_named(tmp_path: Path, colours: Colours) -> None:
    with pytest.raises(InputInvalid, match="it takes two films to learn from, and there is 1"):
        Build(tmp_path, spec_of(write_films(tmp_path, films=1))).finish()


def test_another_film_is_another_input_of_what_reads_it(tmp_path: Path) -> None:
    build = Build(tmp_path, spec_of(write_films(tmp_path)))
    before = build.ingest().artifact
    from tests.support.drawn_video import draw_video

    draw_video(tmp_path / "films/film-0.mp4", [(0, NOBODY)], seconds=24)
    after = build.ingest().artifact
    assert before is not None and after is not None and before.digest != after.digest


@pytest.mark.torch
def test_a_real_clip_tells_the_people_apart(tmp_path: Path) -> None:
    """The encoder, tiny and with random weights: two colours stay two, and features are as the model gives them."""
    from fabula_quickstart.tiny import clip

    clip.build(tmp_path / "clip", ["Ada looks up."])
    build = Build(tmp_path, spec_of(write_films(tmp_path, films=2) | {"characters": "candidates"}))
    build.finish()
    found = build.samples()
    features = load_file(tmp_path / "dataset" / found[0].features)
    assert features[found[0].clip].shape == (7, 64) and features[found[0].clip].dtype == np.float16
    lengths = np.linalg.norm(features[found[0].clip].astype(np.float32), axis=1)
    assert not np.allclose(lengths, 1.0, atol=1e-2)
    outcome = json.loads(next((tmp_path / "embed/items").rglob("*film-0*.json")).read_text())
    shots = {person: {number // 8 % 2 for number in one["pictures"]} for person, one in outcome["looks"].items()}
    assert shots["nm0000001"] != shots["nm0000002"]
    assert ADA != BRUNO
