"""Two ranks under ZeRO, through the worker command: a whole run, and what happens when something ends it early.

Under ZeRO-2, and where the stage matters under ZeRO-3, which takes four times the processor.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.inputs.pictures import sized
from tests.support.patience import SECONDS, until
from tests.support.training_dataset import build_model, commit_as_it_is, samples, write_dataset
from tests.support.training_world import EVERY, STEPS, World, stopped, wait_for

from fabula_api.artifact import MANIFEST, Manifest
from fabula_api.summary import TrainSummary
from fabula_api.worker import WorkerResult

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.invariant]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("training")
    build_model(folder / "root" / "model")
    write_dataset(folder / "root" / "dataset", samples(11, images=(1, 3, 2)), samples(2, seed=1))
    # Six steps are an epoch: both checkpoints lie within one.
    usual = {"deepspeed": {"stage": 2}, "training": {"gradientAccumulationSteps": 1}}
    world = World(folder, training_libraries, usual)
    yield world
    world.close()


@pytest.fixture(scope="module")
def undisturbed(world: World) -> WorkerResult:
    code, result = world.run("undisturbed")
    assert code == 0, world.log("undisturbed")
    return result


def told(result: WorkerResult) -> TrainSummary:
    return TrainSummary.model_validate(result.summary.to_wire())


def assert_same_adapter(world: World, name: str) -> None:
    """The run ended with the undisturbed one's adapter to the bit, and its curve."""
    for file in ("adapter_model.safetensors", "loss.jsonl"):
        assert (world.output(name) / file).read_bytes() == (world.output("undisturbed") / file).read_bytes(), file


def assert_same_end(world: World, name: str) -> None:
    """The run ended as the undisturbed one: the same adapter to the bit, the same curve, the same artifact."""
    assert_same_adapter(world, name)
    digests = [json.loads((world.output(run) / MANIFEST).read_text())["digest"] for run in (name, "undisturbed")]
    assert digests[0] == digests[1]


def test_a_whole_run(world: World, undisturbed: WorkerResult) -> None:
    folder = world.output("undisturbed")
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    assert manifest.kind == "adapter"
    assert undisturbed.artifact is not None
    assert undisturbed.artifact.digest == manifest.digest
    assert {part.path for part in manifest.parts} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "ds_config.json", "loss.jsonl",
    }  # fmt: skip
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "model"
    assert json.loads((folder / "ds_config.json").read_text())["gradient_clipping"] == 1.0
    assert manifest.details["pixels"] == {"minPixels": 1024, "maxPixels": 8192}
    assert [(entry.name, entry.digest) for entry in manifest.lineage] == [
        ("dataset", json.loads((world.folder / "root/dataset" / MANIFEST).read_text())["digest"]),
        ("model", manifest.details["base"]["digest"]),
    ]
    assert manifest.counts == {"sample/ok": 11}
    assert manifest.details["padding"] == 1
    assert all((folder / f"logs/attempt-1/rank-{rank}.log").exists() for rank in (0, 1))

    curve = world.curve("undisturbed")
    assert [row["step"] for row in curve] == list(range(1, STEPS + 1))
    assert curve[-1]["loss"] < curve[0]["loss"] - 1
    assert [row["step"] for row in curve if "validationLoss" in row] == [5, 10]
    assert max(row["learningRate"] for row in curve) == pytest.approx(0.01)
    assert undisturbed.metrics["step"] == undisturbed.metrics["steps"] == STEPS
    assert undisturbed.metrics["firstLoss"] == curve[0]["loss"]
    assert undisturbed.metrics["loss"] == curve[-1]["loss"]
    assert undisturbed.metrics["tokensPerSecondPerGpu"] > 0
    assert told(undisturbed).resumed_from_step is None
    assert (last := told(undisturbed).checkpoint) is not None and last.step == STEPS
    saved = world.checkpoints("undisturbed")
    assert list(saved) == [5, 10]
    assert saved[5].details["worldSize"] == 2
    assert [step for step, _ in saved[5].details["losses"]] == [1, 2, 3, 4, 5]


