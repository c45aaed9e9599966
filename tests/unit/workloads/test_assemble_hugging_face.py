"""The assembled folder as the `datasets` library sees it: two splits, pictures decoded, nothing else taken for data."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest
from tests.support.patience import SECONDS
from tests.unit.workloads.test_assemble_dataset import build_inputs, colour_of, records, run

from fabula_workloads.runtime.store import Store

pytestmark = pytest.mark.skipif(find_spec("datasets") is None, reason="needs the datasets library")
# In a process of its own: the library reads its environment when it is imported, and keeps a cache of all it opens.
_LOOK = """
import json, sys
from datasets import load_dataset
def shown(row):
    images = row.pop("images", None)
    if images and not isinstance(images[0], str):
        images = [[*picture.size, list(picture.convert("RGB").getpixel((5, 5)))] for picture in images]
    return row | {"images": images}
def look(folder):
    opened, streamed = load_dataset(folder), load_dataset(folder, streaming=True)
    return {
        "features": {split: str(rows.features["images"]) for split, rows in opened.items()},
        "rows": {split: [shown(row) for row in rows] for split, rows in opened.items()},
        "streamed": {split: [shown(row) for row in rows] for split, rows in streamed.items()},
    }
json.dump([look(folder) for folder in sys.argv[2:]], open(sys.argv[1], "w"))
"""


@dataclass(frozen=True)
class Opened:
    """A dataset's store, and what the library sees in it."""

    store: Store
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    """With pictures and without, opened by one process."""
    root = tmp_path_factory.mktemp("opened")
    build_inputs(root / "pictures")
    build_inputs(root / "text", pictures=False)
    stores = {"pictures": run(root / "pictures")[1]}
    stores["text"] = run(root / "text", illustrate=False, images={"provider": "none"})[1]
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root / "cache"), "PATH": "/usr/bin:/bin"}
    found = root / "found.json"
    looking = [sys.executable, "-c", _LOOK, str(found), *(str(root / name / "dataset") for name in stores)]
    ended = subprocess.run(looking, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr[-2000:]
    seen = json.loads(found.read_text())
    return {name: Opened(store, shown) for (name, store), shown in zip(stores.items(), seen, strict=True)}


def test_load_dataset_gives_both_splits_with_decoded_pictures(datasets: dict[str, Opened]) -> None:
    store, seen = datasets["pictures"].store, datasets["pictures"].seen
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


def test_without_pictures_the_records_are_the_data(datasets: dict[str, Opened]) -> None:
    store, seen = datasets["text"].store, datasets["text"].seen
    for split, rows in seen["rows"].items():
        assert [row["response"] for row in rows] == [record["response"] for record in records(store, split)]
        assert all(row["images"] == [] for row in rows)
