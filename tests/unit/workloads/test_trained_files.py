"""What a recipe trained beside a base model is read back, and a file that is none is told by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fabula_workloads.recipes.audio_description.narrator import files as narrator
from fabula_workloads.recipes.visual_instruction.watcher import files as watcher
from fabula_workloads.runtime.failures import InputInvalid

READERS: dict[str, Callable[[Path, str], Any]] = {
    narrator.CONFIG: narrator.read_config,
    watcher.CONFIG: watcher.read_config,
}
WHOLE: dict[str, dict[str, Any]] = {
    narrator.CONFIG: {"tune": {}, "feature_shape": [4], "vocabulary": 9},
    watcher.CONFIG: {
        "tune": {"stage": "instruct"},
        "family": "qwen3_vl",
        "vocabulary": 9,
        "side": 28,
        "hears": False,
        "decides": True,
        "stages": ["instruct"],
    },
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON: "),
        ('{"tune": {', "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        (b"\xff\xfe\xff", "is not JSON: "),
        ("null", "Input should be a valid"),
        ("[]", "Input should be a valid"),
    ],
)
def test_what_is_no_record_is_said_to_be_none(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputInvalid, match=rf"the adapter: {name}:? .*{words}"):
        READERS[name](tmp_path, "the adapter")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("tune", [None, [], "all"])
def test_what_tells_not_how_it_was_tuned_is_refused_and_not_taken_for_the_usual(
    tmp_path: Path, name: str, tune: Any
) -> None:
    content = {**WHOLE[name], "tune": tune}
    if tune is None:
        del content["tune"]
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputInvalid, match=rf"the adapter: {name}: tune: "):
        READERS[name](tmp_path, "the adapter")


@pytest.mark.parametrize("name", READERS)
def test_a_whole_one_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(WHOLE[name]))
    assert READERS[name](tmp_path, "the adapter").vocabulary == 9
