"""Which cluster a state folder runs: what was asked for, else what it ran last."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabula_cli.choice import Choice, ChoiceError, choose, last_choice, real_clusters
from fabula_cli.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("etcd", "kube-apiserver"):
        (folder / name).touch(0o755)
    return folder


def test_a_new_home_runs_the_laptop_s_api(home: Home) -> None:
    assert choose(home, None, None, {}) == Choice()


def test_assets_are_remembered_without_the_variable(home: Home, assets: Path) -> None:
    chosen = choose(home, "assets", None, {"KUBEBUILDER_ASSETS": str(assets)})
    assert chosen == Choice("assets", assets)
    home.write_state({"choice": chosen.to_wire()})
    assert last_choice(home) == chosen
    assert choose(home, None, None, {}) == chosen


def test_an_outside_cluster_is_remembered_until_another_is_asked_for(home: Home, tmp_path: Path) -> None:
    chosen = choose(home, None, tmp_path / "config", {})
    home.write_state({"choice": chosen.to_wire()})
    assert choose(home, None, None, {}) == Choice(outside=tmp_path / "config")
    assert choose(home, "laptop", None, {}) == Choice()


@pytest.mark.parametrize(
    ("control_plane", "outside", "environment", "words"),
    [
        ("assets", None, {}, "KUBEBUILDER_ASSETS is not set"),
        ("assets", None, {"KUBEBUILDER_ASSETS": "/nowhere"}, "there is no program etcd in it"),
        ("k3s", None, {}, "it is `laptop` or `assets`"),
        ("assets", Path("config"), {}, "leave --control-plane out"),
    ],
)
def test_what_cannot_be_run_is_told(
    home: Home, control_plane: str, outside: Path | None, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(ChoiceError, match=words):
        choose(home, control_plane, outside, environment)


def test_the_supervisor_takes_what_was_chosen() -> None:
    assert Choice("assets", Path("/bin")).arguments() == ["--control-plane", "assets", "--assets", "/bin"]
    assert Choice(outside=Path("/c")).arguments() == ["--control-plane", "laptop", "--kubeconfig", "/c"]


@pytest.mark.parametrize(
    ("environment", "programs", "docker", "words"),
    [
        ({"KUBECONFIG": "/c"}, [], False, "fabula up --kubeconfig /c"),
        ({"KUBECONFIG": "/h/kubeconfig", "FABULA_HOME": "/h"}, [], False, "With Docker: `kind create cluster"),
        ({}, ["kind"], True, "Docker and kind are here: `kind create cluster"),
        ({}, ["k3d"], True, "Docker and k3d are here: `k3d cluster create"),
        ({}, ["kind"], False, "With Docker: `kind create cluster"),
    ],
    ids=["a kubeconfig", "our own kubeconfig", "kind", "k3d", "no Docker"],
)
def test_the_help_says_how_to_run_on_a_real_cluster(
    environment: dict[str, str], programs: list[str], docker: bool, words: str
) -> None:
    assert words in real_clusters(environment, lambda name: name if name in programs else None, lambda: docker)
