"""Visual instruction through kubectl: stages that begin with each other, one of them killed and equal to the bit in the
end; the demonstration's gates; and the family that hears, trained and evaluated on videos with sound."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.drawn_video import draw_video
from tests.support.internvl_model import build_internvl
from tests.support.patience import until
from tests.support.room import Room, example, opened
from tests.support.training_kills import MANIFEST
from tests.support.training_processes import send, training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(2 * 3600),
    pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="eight trainings: FABULA_SOAK=1 runs them"),
]
RECIPE, STEPS, EVERY = "visual-instruction", 12, 4


def stage(name: str, block: dict[str, Any], namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """A stage of the tiny watcher, in few steps."""
    _, run = example(RECIPE, "finetune")
    run["metadata"] = {"name": name, "namespace": namespace}
    run["spec"] |= {"visualInstruction": block, "checkpoints": {"everySteps": EVERY, "keep": 2},
                    "template": {"env": {"OMP_NUM_THREADS": "1"}}}  # fmt: skip
    run["spec"]["training"] |= {"maxSteps": STEPS, "learningRate": 0.002}
    run["spec"] |= spec
    return dict(run)


def begun(status: dict[str, Any]) -> str:
    """Digest of what a stage began with."""
    (digest,) = [one["digest"] for one in status["lineage"] if one["name"] == "begin"]
    return str(digest)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[Room]:
    with opened(tmp_path_factory.mktemp("watching"), training_libraries, RECIPE) as found:
        found.apply(*example(RECIPE, "dataset"))
        found.finished("dsb", RECIPE)
        yield found


def test_four_stages_begin_with_each_other_and_a_killed_one_ends_equal_to_the_bit(room: Room) -> None:
    room.apply(
        stage("align", {"stage": "align"}),
        stage("tuned", {"stage": "finetune", "begin": {"ref": "align"}}),
        stage("streamed", {"stage": "streaming", "begin": {"ref": "tuned"}, "earlierUpdate": "merged"}),
        stage("peace", {"stage": "instruct", "begin": {"ref": "streamed"}, "earlierUpdate": "stacked"}),
    )
    made = {name: room.finished("ftr", name) for name in ("align", "tuned", "streamed", "peace")}
    for later, earlier in (("tuned", "align"), ("streamed", "tuned"), ("peace", "streamed")):
        assert begun(made[later]) == made[earlier]["adapter"]["digest"], (later, earlier)
    parts = room.parts(made["peace"])
    assert json.loads(parts["watcher.json"])["stages"] == ["align", "finetune", "streaming", "instruct"]
    before = [room.parts(made[name])["adapter_model.safetensors"] for name in ("tuned", "streamed")]
    assert [parts[f"earlier/{number:02d}/adapter_model.safetensors"] for number in range(2)] == before

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "storm"}}
    given = {key: made["streamed"]["adapter"][key] for key in ("uri", "digest")}
    storm = stage("storm", {"stage": "instruct", "begin": given, "earlierUpdate": "stacked"}, "storm")
    # Another namespace has other folders; its inputs are named by place and digest.
    (dataset,) = [one for one in made["peace"]["lineage"] if one["name"] == "dataset"]
    storm["spec"]["dataset"] = {key: dataset[key] for key in ("uri", "digest")}
    room.apply(namespace, storm, namespace="storm")

    def ranks() -> list[Any]:
        return [one for one in training(room.root, "storm") if one.role == "rank"]

    def committed() -> bool:
        return any(room.root.glob(f"storm/finetunerun/train/*/checkpoints/step-*/{MANIFEST}"))

    until(lambda: committed() and ranks(), "a checkpoint and ranks at work")
    send(ranks()[:1], signal.SIGKILL)
    status = room.finished("ftr", "storm", "storm")
    assert len(status["attempts"]) == 2 and status["attempts"][1]["resumedFromStep"] >= EVERY
    assert room.parts(status) == parts


def test_the_demonstration_s_gates_pass(room: Room) -> None:
    room.apply(*example(RECIPE, "finetune"), *example(RECIPE, "eval"))
    status = room.finished("evr", RECIPE)
    (passed,) = [one for one in status["conditions"] if one["type"] == "GatesPassed"]
    assert passed["status"] == "True", passed["message"]
    for arm in status["arms"]:
        figures = {one["name"]: one for one in arm["metrics"]}
        assert figures["visual-instruction/real-time"]["mean"] > 0, arm["name"]


def test_the_family_that_hears_is_trained_on_sound_and_evaluated(room: Room) -> None:
    """InternVL with a Qwen2.5 and an encoder of sound, from videos to a report."""
    build_internvl(room.root / "hearing/model", hears=True)
    lines = ["video,start,end,reply,task"]
    for number in range(8):
        shown = [(0.0, (120, 120, 120)), (2.0, (40, 200, 60)), (5.0, (120, 120, 120))]
        draw_video(room.root / f"hearing/videos/{number}.mp4", shown, seconds=8, tone=300 + 40 * number)
        lines.append(f'{number}.mp4,2,5,"Hello, it is good to see you.",wake-up')
    (room.root / "hearing/spans.csv").write_text("\n".join(lines) + "\n")
    source = {"name": "heard", "format": "spans", "annotations": "hearing/spans.csv", "videos": "hearing/videos"}
    block = {"sources": [source], "frames": {"fps": 1, "side": 56}, "sound": True, "split": {"validation": 0.4}}
    heard = {"apiVersion": "fabula.dev/v1alpha1", "metadata": {"name": "heard"}}
    model = {"uri": "hearing/model"}
    trained = stage("heard", {"stage": "streaming", "fusion": "linear"}, dataset={"ref": "heard"}, model=model)
    trained["spec"]["training"]["perDeviceBatchSize"] = 2  # of the few clips that go to its training split
    room.apply(
        {**heard, "kind": "DatasetBuild", "spec": {"recipe": RECIPE, "visualInstruction": block}},
        trained,
        {**heard, "kind": "EvalRun", "spec": {
            "recipe": RECIPE, "samples": {"ref": "heard", "count": 4}, "generation": {"maxNewTokens": 8},
            "pixels": trained["spec"]["pixels"],
            # What is asked is whether it runs, and not what so few steps have taught.
            "visualInstruction": {"threshold": {"over": "mean", "above": 0.01}},
            "arms": [{"name": "watcher", "model": model, "adapter": {"ref": "heard"}, "gpusPerShard": 0}],
        }},
    )  # fmt: skip
    status = room.finished("evr", "heard")
    (arm,) = status["arms"]
    figures = {one["name"]: one for one in arm["metrics"]}
    assert arm["done"] == arm["total"] > 0 and figures["visual-instruction/decision"]["count"] == arm["done"]
    trained = Path(unquote(urlsplit(room.product.get("ftr", "heard")["status"]["adapter"]["uri"]).path))
    told = json.loads((trained / "watcher.json").read_text())
    assert (told["family"], told["hears"]) == ("internvl", True)
