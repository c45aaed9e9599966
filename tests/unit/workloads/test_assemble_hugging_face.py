"""The assembled folder as the `datasets` library sees it: two splits, pictures decoded, nothing else taken for data."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.support.patience import SECONDS
from tests.unit.workloads.test_assemble_dataset import build_inputs, colour_of, records, run

pytestmark = pytest.mark.skipif(find_spec("datasets") is None, reason="needs the datasets library")
# In a process of its own: the library reads its environment when it is imported, and keeps a cache of all it opens.
_LOOK = """
import json, sys
from datasets import load_dataset
opened = load_dataset(sys.argv[1])
def shown(row):
    images = row.pop("images", None)
    if images and not isinstance(images[0], str):
        images = [[*picture.size, list(picture.convert("RGB").getpixel((5, 5)))] for picture in images]
    return row | {"images": images}
streamed = load_dataset(sys.argv[1], streaming=True)
json.dump({
    "features": {split: str(rows.features["images"]) for split, rows in opened.items()},
    "rows": {split: [shown(row) for row in rows] for split, rows in opened.items()},
    "streamed": {split: [shown(row) for row in rows] for split, rows in streamed.items()},
}, open(sys.argv[2], "w"))
"""


def opened(folder: Path, tmp_path: Path) -> dict[str, Any]:
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    found = tmp_path / "found.json"
    looking = [sys.executable, "-c", _LOOK, str(folder), str(found)]
    ended = subprocess.run(looking, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr[-2000:]
    answer: dict[str, Any] = json.loads(found.read_text())
    return answer


def test_load_dataset_gives_both_splits_with_decoded_pictures(tmp_path: Path) -> None:
    build_inputs(tmp_path)
    _, store = run(tmp_path)
    seen = opened(tmp_path / "dataset", tmp_path)
    numbers = {hashlib.md5(str(number).encode()).hexdigest()[:16]: number for number in range(8)}
    assert seen["features"] == dict.fromkeys(("train", "validation"), "List(Image(mode=None, decode=True))")
    assert seen["streamed"] == seen["rows"] and set(seen["rows"]) == {"train", "validation"}
    for split, rows in seen["rows"].items():
        expected = records(store, split)
        assert len(rows) == len(expected) > 0
        for row, record in zip(rows, expected, strict=True):
            assert {key: row[key] for key in row if key != "images"} == {
                key: value for key, value in record.items() if key not in ("images", "split")
            }
            colours = [list(colour_of(numbers[record["episode"]], scene)) for scene in (1, 2)]
            assert row["images"] == [[64, 36, colour] for colour in colours]


def test_without_pictures_the_records_are_the_data(tmp_path: Path) -> None:
    build_inputs(tmp_path, pictures=False)
    _, store = run(tmp_path, illustrate=False, images={"provider": "none"})
    seen = opened(tmp_path / "dataset", tmp_path)
    for split, rows in seen["rows"].items():
        assert [row["response"] for row in rows] == [record["response"] for record in records(store, split)]
        assert all(row["images"] == [] for row in rows)
