"""Audio description through kubectl: words first, then a narrator that is killed and ends equal to the bit, its gates,
and a dataset of films of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.e2e.conftest import ROOT
from tests.support.own_films import write_films
from tests.support.patience import until
from tests.support.room import Room, opened
from tests.support.training_kills import MANIFEST
from tests.support.training_processes import send, training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(2 * 3600),
    pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="five trainings and builds: FABULA_SOAK=1 runs them"),
]
TINY = ROOT / "examples/audio-description/tiny"
STEPS, EVERY = 18, 6


def example(kind: str) -> dict[str, Any]:
    return dict(yaml.safe_load((TINY / f"{kind}.yaml").read_text()))


def tuned(name: str, block: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The tiny narrator, in fewer steps and with other fields of its own."""
    run = example("finetune")
    run["metadata"] = {"name": name, "namespace": namespace}
    run["spec"]["audioDescription"] |= block
    run["spec"]["training"]["maxSteps"] = STEPS
    run["spec"] |= {"checkpoints": {"everySteps": EVERY, "keep": 2}, "template": {"env": {"OMP_NUM_THREADS": "1"}}}
    return run


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[Room]:
    from fabula_quickstart.tiny import clip

    with opened(tmp_path_factory.mktemp("narration"), training_libraries, "audio-description") as room:
        clip.build(room.root / "own/clip", ["Ada looks up."])
        write_films(room.root / "own")
        room.apply(example("dataset"))
        room.finished("dsb", "audio-description")
        yield room


def test_words_then_clips_and_a_killed_narrator_ends_equal_to_the_bit(room: Room) -> None:
    words = {"objective": "text", "languageModel": "lora-and-norms"}
    room.apply(tuned("words", words, "default"))
    learned = room.finished("ftr", "words")
    narrator = {"pretrained": {"ref": "words"}, "languageModel": "lora"}
    room.apply(tuned("peace", narrator, "default"))
    peace = room.finished("ftr", "peace")
    (given,) = [one for one in peace["lineage"] if one["name"] == "pretrained"]
    assert given["digest"] == learned["adapter"]["digest"], "the chain of digests shows where words were learned"

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "storm"}}
    storm = tuned("storm", narrator, "storm")
    # Another namespace has other folders; its inputs are named by place and digest.
    storm["spec"]["dataset"] = {key: peace["lineage"][0][key] for key in ("uri", "digest")}
    storm["spec"]["audioDescription"]["pretrained"] = {
        "uri": learned["adapter"]["uri"], "digest": learned["adapter"]["digest"],
    }  # fmt: skip
    room.apply(namespace, storm, namespace="storm")

    def ranks() -> list[Any]:
        return [one for one in training(room.root, "storm") if one.role == "rank"]

    def committed() -> bool:
        return any(room.root.glob(f"storm/finetunerun/train/*/checkpoints/step-*/{MANIFEST}"))

    until(lambda: committed() and ranks(), "a checkpoint and ranks at work")
    send(ranks()[:1], 9)
    status = room.finished("ftr", "storm", "storm")
    assert len(status["attempts"]) == 2 and status["attempts"][1]["resumedFromStep"] >= EVERY
    assert room.parts(status) == room.parts(peace)


def test_the_demonstration_s_gates_pass(room: Room) -> None:
    """Training raises CIDEr and names over the base arm: the paired interval is above 0."""
    room.apply(example("finetune"), example("eval"))
    status = room.finished("evr", "audio-description")
    (passed,) = [one for one in status["conditions"] if one["type"] == "GatesPassed"]
    assert passed["status"] == "True", passed["message"]


def test_films_of_one_s_own_become_a_dataset(room: Room) -> None:
    source = {"name": "own", "format": "video", "annotations": "own/ads.csv", "films": "own/films"}
    source |= {"photos": "own/photos", "cast": "own/cast.json"}
    block = {
        "sources": [source], "films": {"fps": 2, "side": 32, "workers": 2}, "split": {"validation": 0.3},
        "encoder": {"model": {"uri": "own/clip"}, "device": "cpu", "workers": 2},
    }  # fmt: skip
    build = {
        "apiVersion": "fabula.dev/v1alpha1", "kind": "DatasetBuild", "metadata": {"name": "own-films"},
        "spec": {"recipe": "audio-description", "audioDescription": block},
    }  # fmt: skip
    room.apply(build)
    status = room.finished("dsb", "own-films")
    assert [(stage["name"], stage["state"]) for stage in status["stages"]] == [
        (name, "Succeeded") for name in ("resolve", "ingest", "frames", "embed", "collect", "refine", "assemble")
    ]
    assert status["samples"] == 18
    card = Path(unquote(urlsplit(status["artifact"]["uri"]).path)) / "README.md"
    assert "Learned: who of the candidates is named" in card.read_text()