def test_each_rank_draws_dropout_and_noise_of_its_own(world: World, undisturbed: WorkerResult) -> None:
    """Drawn alike, they would be one draw for all samples that a pass takes over all ranks."""
    import torch

    folder = world.output("undisturbed") / "checkpoints" / "step-000005"
    seeds = set()
    for file in folder.glob("*/rng_state_*.pth"):
        generator = torch.Generator()
        generator.set_state(torch.load(file, weights_only=False)["cpu"])
        seeds.add(generator.initial_seed())
    assert len(seeds) == 2


def test_a_finished_run_is_not_made_again(world: World, undisturbed: WorkerResult) -> None:
    code, result = world.run("undisturbed", attempt=2)
    assert (code, result.reused, result.artifact) == (0, True, undisturbed.artifact)
    assert "nothing to do" in world.log("undisturbed", 2) and "step 1/" not in world.log("undisturbed", 2)


def test_a_killed_rank_ends_the_group_and_the_next_attempt_goes_on(world: World, undisturbed: WorkerResult) -> None:
    process = world.start("killed")
    wait_for(lambda: EVERY in world.checkpoints("killed"), process)
    os.kill(world.ranks()[1], signal.SIGKILL)
    code, result = world.finish("killed", process)  # long before a collective gives up, which takes half an hour
    until(lambda: not world.ranks(), "the end of every rank")
    assert code == 1
    assert result.failure is not None
    assert (result.failure.reason, result.failure.rank) == ("RankKilled", 1)
    assert "SIGKILL" in result.failure.message
    assert not (world.output("killed") / MANIFEST).exists()

    code, result = world.run("killed", attempt=2)
    assert code == 0, world.log("killed", 2)
    assert told(result).resumed_from_step in (5, 10)
    assert_same_end(world, "killed")
    # TensorBoard has the curve once, though two attempts told it and some steps were made twice.
    curve = [(row["step"], pytest.approx(row["loss"])) for row in world.curve("killed")]
    assert world.board("killed", "loss") == curve
    assert [step for step, _ in world.board("killed", "validationLoss")] == [5, 10]


def test_sigterm_saves_at_a_step_boundary_and_exits_75(world: World, undisturbed: WorkerResult) -> None:
    process = world.start("stopped")
    made = world.hold(process, steps=1)
    process.send_signal(signal.SIGTERM)
    word = world.folder / "stopped.termination"
    wait_for(lambda: word.exists() and word.stat().st_size > 0, process)  # it has asked the ranks by then
    world.let_go()
    code, result = world.finish("stopped", process)
    assert code == 75, world.log("stopped")
    assert result.failure is not None
    assert result.failure.reason == "Interrupted"
    (step,) = world.checkpoints("stopped")
    assert made <= step <= made + 1
    assert step < EVERY

    code, result = world.run("stopped", attempt=2)
    assert (code, told(result).resumed_from_step) == (0, step), world.log("stopped", 2)
    assert_same_end(world, "stopped")


def test_killed_between_its_last_checkpoint_and_the_adapter_it_makes_no_further_step(
    world: World, undisturbed: WorkerResult
) -> None:
    """The last step lies within an epoch, where Trainer by itself would make one more. Under ZeRO-3, which then gathers
    weights that no pass has touched."""
    last = f"checkpoints/step-{STEPS:06d}"
    shutil.copytree(world.output("undisturbed") / last, world.output("nearly") / last)
    code, result = world.run("nearly", attempt=2, deepspeed={"stage": 3})
    assert code == 0, world.log("nearly", 2)
    assert (told(result).resumed_from_step, result.metrics["step"]) == (STEPS, STEPS)
    for name in ("loss", "firstLoss", "validationLoss", "learningRate"):
        assert result.metrics[name] == undisturbed.metrics[name]
    assert_same_adapter(world, "nearly")


