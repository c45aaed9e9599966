"""Reading of samples: what is refused, and by what name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.training.samples.dataset import read_samples

GOOD = {"id": "a", "images": ["samples/a/image_1.png"], "prompt": "Speak.", "response": "Speaker 1: Yes."}


def write(folder: Path, *records: dict[str, Any] | str) -> None:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")


def test_samples_in_file_order_without_blank_lines(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "", GOOD | {"id": "b", "words": 2})
    assert [sample.id for sample in read_samples(tmp_path, "train")] == ["a", "b"]
    assert read_samples(tmp_path, "validation") == []


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{not json", "line 2 is not JSON"),
        ("[1, 2]", "without id"),
        (GOOD | {"id": "b", "images": []}, "sample b"),
        (GOOD | {"id": "b", "images": ["x.png"] * 7}, "sample b"),
        (GOOD | {"id": "b", "response": ""}, "response"),
        (GOOD | {"id": "b", "images": ["../secret.png"]}, "outside the artifact"),
        (GOOD | {"id": "b", "images": ["/etc/passwd"]}, "outside the artifact"),
        (GOOD, "sample a is there twice"),
    ],
)
def test_a_bad_line_is_named_and_stops_the_run(tmp_path: Path, record: dict[str, Any] | str, words: str) -> None:
    write(tmp_path, GOOD, record)
    with pytest.raises(InputInvalid) as raised:
        read_samples(tmp_path, "train")
    assert "train.jsonl line 2" in raised.value.message
    assert words in raised.value.message


def test_an_error_does_not_quote_the_transcript(tmp_path: Path) -> None:
    write(tmp_path, GOOD, GOOD | {"id": "b", "prompt": 5, "response": "Speaker 1: A private word."})
    with pytest.raises(InputInvalid) as raised:
        read_samples(tmp_path, "train")
    assert "private" not in raised.value.message


def test_bad_lines_can_be_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "{not json", GOOD, GOOD | {"id": "b", "images": ["../x.png"]}, GOOD | {"id": "c"})
    left_out: list[str] = []
    assert [sample.id for sample in read_samples(tmp_path, "train", left_out)] == ["a", "c"]
    assert [message.split(" is ")[0].split(" (")[0] for message in left_out] == [
        "train.jsonl line 2", "train.jsonl line 3: sample a", "train.jsonl line 4",
    ]  # fmt: skip
