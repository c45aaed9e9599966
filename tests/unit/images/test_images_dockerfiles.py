"""What can be said of the images without building them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = {file.parent.name: file.read_text() for file in sorted((ROOT / "images").glob("*/Dockerfile"))}


def test_all_images_have_one_base_pinned_by_its_digest() -> None:
    bases = {line for text in FILES.values() for line in re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)}
    assert len(bases) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", *bases)
    for text in FILES.values():
        assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]


@pytest.mark.parametrize("name", FILES)
def test_an_image_runs_without_rights_and_installs_what_its_lock_has(name: str) -> None:
    text = FILES[name]
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    assert "\nHEALTHCHECK " in text
    assert f"install packages {name} " in text or f"\nARG PACKAGES={name}\n" in text
    assert (ROOT / "requirements" / f"{name}.txt").exists()
    # What is installed comes by the one script, so that hashes are asked for everywhere.
    assert "pip" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["operator", "cpu"])
def test_the_last_stage_of_an_image_without_a_compiler_runs_nothing(name: str) -> None:
    assert "\nRUN " not in FILES[name].rpartition("\nFROM ")[2]