def test_an_attempt_that_sleeps_while_the_next_one_begins_commits_nothing(
    world: World, undisturbed: WorkerResult
) -> None:
    """As on a node that was lost and comes back: stopped in the middle of an upload, awake when another has begun."""
    old = world.start("asleep")
    checkpoints = world.output("asleep") / "checkpoints"
    for step in (EVERY, STEPS):
        folder = checkpoints / f"step-{step:06d}"
        wait_for(lambda folder=folder: any(folder.glob("attempt-1-*/*")), old, pause_seconds=0.001)  # type: ignore[misc]
        old.send_signal(signal.SIGSTOP)
        until(lambda: stopped(old.pid), "every thread of the attempt stopped")
        if not (folder / MANIFEST).exists():
            break
        old.send_signal(signal.SIGCONT)
    else:
        pytest.fail("every checkpoint was committed before the attempt could be stopped")
    uploaded = len(list(folder.glob("attempt-1-*/*")))
    new = world.start("asleep", attempt=2)
    # By its whole file: one that is still being written announces nothing.
    wait_for(lambda: any(checkpoints.glob("attempts/*/000002/0/0001")), new)
    old.send_signal(signal.SIGCONT)
    assert old.wait(SECONDS) == 75, world.log("asleep")
    assert "overtaken by attempt 2" in world.log("asleep")
    # The file that was under way may have been finished, nothing after it was begun.
    assert len(list(folder.glob("attempt-1-*/*"))) <= uploaded + 1
    code, _ = world.finish("asleep", new)
    assert code == 0, world.log("asleep", 2)
    assert {found.attempt for at, found in world.checkpoints("asleep").items() if at >= step} == {2}
    assert_same_end(world, "asleep")


def test_an_overtaken_attempt_commits_nothing_and_ends(world: World) -> None:
    process = world.start("overtaken")
    world.hold(process, steps=1)
    later = world.output("overtaken") / "checkpoints/attempts/uid-overtaken/000002/0/0001"
    later.parent.mkdir(parents=True)
    later.touch()
    world.let_go()
    code, result = world.finish("overtaken", process)
    assert code == 75, world.log("overtaken")
    assert result.failure is not None
    assert result.failure.reason == "Overtaken"
    assert world.checkpoints("overtaken") == {}
    assert not (world.output("overtaken") / MANIFEST).exists()
    until(lambda: not world.ranks(), "the end of every rank")


def test_killed_before_its_ranks_could_save_it_leaves_a_word_and_no_rank_behind(world: World) -> None:
    process = world.start("orphaned", own_libraries=True, lora={"targetModules": ["q_proj"]})
    wait_for(lambda: "step 1/" in world.log("orphaned"), process)
    word = world.folder / "orphaned.termination"
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: word.exists() and word.stat().st_size > 0, process, pause_seconds=0.001)
    process.kill()
    process.wait()
    failure = WorkerResult.model_validate_json(word.read_bytes()).failure
    assert failure is not None
    assert (failure.reason, failure.exit_code) == ("GraceTooShort", 75)
    assert "a step takes" in failure.message
    assert "raise the operator's --worker-grace" in failure.message
    until(lambda: not world.ranks(), "the end of every rank")


def test_a_module_that_the_model_lacks_is_refused_with_those_it_has(world: World) -> None:
    code, result = world.run("misspelt", lora={"targetModules": ["q_proj", "query"]})
    assert code == 64
    assert result.failure is not None
    assert result.failure.reason == "ConfigInvalid"
    assert "query is no linear layer of model" in result.failure.message
    assert "gate_proj" in result.failure.message


def test_zero_3_with_loader_workers_starts_where_zero_2_does(world: World, undisturbed: WorkerResult) -> None:
    code, result = world.run(
        "zero3", deepspeed={"stage": 3}, training={"maxSteps": 2, "loaderWorkers": 1}, checkpoints={"everySteps": 9}
    )
    assert code == 0, world.log("zero3")
    first = world.curve("zero3")[0]
    assert first["loss"] == pytest.approx(world.curve("undisturbed")[0]["loss"], abs=1e-4)
    assert result.metrics["steps"] == 2


