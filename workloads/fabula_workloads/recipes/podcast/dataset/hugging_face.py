"""The layout that `datasets.load_dataset(folder)` opens: train and validation, each sample with its pictures decoded.

The library's image folders want the pictures' paths under `file_names`, in a metadata file above them. The card's front
matter says which files are which split, so that nothing else in the folder is taken for data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_PICTURES = '"samples/*/*.png"'


def metadata_file(split: str) -> str:
    """Name of a split's metadata file."""
    return f"metadata_{split}.jsonl"


def metadata_row(record: dict[str, Any]) -> dict[str, Any]:
    """A sample's line in it; `load_dataset` makes a column `images` of its `file_names`."""
    return {key: value for key, value in record.items() if key not in ("images", "split")} | {
        "file_names": record["images"]
    }


def front_matter(splits: Sequence[str], pictured: bool) -> list[str]:
    """The card's YAML for the splits that have samples. Without pictures the records themselves are the data."""
    if not pictured:
        files = [f"  - {{split: {split}, path: {split}.jsonl}}" for split in splits]
        return ["---", "configs:", "- config_name: default", "  data_files:", *files, "---"]
    files = [f"  - {{split: {split}, path: [{metadata_file(split)}, {_PICTURES}]}}" for split in splits]
    return [
        "---",
        "configs:",
        "- config_name: default",
        "  drop_labels: true",
        f"  metadata_filenames: [{', '.join(map(metadata_file, splits))}]",
        "  data_files:",
        *files,
        "---",
    ]
