"""The locks in requirements/ hold what pyproject.toml pins, each with its hashes, and name no registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
EXTRAS = {
    "operator": ("operator",),
    "cpu": ("worker", "parquet", "film", "train"),
    "gpu": ("worker", "parquet", "film", "train", "kernels"),
    "build": ("build",),
    "demo": ("operator", "worker", "parquet", "film", "train", "local", "cli", "build"),
    "test": ("operator", "worker", "parquet", "film", "train", "local", "cli", "test", "build"),
    "lint": ("operator", "worker", "parquet", "film", "train", "local", "cli", "test", "lint", "build"),
    "supply": ("supply",),
}
BESIDE = {"torch", "torchvision", "triton"}
"""Their builds for CPUs and for CUDA have other hashes."""


def plain_name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", requirement.partition("[")[0]).lower()


def locked(role: str) -> dict[str, set[str]]:
    """Versions by package; each entry has a hash."""
    found: dict[str, set[str]] = {}
    text = (ROOT / "requirements" / f"{role}.txt").read_text().replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition("==")
        assert "--hash=sha256:" in rest, line
        found.setdefault(plain_name(name), set()).add(rest.split()[0])
    return found


@pytest.mark.parametrize("role", EXTRAS)
def test_a_lock_holds_what_is_pinned(role: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [
        *project["dependencies"],
        *(one for extra in EXTRAS[role] for one in project["optional-dependencies"][extra]),
    ]
    held = locked(role)
    for pin in pins:
        asked = Requirement(pin)
        if plain_name(asked.name) not in BESIDE:
            versions = held[plain_name(asked.name)]
            assert all(version in asked.specifier for version in versions), f"{pin}: run `make lock`"
    assert not BESIDE & held.keys()


@pytest.mark.parametrize("role", EXTRAS)
def test_a_lock_names_no_registry(role: str) -> None:
    assert not re.search(r"://|index-url|find-links", (ROOT / "requirements" / f"{role}.txt").read_text())


def test_the_makefile_pins_what_is_beside_the_locks() -> None:
    train = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    for pin in train[:2]:
        assert f" {pin}\n" in (ROOT / "Makefile").read_text()