def test_a_packed_run_goes_on_with_half_the_ranks_under_another_zero_stage(world: World) -> None:
    training: dict[str, Any] = {"packing": True, "maxLength": 250, "maxSteps": 4, "neftuneNoiseAlpha": 0}
    training |= {"gradientAccumulationSteps": 2}
    common: dict[str, Any] = {"lora": {"dropout": 0.0}, "checkpoints": {"everySteps": 2}}
    *fitting, long = samples(9, seed=3)
    long["response"] = "\n\n".join([long["response"]] * 9)
    write_dataset(world.folder / "root" / "mixed", [*fitting, long])
    code, whole = world.run("two-ranks", dataset="mixed", training=training, **common, deepspeed={"stage": 3})
    assert code == 0, world.log("two-ranks")
    assert "packed in 4 sequences" in world.log("two-ranks")
    assert whole.counts == {"sample/ok": 8, "sample/skipped/TooLong": 1}
    assert (whole.metrics["uniqueSamples"], whole.metrics["skippedSamples"]) == (8, 1)
    assert whole.metrics["uniqueShare"] == pytest.approx(8 / 9)
    assert whole.metrics["samplesPerSecond"] > 0
    assert 0 <= whole.metrics["dataWait"] < 1
    assert "mfu" not in whole.metrics  # on a CPU there is no peak to compare with

    shutil.copytree(
        world.output("two-ranks") / "checkpoints/step-000002", world.output("one") / "checkpoints/step-000002"
    )
    one_rank = {"topology": {"gpusPerNode": 1, "device": "cpu"}, "deepspeed": {"stage": 2}}
    code, result = world.run("one", dataset="mixed", training=training, **common, **one_rank)
    assert code == 65
    assert result.failure is not None
    assert "4 samples an optimizer step, but the run's are 2" in result.failure.message
    twice = training | {"gradientAccumulationSteps": 4}
    code, result = world.run("one", 2, dataset="mixed", training=twice, **common, **one_rank)
    assert code == 0, world.log("one", 2)
    assert told(result).resumed_from_step == 2
    for ended, expected in zip(world.curve("one"), world.curve("two-ranks"), strict=True):
        assert ended["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert ended["gradNorm"] == pytest.approx(expected["gradNorm"], rel=1e-4)
        assert ended["learningRate"] == expected["learningRate"]


def test_a_damaged_picture_stops_the_run_by_the_samples_name(world: World) -> None:
    records = samples(4, seed=7)
    write_dataset(world.folder / "root" / "damaged", records)
    picture = world.folder / "root" / "damaged" / records[2]["images"][0]
    picture.write_bytes(picture.read_bytes()[:60])
    commit_as_it_is(world.folder / "root" / "damaged")
    code, result = world.run("damaged", dataset="damaged")
    assert code == 65, world.log("damaged")
    assert result.failure is not None
    assert (result.failure.reason, result.failure.exception) == ("InputInvalid", "InputInvalid")
    assert records[2]["id"] in result.failure.message

    narrow = world.folder / "root" / "damaged" / records[1]["images"][1]
    narrow.write_bytes(sized(2048, 9))
    training = {"badSamples": "skip", "maxSteps": 1}
    code, result = world.run("skipped", dataset="damaged", training=training)
    assert code == 0, world.log("skipped")
    assert result.counts == {"sample/ok": 2, "sample/skipped/Unreadable": 2}
    assert result.metrics["skippedSamples"] == 2
    assert f"left out: sample {records[2]['id']}: " in world.log("skipped")
    told = f"left out: sample {records[1]['id']}: {records[1]['images'][1]} has 2048 x 9 pixels"
    assert told in world.log("skipped")
