"""Committed checkpoints: what is seen of half-written ones, who may commit, and what is kept."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.patience import SECONDS

from fabula_workloads.runtime.failures import InputInvalid, Overtaken, TryAgain
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.training.saving.checkpoints import Checkpoints


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/run/checkpoints")


def saved(tmp_path: Path, step: int, word: str = "") -> Path:
    """A checkpoint as Trainer and DeepSpeed leave it on the local disk."""
    folder = tmp_path / f"local-{step}{word}"
    (folder / f"global_step{step}").mkdir(parents=True)
    (folder / "trainer_state.json").write_text(f'{{"global_step": {step}}}{word}')
    (folder / f"global_step{step}" / "optim_states.pt").write_bytes(b"state" * step)
    for name in ("README.md", "training_args.bin", "zero_to_fp32.py"):
        (folder / name).write_text("not state")
    return folder


def test_a_committed_checkpoint_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, attempt=1)
    checkpoints.enter()
    manifest = checkpoints.save(62, saved(tmp_path, 62), details={"worldSize": 8})
    assert manifest is not None
    assert manifest.kind == "checkpoint"
    assert manifest.details == {"worldSize": 8, "step": 62, "attempt": 1}
    found = checkpoints.newest()
    assert found == (62, manifest)
    back = checkpoints.fetch(62, manifest, tmp_path / "back")
    files = {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert files == {
        "trainer_state.json": b'{"global_step": 62}',
        "global_step62/optim_states.pt": b"state" * 62,
    }


def test_a_checkpoint_without_manifest_does_not_exist(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, attempt=1)
    checkpoints.save(4, saved(tmp_path, 4), details={})
    checkpoints.save(8, saved(tmp_path, 8), details={})
    store.delete("step-000008/manifest.json")
    assert checkpoints.steps() == [4]
    again = Checkpoints(store, attempt=2).save(8, saved(tmp_path, 8, " "), details={})
    assert again is not None
    assert {part.path.split("/")[0] for part in again.parts} == {"attempt-2-run"}


def test_a_changed_file_is_not_resumed_from(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, attempt=1)
    manifest = checkpoints.save(4, saved(tmp_path, 4), details={})
    assert manifest is not None
    store.write("step-000004/attempt-1-run/trainer_state.json", b"{}")
    with pytest.raises(InputInvalid, match=r"trainer_state\.json has changed"):
        checkpoints.fetch(4, manifest, tmp_path / "back")


def test_an_overtaken_attempt_commits_nothing(store: Store, tmp_path: Path) -> None:
    first, second = Checkpoints(store, attempt=1), Checkpoints(store, attempt=2)
    first.enter()
    second.enter()
    with pytest.raises(Overtaken, match="attempt 2"):
        first.save(4, saved(tmp_path, 4), details={})
    with pytest.raises(Overtaken):
        first.enter()
    assert second.steps() == []
    assert second.save(4, saved(tmp_path, 4, " "), details={}) is not None
    assert second.steps() == [4]


def test_a_second_start_of_an_attempt_fences_the_first(store: Store, tmp_path: Path) -> None:
    """A controller may make a lost pod anew under the same attempt; the old process may still run."""
    first, again = Checkpoints(store, attempt=3), Checkpoints(store, attempt=3)
    first.enter()
    again.enter()
    again.ensure_current()
    with pytest.raises(Overtaken, match="started again"):
        first.save(4, saved(tmp_path, 4), details={})
    manifest = again.save(4, saved(tmp_path, 4, " "), details={})
    assert manifest is not None
    assert {part.path.split("/")[0] for part in manifest.parts} == {"attempt-3-run.2"}


def test_nodes_of_an_attempt_do_not_fence_each_other(store: Store) -> None:
    first, second = Checkpoints(store, attempt=1), Checkpoints(store, attempt=1, node=1)
    first.enter()
    second.enter()
    first.ensure_current()


def test_a_run_that_was_deleted_and_made_again_begins_anew(store: Store, tmp_path: Path) -> None:
    former = Checkpoints(store, attempt=7, run="11111111-old")
    former.enter()
    former.save(4, saved(tmp_path, 4), details={})
    again = Checkpoints(store, attempt=1, run="22222222-new")
    again.enter()
    assert [step for step, _ in filter(None, [again.newest()])] == [4]
    assert again.save(8, saved(tmp_path, 8), details={}) is not None


def test_what_a_run_of_the_same_inputs_committed_first_serves_as_well(store: Store, tmp_path: Path) -> None:
    one, other = Checkpoints(store, 1, run="11111111-a"), Checkpoints(store, 1, run="22222222-b")
    one.enter()
    other.enter()
    committed = one.save(4, saved(tmp_path, 4), details={})
    assert other.save(4, saved(tmp_path, 4, " "), details={}) == committed


def test_what_killed_attempts_left_is_removed(store: Store, tmp_path: Path) -> None:
    first = Checkpoints(store, attempt=1)
    first.enter()
    for step in (4, 8, 12):
        first.save(step, saved(tmp_path, step), details={})
    store.delete("step-000004/manifest.json")  # killed while it removed that one
    store.delete("step-000012/manifest.json")  # killed before it committed this one
    store.write("step-000009/attempt-1-run/half", b"")  # killed while it uploaded
    store.write("step-000009/attempt-1-other/half", b"")  # of a run that may be at work
    second = Checkpoints(store, attempt=2)
    second.enter()
    second.save(12, saved(tmp_path, 12, " "), details={})
    second.prune(keep=5)
    left = {"/".join(entry.path.split("/")[:2]) for entry in store.list() if entry.path.startswith("step-")}
    assert left == {
        "step-000008/attempt-1-run", "step-000008/manifest.json", "step-000009/attempt-1-other",
        "step-000012/attempt-2-run", "step-000012/manifest.json",
    }  # fmt: skip


def test_only_the_newest_are_kept(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, attempt=1)
    for step in (4, 8, 12):
        checkpoints.save(step, saved(tmp_path, step), details={})
    checkpoints.prune(keep=2)
    assert checkpoints.steps() == [8, 12]
    assert not [entry for entry in store.list() if entry.path.startswith("step-000004")]
    checkpoints.prune(keep=5)
    assert checkpoints.steps() == [8, 12]


def test_a_checkpoint_of_two_nodes_is_committed_when_both_have_uploaded(store: Store, tmp_path: Path) -> None:
    """The first node may be earlier or later than the other; the manifest holds the files of both."""
    other = tmp_path / "other-node"
    other.mkdir()
    (other / "rng_state_1.pth").write_bytes(b"rng")
    results = []
    first = threading.Thread(
        target=lambda: results.append(Checkpoints(store, 1).save(4, saved(tmp_path, 4), nodes=2, details={}))
    )
    first.start()
    assert Checkpoints(store, 1, node=1).save(4, other, nodes=2, details={}) is None
    first.join(timeout=SECONDS)
    (manifest,) = results
    assert manifest is not None
    names = [part.path.rsplit("/", 1)[1] for part in manifest.parts]
    assert sorted(names) == ["optim_states.pt", "rng_state_1.pth", "trainer_state.json"]


def test_a_node_that_is_gone_is_not_waited_for_once_the_group_has_failed(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, 1)
    with ThreadPoolExecutor(1) as uploads:
        upload = uploads.submit(checkpoints.save, 4, saved(tmp_path, 4), nodes=2, details={})
        checkpoints.hurry(0)
        with pytest.raises(TryAgain, match="node 1 did not upload its part") as raised:
            upload.result(timeout=SECONDS)
    assert raised.value.reason == "CheckpointIncomplete"
    assert checkpoints.steps() == []


def test_saving_what_is_committed_changes_nothing(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(store, attempt=1)
    once = checkpoints.save(4, saved(tmp_path, 4), details={})
    assert Checkpoints(store, attempt=2).save(4, saved(tmp_path, 4, "x"), details={}) == once
