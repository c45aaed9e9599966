"""Each kind of line is named by file, line and sample; what a build makes of a transcript, a run takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.recipe_parts import Sample
from fabula_workloads.recipes.podcast import assemble
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.text.plain_text import without_control_tokens
from fabula_workloads.training.samples.dataset import read_samples
from fabula_workloads.training.samples.usable import TOO_LONG, UNREADABLE, Usable
from tests.inputs.datasets import BAD_LINES, CONTROL_TOKENS, GOOD, BadLine, line
from tests.support.stage_context import stage_context
from tests.support.training_dataset import samples, write_dataset
from tests.support.worker_process import Ended, run_worker_process, worker_config


@pytest.mark.parametrize("row", BAD_LINES, ids=lambda row: row.kind)
def test_a_line_is_named(row: BadLine, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(json.dumps(GOOD).encode() + b"\n" + row.data + b"\n" + line(id="c") + b"\n")
    with pytest.raises(InputInvalid, match=rf"^train\.jsonl line 2 .*{row.words}") as refused:
        read_samples(tmp_path, "train")
    assert len(refused.value.message) < 400
    left_out: list[str] = []
    read = [sample.id for sample in read_samples(tmp_path, "train", left_out)]
    assert (read[0], read[-1]) == ("a", "c")
    assert left_out[0] == refused.value.message


def test_a_byte_order_mark_is_none_of_the_first_sample(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n" + line() + b"\r\n")
    assert [sample.id for sample in read_samples(tmp_path, "train")] == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "skip", "words"),
    [
        (b'{"id": "x", "response": "\xe9"}', False, "train.jsonl line 1 is not UTF-8"),
        (line(response="\u200b"), False, "(sample b): response: it is blank"),
        (
            line(response="\u200b"),
            True,
            "none of the 2 lines of train.jsonl is a sample; first: train.jsonl line 1 (sample b)",
        ),
    ],
)
def test_a_run_ends_with_file_line_and_sample(tmp_path: Path, bad: bytes, skip: bool, words: str) -> None:
    store = open_store(f"file://{tmp_path}/root/data")
    part = add_part(store, "train.jsonl", (bad + b"\n") * 2 if skip else bad + b"\n")
    commit(store, kind="dataset", parts=[part], details={"recipe": "podcast", "promptVersion": "podcast-v3"})
    ended = train(tmp_path, skip)
    assert (ended.code, ended.result["failure"]["reason"]) == (65, "InputInvalid"), ended.output
    assert words in ended.result["failure"]["message"]
    assert "Traceback" not in ended.output


def test_a_part_that_was_changed_afterwards_is_not_trained(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "data"
    write_dataset(folder, samples(1))
    (folder / "train.jsonl").write_bytes(line())
    ended = train(tmp_path, skip=True)
    assert (ended.code, ended.result["failure"]["reason"]) == (65, "ArtifactAltered"), ended.output
    assert "data/train.jsonl" in ended.result["failure"]["message"] and "Traceback" not in ended.output


def train(tmp_path: Path, skip: bool) -> Ended:
    run = {"kind": "FineTuneRun", "namespace": "default", "name": "trial", "uid": "1"}
    spec = {
        "dataset": {"uri": "data"},
        "model": {"uri": "none"},
        "topology": {"gpusPerNode": 1, "device": "cpu"},
        "training": {"badSamples": "skip" if skip else "stop"},
    }
    given = [{"name": "dataset", "uri": "data", "digest": "unknown"}]
    return run_worker_process(tmp_path, worker_config(tmp_path / "root", "train", spec, run=run, inputs=given))


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ({TOO_LONG: 3}, "can be used: 3 have more than 64 tokens: raise training.maxLength"),
        ({UNREADABLE: 2}, "can be used: 2 cannot be read, the first since sample s1: a.png is a damaged picture"),
        ({TOO_LONG: 1, UNREADABLE: 2}, "1 have more than 64 tokens: raise training.maxLength; 2 cannot be read"),
        ({}, "it is empty"),
    ],
)
def test_the_advice_is_that_of_the_cause(left_out: dict[str, int], words: str) -> None:
    told = Usable([], [], left_out, "sample s1: a.png is a damaged picture" if UNREADABLE in left_out else None)
    assert words in told.nothing_left(64)
    assert ("maxLength" in told.nothing_left(64)) == (TOO_LONG in left_out)


def test_a_story_may_hold_any_mark(tmp_path: Path) -> None:
    from fabula_workloads.recipes.podcast.sequences.find import PictureSequence
    from fabula_workloads.samples.sample_set import read_sample_set

    store = open_store(f"file://{tmp_path}")
    story = "one\u2028two\u0085three"
    text = json.dumps({"id": "a", "images": ["a.jpg"], "story": story}, ensure_ascii=False) + "\n"
    commit(store, kind="sample-set", parts=[add_part(store, "samples.jsonl", text.encode())])
    assert [sample.story for sample in read_sample_set(store, PictureSequence)] == [story]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    """(counts, folder) of a dataset whose episodes talk of control tokens, but for the last two."""
    root = tmp_path_factory.mktemp("build")
    ingested, extracted = open_store(f"file://{root}/ingest"), Ledger(open_store(f"file://{root}/extract"))
    commit(ingested, kind="episodes", parts=[add_part(ingested, "episodes.jsonl", b"")], counts={"episode/ok": 9})
    for number, token in enumerate([*CONTROL_TOKENS, "a < b and c > d", "[laughter] <sighs> 5 <3"]):
        words = " ".join(f"word{number}x{index}" for index in range(30))
        text = f"Speaker 1: We say {token} and {words}.\n\nSpeaker 2: {token}?"
        excerpt = {"index": 0, "text": text, "words": len(text.split()), "scenes": []}
        extracted.put(f"{number:016x}", {"outcome": "ok", "podcast": f"show{number}", "excerpts": [excerpt]})
    spec: dict[str, Any] = {
        "source": {"uri": "in.jsonl", "licenseAccepted": True},
        "images": {"provider": "none"},
        "split": {"validation": 0},
    }
    inputs = {"ingest": "ingest", "extract": "extract"}
    result = assemble.run(stage_context(root, "DatasetBuild", "assemble", spec, "dataset", inputs))
    return result.counts, root / "dataset"


def test_control_tokens_of_a_transcript_are_taken_off_and_counted(built: tuple[dict[str, float], Path]) -> None:
    counts, folder = built
    assert counts == {
        "sample/ok": len(CONTROL_TOKENS) + 2, "sample/cleaned/ControlToken": len(CONTROL_TOKENS),
        "pictures/0": len(CONTROL_TOKENS) + 2,
    }  # fmt: skip
    for entry in json.loads((folder / "reference.json").read_text()):
        assert sum(turn["value"].lower().count("<image>") for turn in entry["conversations"]) == len(entry["image"])
    text = (folder / "train.jsonl").read_text()
    assert "a < b and c > d" in text and "[laughter] <sighs> 5 <3" in text and "We say im_start and" in text


@pytest.mark.torch
def test_what_a_build_makes_a_run_takes(built: tuple[dict[str, float], Path], model_folder: Path) -> None:
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.encode import Encoder

    encoder = Encoder(load_processor(model_folder, PixelWindow(min_pixels=1024, max_pixels=8192)), built[1])
    for text in (built[1] / "train.jsonl").read_text().splitlines():
        record = json.loads(text)
        encoder.render(Sample(id=record["id"], images=["a.png"], prompt=record["prompt"], response=record["response"]))


def test_taking_off_is_done_once() -> None:
    for token in CONTROL_TOKENS:
        plain = without_control_tokens(f"x {token} y")
        assert plain == without_control_tokens(plain)
        assert "<|" not in plain and "<image>" not in plain.lower() and len(plain.split()) == 3
