"""What the quickstart reads: enough of it, of the promised form, made the same way each time."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.stage_context import stage_context

from fabula_quickstart import prepare as quickstart
from fabula_quickstart.pictures import SIZE, write_vist
from fabula_quickstart.prepare import Piece, episodes_gz, parse_script, prepare_store, read_scripts, turn_records
from fabula_workloads.recipes.podcast import extract, ingest
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.store import Store


class TestEpisodes:
    def test_eight_or_more_of_five_shows_or_more(self) -> None:
        scripts = read_scripts()
        assert len(scripts) >= 8
        assert len({script.show for script in scripts}) >= 5
        assert len({script.url for script in scripts}) == len(scripts)

    @pytest.mark.parametrize("script", read_scripts(), ids=lambda script: script.title)
    def test_two_to_four_speakers_and_500_to_1200_words(self, script: quickstart.Script) -> None:
        assert 2 <= len({name for name, _ in script.lines}) <= 4
        assert 500 <= sum(len(text.split()) for _, text in script.lines) <= 1200
        assert not {name for name, text in script.lines if text.count('"') % 2}

    def test_records_are_in_the_legacy_turn_layout(self) -> None:
        records = list(turn_records(read_scripts()[0]))
        assert {"mp3url", "speaker", "turnText", "startTime", "endTime", "duration", "turnCount"} <= set(records[0])
        assert records[0]["speaker"] == ["SPEAKER_00"]
        for before, after in pairwise(records):
            assert before["endTime"] == pytest.approx(after["startTime"], abs=0.02)

    def test_the_file_is_the_same_each_time(self) -> None:
        scripts = read_scripts()
        assert episodes_gz(scripts) == episodes_gz(scripts)
        lines = gzip.decompress(episodes_gz(scripts)).splitlines()
        assert len(lines) == sum(len(script.lines) for script in scripts)

    def test_all_of_them_give_visual_excerpts(self, tmp_path: Path) -> None:
        (tmp_path / "episodes.jsonl.gz").write_bytes(episodes_gz(read_scripts()))
        spec = {
            "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
            "extraction": {"provider": "rules", "words": {"min": 120, "max": 260}, "maxExcerpts": 3},
        }
        ingested = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "ingest"))
        context = stage_context(tmp_path, "DatasetBuild", "extract", spec, "extract", {"ingest": ingested.uri or ""})
        assert extract.run(context).counts["excerpt/ok"] >= 2 * len(read_scripts())
        assert {outcome["outcome"] for _, outcome in Ledger(context.store).items()} == {"ok"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("show: A\ntitle: B\n\nAnn: Hi", "the header has no url"),
            ("show: A\ntitle: B\nurl: c\n\nAnn: Hi\nno colon here", "x.txt, line 6: expected `Name: text`"),
        ],
    )
    def test_a_script_that_is_none_is_named(self, text: str, message: str) -> None:
        with pytest.raises(ConfigInvalid, match=message):
            parse_script(text, "x.txt")

    def test_without_the_episodes_it_says_where_they_are(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="in examples/quickstart/data/episodes"):
            read_scripts(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The picture sequences, drawn once; tests must not write to them."""
    folder = tmp_path_factory.mktemp("vist")
    write_vist(folder)
    return folder


class TestPictures:
    def test_eight_stories_of_five_in_vists_layout(self, folder: Path) -> None:
        annotations = json.loads((folder / "test.story-in-sequence.json").read_text())["annotations"]
        assert {len(entry) for entry in annotations} == {1}
        stories = Counter(entry[0]["story_id"] for entry in annotations)
        assert len(stories) == 8
        assert set(stories.values()) == {5}
        assert sorted(entry[0]["worker_arranged_photo_order"] for entry in annotations[:5]) == [0, 1, 2, 3, 4]
        for (entry,) in annotations:
            assert (folder / "images" / f"{entry['photo_flickr_id']}.jpg").exists()
            assert entry["text"].endswith(" .")

    def test_no_picture_twice_and_none_of_one_colour(self, folder: Path) -> None:
        pictures = sorted((folder / "images").iterdir())
        assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures}) == 40
        for path in pictures:
            with Image.open(path) as picture:
                assert picture.size == SIZE
                assert min(len(picture.convert("L").getcolors(256) or []), 256) > 30, path.name

    def test_the_same_each_time(self, folder: Path, tmp_path: Path) -> None:
        write_vist(tmp_path)
        for path in sorted(folder.rglob("*.jpg")):
            assert (tmp_path / "images" / path.name).read_bytes() == path.read_bytes()


class TestPrepare:
    @pytest.fixture
    def built(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
        """Names of the pieces that were built; the models, which need torch, are stood in for by a file, and pictures
        are drawn already."""
        names: list[str] = []
        pieces = quickstart.pieces

        def model(path: Path) -> None:
            (path / "deep").mkdir(parents=True)
            (path / "deep" / "config.json").write_text("{}")

        def noted(piece: Piece) -> Piece:
            build = model if "/models/" in piece.path else piece.build
            if piece.path == "quickstart/vist":
                build = partial(shutil.copytree, folder, dirs_exist_ok=True)

            def note(path: Path) -> None:
                names.append(piece.path)
                build(path)

            return Piece(piece.path, piece.sources, note, piece.for_people)

        monkeypatch.setattr(quickstart, "pieces", lambda scripts: [noted(piece) for piece in pieces(scripts)])
        return names

    def test_each_piece_once(self, store: Store, built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        prepare_store(store)
        assert len(built) == 5
        assert store.exists("quickstart/episodes.jsonl.gz")
        assert store.exists("quickstart/vist/test.story-in-sequence.json")
        assert store.exists("quickstart/models/tiny-qwen3-vl/deep/config.json")
        prepare_store(store)
        assert len(built) == 5
        assert capsys.readouterr().out.count("there already") == 5

    def test_what_is_gone_or_made_from_others_is_made_again(self, store: Store, built: list[str]) -> None:
        prepare_store(store)
        store.write("quickstart/models/tiny-clip/stale", b"")
        store.write("quickstart/.stamps/quickstart-models-tiny-clip.json", b"{}")
        store.delete("quickstart/vist")
        built.clear()
        prepare_store(store)
        assert sorted(built) == ["quickstart/models/tiny-clip", "quickstart/vist"]
        assert not store.exists("quickstart/models/tiny-clip/stale")


@pytest.mark.slow
@pytest.mark.torch
def test_the_command_makes_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    from fabula_quickstart.__main__ import main

    assert main(["--root", tmp_path.as_uri()]) == 0
    models = tmp_path / "quickstart/models"
    for config in ("tiny-qwen3-vl/config.json", "tiny-clip/config.json", "tiny-sd3/model_index.json"):
        flags: dict[str, Any] = json.loads((models / config).read_text())
        assert flags["fabula_random_weights"] is True


def test_a_root_without_a_scheme_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert quickstart.prepare_uri("some/folder") == 64
    assert "neither a file:// nor an s3:// URI" in capsys.readouterr().err
