"""Assembly: files and figures, what is left out and why, and a digest that knows nothing but content."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.sporc_files import WORDS
from tests.support.stage_context import stage_context

from fabula_api.artifact import MANIFEST
from fabula_workloads.recipe_parts.card import bars, histogram
from fabula_workloads.recipes.podcast import assemble
from fabula_workloads.recipes.podcast.dataset.card import card
from fabula_workloads.recipes.podcast.dataset.contact_sheet import contact_sheet, shown
from fabula_workloads.recipes.podcast.dataset.figures import bin_width, figures
from fabula_workloads.recipes.podcast.dataset.samples import Picture, Sample
from fabula_workloads.recipes.podcast.prompt import training_prompt
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.ledger import Ledger, item_path
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import verify

SPEC: dict[str, Any] = {
    "source": {"uri": "in.jsonl", "licenseAccepted": True},
    "images": {"provider": "diffusers", "perSample": 2},
    "split": {"validation": 0.25},
}


def build_inputs(root: Path, episodes: int = 8, pictures: bool = True) -> None:
    """Folders as ingest, extract and illustrate leave them: one excerpt with two scenes an episode, four shows."""
    ingested = open_store(f"{root.as_uri()}/ingest")
    commit(
        ingested, kind="episodes", parts=[add_part(ingested, "episodes.jsonl", b"")], counts={"episode/ok": episodes}
    )
    extracted, drawn = Ledger(open_store(f"{root.as_uri()}/extract")), open_store(f"{root.as_uri()}/illustrate")
    for number in range(episodes):
        episode = hashlib.md5(str(number).encode()).hexdigest()[:16]
        words = " ".join(f"{word}{number}" for word in WORDS * (3 + number))
        scenes = [{"index": scene, "prompt": f"scene {scene} of {number}"} for scene in (1, 2)]
        excerpt = {"index": 0, "text": f"Speaker 1: {words}\n\nSpeaker 2: Yes.", "words": 0, "scenes": scenes}
        extracted.put(episode, {"outcome": "ok", "podcast": f"show-{number % 4}", "excerpts": [excerpt]})
        for scene in (1, 2) if pictures else ():
            draw(drawn, episode, scene, png(number, scene))
    extracted.put("f" * 16, {"outcome": "skipped", "reason": "NotVisual", "podcast": "show-9", "excerpts": []})


def png(number: int, scene: int) -> bytes:
    """A picture of one colour, which tells whose it is."""
    data = io.BytesIO()
    Image.new("RGB", (64, 36), colour_of(number, scene)).save(data, "PNG")
    return data.getvalue()


def colour_of(number: int, scene: int) -> tuple[int, int, int]:
    return (20 * number + 10, 100 * scene, 60)


def draw(drawn: Store, episode: str, scene: int, data: bytes) -> None:
    path = f"pictures/{episode}/0-{scene}.png"
    drawn.write(path, data)
    digest = hashlib.sha256(data).hexdigest()
    Ledger(drawn).put(f"{episode}-0-{scene}", {"outcome": "ok", "path": path, "sha256": digest})


def run(root: Path, output: str = "dataset", illustrate: bool = True, **spec: Any) -> tuple[StageResult, Store]:
    inputs = {"ingest": "ingest", "extract": "extract"} | ({"illustrate": "illustrate"} if illustrate else {})
    context = stage_context(root, "DatasetBuild", "assemble", SPEC | spec, output, inputs)
    return assemble.run(context), context.store


def records(store: Store, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read(f"{split}.jsonl").splitlines()]


class TestDataset:
    def test_files_and_figures(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        result, store = run(tmp_path)
        assert result.artifact is not None
        verify(store, result.artifact, tmp_path)
        train, validation = records(store, "train"), records(store, "validation")
        assert len(train) + len(validation) == 8
        assert {record["podcast"] for record in train}.isdisjoint(record["podcast"] for record in validation)
        assert validation
        record = train[0]
        assert record["prompt"] == training_prompt(len(record["response"].split()))
        assert (record["imageCount"], record["split"], record["promptVersion"]) == (2, "train", "podcast-v3")
        for path in record["images"]:
            assert store.read(path).startswith(b"\x89PNG")
        splits = {"train": len(train), "validation": len(validation)}
        assert result.artifact.details["splits"] == splits
        assert result.summary.to_wire() == {"samplesBySplit": splits}
        assert result.counts["pictures/2"] == 8
        assert result.artifact.details["summary"] == result.summary.to_wire()

    def test_the_reference_array_is_the_training_split(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        _, store = run(tmp_path)
        array, train = json.loads(store.read("reference.json")), records(store, "train")
        assert [item["image"] for item in array] == [record["images"] for record in train]
        human, gpt = array[0]["conversations"]
        assert human == {"from": "human", "value": "<image><image>\n" + train[0]["prompt"]}
        assert gpt == {"from": "gpt", "value": train[0]["response"]}

    def test_a_folder_for_each_sample(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        _, store = run(tmp_path)
        record = records(store, "train")[0]
        excerpt = json.loads(store.read(f"samples/{record['id']}/excerpt.json"))
        assert excerpt["excerpt"] == record["response"]
        assert [scene["image"] for scene in excerpt["scenes"]] == ["image_1.png", "image_2.png"]

    def test_the_card_tells_figures(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        text = run(tmp_path)[1].read("README.md").decode()
        assert "| samples | 8 |" in text
        assert "2 | ######################################## 8" in text

    def test_a_split_without_any_picture_is_read_as_text(self) -> None:
        """Its column of pictures would have no type, and the library would refuse the whole."""
        drawn, bare = (
            Sample("e", show, 0, "a b", (), pictures) for show, pictures in (("t", (Picture(1, "p", "s"),)), ("v", ()))
        )
        assert "metadata_train.jsonl, metadata_validation.jsonl" not in card([drawn, bare], frozenset("v"), {}, {})
        assert "[metadata_train.jsonl]" in card([drawn], frozenset(), {}, {})

    def test_the_choices_about_turns_are_recorded_with_the_dataset(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        chosen = {"mergeTurns": True, "minTurnCharacters": 10, "backChannels": "drop"}
        ingested = tmp_path / "ingest" / MANIFEST
        ingested.write_text(json.dumps(json.loads(ingested.read_text()) | {"details": chosen | {"records": 5}}))
        result, store = run(tmp_path)
        assert result.artifact is not None and result.artifact.details["turns"] == chosen
        told = "one speaker's joined, from 10 characters, without back-channels"
        assert f"| turns of the source | {told} |" in store.read("README.md").decode()

    def test_the_card_shows_a_contact_sheet_of_scenes_in_order(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        _, store = run(tmp_path)
        assert "](figures.png)" in store.read("README.md").decode()
        assert "](contact_sheet.jpg)" in store.read("README.md").decode()
        numbers = {hashlib.md5(str(number).encode()).hexdigest()[:16]: number for number in range(8)}
        with Image.open(io.BytesIO(store.read("contact_sheet.jpg"))) as sheet:
            assert sheet.size == (2 * 262 + 6, 8 * 184 + 6)
            for row, episode in enumerate(sorted(numbers)):
                for scene in (1, 2):
                    seen = sheet.getpixel((262 * scene - 128, 184 * row + 104))
                    assert isinstance(seen, tuple)
                    off = [abs(a - b) for a, b in zip(seen, colour_of(numbers[episode], scene), strict=True)]
                    assert max(off) < 8, (row, scene, seen)
        assert run(tmp_path, "again")[1].read("contact_sheet.jpg") == store.read("contact_sheet.jpg")

    def test_a_sheet_shows_as_many_podcasts_as_it_can(self) -> None:
        pictures = (Picture(1, "p", "s"),)
        shows = ["a"] * 30 + ["b", "c"] + ["a"] * 30
        samples = [Sample(f"{number:02}", show, 0, "", (), pictures) for number, show in enumerate(shows)]
        chosen = shown([*samples, Sample("99", "without", 0, "", (), ())])
        assert len(chosen) == 8 and {sample.podcast for sample in chosen} == {"a", "b", "c"}
        assert [sample.episode for sample in chosen] == sorted(sample.episode for sample in chosen)

    def test_a_scene_without_a_picture_leaves_its_place(self) -> None:
        sample = Sample("e", "show", 0, "a b", (), (Picture(1, "1", "s"), Picture(3, "3", "s")))
        with Image.open(io.BytesIO(contact_sheet([sample], frozenset(), lambda picture: png(1, 1)))) as sheet:
            assert sheet.size[0] == 3 * 262 + 6
            gap, drawn = sheet.getpixel((400, 40)), sheet.getpixel((100, 40))
            assert isinstance(gap, tuple) and isinstance(drawn, tuple) and min(gap) > 200 > min(drawn)

    def test_figures_are_drawn_in_proportion(self) -> None:
        """Two bars for lengths, one twice as high as the other, its validation part on top."""
        texts = ["word " * 30] * 4 + ["word " * 60] * 2
        samples = [
            Sample(f"e{number}", "v" if number < 1 else f"t{number}", 0, text, (), ())
            for number, text in enumerate(texts)
        ]
        drawn = figures(samples, frozenset({"v"}))
        assert drawn == figures(samples, frozenset({"v"}))
        with Image.open(io.BytesIO(drawn)) as picture:
            colours = picture.convert("RGB")
        heights = []
        for left in (80, 220):
            column = [colours.getpixel((left, y)) for y in range(190, 371)]
            blue = sum(isinstance(one, tuple) and one[2] > one[0] + 60 for one in column)
            orange = sum(isinstance(one, tuple) and one[0] > one[2] + 60 for one in column)
            heights.append((blue, orange))
        (blue, orange), (other, none) = heights
        assert none == 0 and abs(blue - 3 * orange) <= 3 and abs(blue + orange - 2 * other) <= 3
        assert bin_width([1, 599]) == 25 and bin_width([1, 600]) == 50

    def test_a_sheet_is_of_at_most_eight_spread_over_all(self) -> None:
        pictures = (Picture(1, "p", "s"),)
        samples = [Sample(f"{number:02}", "show", 0, "", (), pictures) for number in range(80)]
        places = [int(sample.episode) for sample in shown(samples)]
        assert len(places) == 8 and max(after - before for before, after in pairwise([*places, 80])) <= 12

    def test_a_file_that_is_no_picture_is_named(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        drawn = open_store(f"{tmp_path.as_uri()}/illustrate")
        draw(drawn, hashlib.md5(b"0").hexdigest()[:16], 1, b"no picture")
        with pytest.raises(InputInvalid, match=r"0-1\.png is no picture of these formats"):
            run(tmp_path)

    def test_missing_pictures_leave_a_sample_out_or_a_gap(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        drawn = open_store(f"{tmp_path.as_uri()}/illustrate")
        episode = hashlib.md5(b"0").hexdigest()[:16]
        Ledger(drawn).put(f"{episode}-0-1", {"outcome": "failed", "reason": "Filtered"})
        result, _ = run(tmp_path)
        assert result.counts == {"sample/ok": 7, "pictures/2": 7, "sample/skipped/MissingPictures": 1}
        result, store = run(tmp_path, "with-gaps", images=SPEC["images"] | {"require": 1})
        assert (result.counts["pictures/1"], result.counts["pictures/2"]) == (1, 7)
        record = next(
            record for record in records(store, "train") + records(store, "validation") if record["imageCount"] == 1
        )
        assert record["images"] == [f"samples/{episode}-0/image_2.png"]
        excerpt = json.loads(store.read(f"samples/{episode}-0/excerpt.json"))
        assert [scene["image"] for scene in excerpt["scenes"]] == [None, "image_2.png"]

    def test_without_pictures_where_nobody_draws(self, tmp_path: Path) -> None:
        build_inputs(tmp_path, pictures=False)
        result, store = run(tmp_path, illustrate=False, images={"provider": "none"})
        assert result.counts["pictures/0"] == 8
        assert records(store, "train")[0]["images"] == []

    def test_near_duplicates_go_whatever_show_they_are_from(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        extracted = Ledger(open_store(f"{tmp_path.as_uri()}/extract"))
        _, outcome = next(extracted.items())
        extracted.put("e" * 16, outcome | {"podcast": "another-feed"})
        for scene in (1, 2):
            draw(open_store(f"{tmp_path.as_uri()}/illustrate"), "e" * 16, scene, png(90, scene))
        assert run(tmp_path)[0].counts == {"sample/ok": 8, "pictures/2": 8, "sample/skipped/NearDuplicate": 1}

    def test_a_target_is_met_exactly_and_the_same_way(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        result, store = run(tmp_path, target={"samples": 5})
        # The rest of the eight are beyond the excerpts that a target of five looks for.
        assert result.counts == {"sample/ok": 5, "pictures/2": 5, "sample/skipped/TargetReached": 1}
        ids = sorted(record["id"] for split in ("train", "validation") for record in records(store, split))
        whole = run(tmp_path, "whole")[1]
        assert ids == sorted(record["id"] for split in ("train", "validation") for record in records(whole, split))[:5]

    def test_what_lies_beyond_a_target_changes_nothing(self, tmp_path: Path) -> None:
        """A shard that went ahead, or an earlier target, may have left more: some of it, or all, drawn or not."""
        digests = set()
        for missing in (0, 5, 6, 7):
            root = tmp_path / str(missing)
            build_inputs(root)
            order = sorted(hashlib.md5(str(number).encode()).hexdigest()[:16] for number in range(8))
            if missing:
                (root / "extract" / item_path(order[missing])).unlink()
                (root / "illustrate" / item_path(f"{order[missing]}-0-1")).unlink()
            result, _ = run(root, target={"samples": 4})
            assert result.artifact is not None and result.counts["sample/ok"] == 4
            digests.add(result.artifact.digest)
        assert len(digests) == 1

    def test_the_digest_is_of_content_only(self, tmp_path: Path) -> None:
        digests = set()
        for name, order in (("one", 1), ("two", -1)):
            root = tmp_path / name
            build_inputs(root)
            ledger = Ledger(open_store(f"{root.as_uri()}/extract"))
            for item, outcome in list(ledger.items())[::order]:
                ledger.put(item, outcome)
            result, _ = run(root, output=f"elsewhere-{name}")
            assert result.artifact is not None
            digests.add(result.artifact.digest)
        assert len(digests) == 1

    def test_a_picture_changed_behind_its_back_is_seen(self, tmp_path: Path) -> None:
        build_inputs(tmp_path)
        episode = hashlib.md5(b"3").hexdigest()[:16]
        open_store(f"{tmp_path.as_uri()}/illustrate").write(f"pictures/{episode}/0-2.png", b"other")
        with pytest.raises(InputInvalid, match=r"0-2.png is not the picture that the ledger names"):
            run(tmp_path)

    def test_nothing_left_is_an_error_that_says_why(self, tmp_path: Path) -> None:
        build_inputs(tmp_path, pictures=False)
        with pytest.raises(InputInvalid, match=r"no sample is left: \{'MissingPictures': 8\}") as failure:
            run(tmp_path)
        assert failure.value.reason == "NoSamples"

    @pytest.mark.parametrize(
        ("images", "illustrate", "message"),
        [
            (
                {"provider": "none", "require": 2},
                False,
                "podcast.images.require is 2, but podcast.images.provider is none",
            ),
            (
                {"provider": "diffusers", "perSample": 2, "require": 3},
                True,
                "podcast.images.require 3 is above podcast.images.perSample 2",
            ),
        ],
    )
    def test_requirements_nobody_can_meet(
        self, tmp_path: Path, images: dict[str, Any], illustrate: bool, message: str
    ) -> None:
        build_inputs(tmp_path)
        with pytest.raises(ConfigInvalid, match=message):
            run(tmp_path, illustrate=illustrate, images=images)


def test_bars_are_in_proportion() -> None:
    assert bars({"1": 10, "12": 5, "3": 0}) == [" 1 | " + "#" * 40 + " 10", "12 | " + "#" * 20 + " 5", " 3 |  0"]
    assert bars({}) == []
    assert histogram("Words", [0, 1, 1, 2.5])[3:6] == [f"0 | {'#' * 20} 1", f"1 | {'#' * 40} 2", f"2 | {'#' * 20} 1"]
    assert histogram("Seconds", [0, 99.5])[3].startswith("  0-4 | ####") and histogram("None", []) == []
