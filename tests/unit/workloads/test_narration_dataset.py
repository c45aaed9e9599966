"""A build of audio descriptions, stage by stage: every row is accounted for, and of a bank only clips are read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.support.narration_files import FIRST, clips, write_clips, write_film
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.audio_description import assemble, collect, ingest, refine
from fabula_workloads.recipes.audio_description.features.exemplars import read_exemplars
from fabula_workloads.recipes.audio_description.sample import NarrationSample
from fabula_workloads.runtime.context import StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.training.samples.dataset import read_samples


def build(root: Path, sources: list[dict[str, Any]], *, shards: int = 1, **block: Any) -> StageResult:
    spec = {
        "recipe": "audio-description",
        "audioDescription": {"sources": sources, "split": {"validation": 0.5}, **block},
    }
    read = ingest.run(stage_context(root, "DatasetBuild", "ingest", spec, "ingest"))
    assert read.uri is not None
    inputs = {"ingest": read.uri.removeprefix(f"file://{root}/")}
    for shard in range(shards):
        collect.run(stage_context(root, "DatasetBuild", "collect", spec, "collect", inputs, shard=shard, shards=shards))
    inputs["collect"] = "collect"
    return assemble.run(stage_context(root, "DatasetBuild", "assemble", spec, "dataset", inputs))


def samples(root: Path) -> dict[str, NarrationSample]:
    found = [*read_samples(root / "dataset", "train", kind=NarrationSample),
             *read_samples(root / "dataset", "validation", kind=NarrationSample)]  # fmt: skip
    return {sample.id: sample for sample in found}


def test_every_row_of_tv_ad_is_kept_though_two_have_no_clip_before(tmp_path: Path) -> None:
    made = build(tmp_path, [write_clips(tmp_path, clips())])
    assert made.counts["sample/ok"] == 3 and made.counts["sample/withPrevious"] == 1
    assert "used, no previous clip | 2" in (tmp_path / "dataset/README.md").read_text()
    found = samples(tmp_path)
    features = load_file(tmp_path / "dataset" / found["tvad-000000"].features)
    assert features[found["tvad-000000"].clip].shape == (6, 4, 8)
    faces = load_file(tmp_path / "dataset/exemplars.safetensors")
    assert faces[found["tvad-000000"].characters[0].exemplar or ""].shape == (4, 8)


def test_the_references_own_selection_is_an_option_and_tells_what_it_leaves_out(tmp_path: Path) -> None:
    made = build(tmp_path, [write_clips(tmp_path, clips())], selection="reference")
    assert made.counts["sample/ok"] == 1 and made.counts["sample/skipped/NoPrevious"] == 2


def test_a_film_of_frames_is_cut_by_its_times_and_bad_times_are_counted(tmp_path: Path) -> None:
    made = build(tmp_path, [write_film(tmp_path)])
    assert made.counts["sample/ok"] == 2
    assert made.counts["sample/skipped/BeyondFilm"] == 1 and made.counts["sample/skipped/NegativeTime"] == 1
    found = samples(tmp_path)["mad-000001"]
    features = load_file(tmp_path / "dataset" / found.features)
    assert features[found.clip][:, 0].tolist() == list(range(20, 26))
    assert found.previous is not None and features[found.previous.clip or ""][:, 0].tolist() == list(range(5, 16))
    told = [json.loads(line) for line in (tmp_path / "dataset/rows.jsonl").read_text().splitlines()]
    assert [one["reason"] for one in told] == [None, None, "BeyondFilm", "NegativeTime"]
    assert told[2]["place"] == "film 1005_Signs, row 2"


def test_a_key_that_the_bank_lacks_is_counted_by_row_and_a_clip_before_it_may_be_missing(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    with h5py.File(tmp_path / "tvad.h5", "a") as bank:
        del bank[f"{FIRST}_9_16"]
    made = build(tmp_path, [source])
    assert made.counts["sample/ok"] == 2 and made.counts["sample/skipped/MissingKey"] == 1
    previous = samples(tmp_path)["tvad-000000"].previous
    assert previous is not None and previous.clip is None and previous.text.startswith("His umbrella")


def test_a_bank_that_has_none_of_the_clips_is_refused_with_row_and_key(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    with h5py.File(tmp_path / "tvad.h5", "w") as bank:
        bank["other"] = np.zeros((2, 4, 8))
    with pytest.raises(InputInvalid, match=rf"3 for MissingKey, such as tvad, row 0, clip {FIRST} \(bank entry "):
        build(tmp_path, [source])


def test_banks_of_two_widths_are_refused_by_source_and_film(tmp_path: Path) -> None:
    sources = [write_clips(tmp_path, clips()), write_film(tmp_path)]
    with pytest.raises(InputInvalid, match=r"features of a frame are \[4, 8\] in tvad .* but \[8\] in mad"):
        build(tmp_path, sources)


def test_equal_inputs_give_an_equal_dataset_however_many_shards_read_them(tmp_path: Path) -> None:
    digests = set()
    for shards in (1, 3):
        root = tmp_path / str(shards)
        made = build(root, [write_clips(root, clips())], shards=shards)
        assert made.artifact is not None
        digests.add(made.artifact.digest)
    assert len(digests) == 1


def test_no_film_is_in_both_splits(tmp_path: Path) -> None:
    build(tmp_path, [write_clips(tmp_path, clips())])
    films = [
        {sample.film for sample in read_samples(tmp_path / "dataset", split, kind=NarrationSample)}
        for split in ("train", "validation")
    ]
    assert films[0] and films[1] and not films[0] & films[1]


def test_too_many_unreadable_rows_end_the_build_and_few_are_counted(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips(ad=""))
    with pytest.raises(InputInvalid, match=r"1 of 3 rows cannot be read.*row 0: ad"):
        build(tmp_path, [source])
    read = ingest.run(
        stage_context(
            tmp_path, "DatasetBuild", "ingest",
            {"recipe": "audio-description", "audioDescription": {"sources": [source], "maxBadFraction": 0.5}}, "in",
        )
    )  # fmt: skip
    assert read.counts["row/ok"] == 2 and read.counts["row/skipped/Unreadable"] == 1


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")  # torch's, before it refuses
def test_an_exemplar_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    file = tmp_path / "faces.pth.tar"
    file.write_bytes(pickle.dumps({"nm1": Payload()}))
    torch.save({"nm1": Payload()}, tmp_path / "zip.pth.tar")
    for name in ("faces.pth.tar", "zip.pth.tar"):
        with pytest.raises(InputInvalid, match="is no file of arrays"):
            read_exemplars((tmp_path / name).read_bytes(), name)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_bank_is_named(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    (tmp_path / "tvad.h5").write_bytes(b"not a bank")
    with pytest.raises(InputInvalid, match=r"tvad\.h5 is no HDF5 file"):
        build(tmp_path, [source])


def test_a_cast_without_exemplars_is_counted_and_told_of_without_a_face(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    del source["exemplars"]
    spec = {"recipe": "audio-description", "audioDescription": {"sources": [source]}}
    read = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "in"))
    assert read.counts["character/skipped/NoExemplar"] == 1 and "character/ok" not in read.counts
    made = build(tmp_path, [source])
    assert made.counts["sample/characters"] == 1
    assert samples(tmp_path)["tvad-000000"].characters[0].exemplar is None


def test_who_is_named_cannot_be_learned_from_a_cast_without_exemplars(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips()) | {"characters": "learned"}
    del source["exemplars"]
    spec = {"recipe": "audio-description", "audioDescription": {"sources": [source]}}
    read = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "in"))
    inputs = {"ingest": (read.uri or "").removeprefix(f"file://{tmp_path}/")}
    collect.run(stage_context(tmp_path, "DatasetBuild", "collect", spec, "collect", inputs))
    inputs["collect"] = "collect"
    with pytest.raises(InputInvalid, match="no clip has one; give exemplars or photos, or set characters"):
        refine.run(stage_context(tmp_path, "DatasetBuild", "refine", spec, "refine", inputs))


def test_exemplars_of_another_width_are_refused_by_sample_and_person(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    faces = {f"{person}.jpg": torch.ones(1, 4, 16) for person in ("nm0001455", "nm0001710")}
    torch.save(faces, tmp_path / "chars_all.pth.tar")
    said = r"sample tvad-000000: the exemplar tvad/nm\d+\.jpg has features \[4, 16\], but a frame's are \[4, 8\]; use"
    with pytest.raises(InputInvalid, match=said):
        build(tmp_path, [source])


def test_an_outcome_that_is_none_is_refused_by_file_and_field(tmp_path: Path) -> None:
    source = write_clips(tmp_path, clips())
    build(tmp_path, [source])
    (kept, *_) = sorted((tmp_path / "collect/items").rglob("*.json"))
    kept.write_text(kept.read_text().replace('"clips":', '"clips":"many","was":'))
    with pytest.raises(InputInvalid, match=r"is no outcome of this stage: clips: .*delete it to redo the item"):
        build(tmp_path, [source])
