"""Where answers come from is kept beside them, once for all shards of an arm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.stage_context import KEY, stage_context

from fabula_api.artifact import Manifest
from fabula_api.eval_run import EvalRunSpec
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages.origins import ORIGINS, behind, keep_origin, read_origins

SPEC = {
    "samples": {"uri": "s", "count": 1},
    "arms": [
        {"name": "base", "model": {"uri": "m"}},
        {"name": "tuned", "model": {"uri": "m"}, "adapter": {"uri": "adapter"}},
    ],
}
CARD = "---\ntags: [fabula]\n---\n\n# LoRA adapter\n"
DATASET = "sha256:" + "d" * 64


@pytest.fixture
def adapter(tmp_path: Path) -> Manifest:
    store = open_store(f"file://{tmp_path}/adapter")
    parts = add_parts(store, [("README.md", CARD.encode())])
    made_of = [Lineage(name="dataset", uri="file:///d", digest=DATASET)]
    return commit(store, kind="adapter", key=KEY, parts=parts, lineage=made_of)


def answering(root: Path, arm: str, adapter: Manifest, shard: int = 0) -> StageContext:
    """A shard of the stage `infer`."""
    tuned = arm == "tuned"
    inputs = {"model": "m", "select": "chosen"} | ({"adapter": "adapter"} if tuned else {})
    digests = {"model": KEY} | ({"adapter": adapter.digest} if tuned else {})
    return stage_context(
        root, "EvalRun", "infer", SPEC, f"of-{arm}", inputs, arm=arm, shard=shard, shards=2, digests=digests
    )


def scoring(root: Path) -> tuple[StageContext, EvalRunSpec]:
    inputs = {"infer/base": "of-base", "infer/tuned": "of-tuned"}
    context = stage_context(root, "EvalRun", "score", SPEC, "score", inputs)
    return context, context.spec_of(EvalRunSpec)


def test_base_adapter_its_card_and_its_dataset_are_told_for_each_arm(tmp_path: Path, adapter: Manifest) -> None:
    for arm in ("base", "tuned"):
        for shard in range(2):
            keep_origin(answering(tmp_path, arm, adapter, shard))
    found = read_origins(*scoring(tmp_path))
    assert {arm: len(made) for arm, made in found.items()} == {"base": 1, "tuned": 1}, "shards say the same"
    assert {made.name: made.digest for made in behind(found)} == {
        "base: model": KEY, "tuned: model": KEY, "tuned: adapter": adapter.digest, "tuned: adapter/dataset": DATASET,
    }  # fmt: skip
    assert [found[arm][0].card for arm in ("base", "tuned")] == ["", CARD]

    (kept,) = (tmp_path / "of-base" / ORIGINS).iterdir()
    kept.unlink()
    assert set(read_origins(*scoring(tmp_path))) == {"tuned"}, "answers of before origins were kept"
    (kept,) = (tmp_path / "of-tuned" / ORIGINS).iterdir()
    kept.write_text(json.dumps({"lineage": 3}))
    with pytest.raises(InputInvalid, match=f"{ORIGINS}/{kept.name} cannot be read"):
        read_origins(*scoring(tmp_path))


def test_answers_of_two_versions_have_two_origins(
    tmp_path: Path, adapter: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("fabula 0.1", "fabula 0.2", "fabula 0.2"):
        monkeypatch.setattr("fabula_workloads.stages.origins.own_code", lambda version=version: version)
        keep_origin(answering(tmp_path, "tuned", adapter))
    found = read_origins(*scoring(tmp_path))
    assert {origin.code for origin in found["tuned"]} == {"fabula 0.1", "fabula 0.2"}
    assert [made.name for made in behind(found)] == ["tuned: model", "tuned: adapter", "tuned: adapter/dataset"]


def test_a_card_that_is_not_the_committed_one_is_refused(tmp_path: Path, adapter: Manifest) -> None:
    (tmp_path / "adapter" / "README.md").write_text("better than all")
    with pytest.raises(InputInvalid, match=r"README\.md has changed since it was committed"):
        keep_origin(answering(tmp_path, "tuned", adapter))
